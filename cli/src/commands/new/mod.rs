//! `dora new`: a folder with a dataflow or a node that builds, runs and passes its own test.
//!
//! Everything is checked before anything is written, the folder is made beside its place and moved there when it is whole,
//! and nothing that exists is overwritten.

mod names;
mod templates;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use self::templates::Template;
use crate::{
    args::{NewArgs, NewKind, NewLang},
    error::{CliError, CliResult},
};

/// `dora new`
pub(crate) fn run(args: &NewArgs) -> CliResult {
    let here = std::env::current_dir()
        .map_err(|error| CliError::new("the working directory is gone").caused_by(&error))?;
    let template = Template::of(args.kind, args.lang);
    names::check(&args.name, args.kind, args.lang)?;
    let api = args.path.as_deref().map(|path| checkout(path, args.lang)).transpose()?;
    let folder = here.join(&args.name);
    free(&folder, args)?;
    let written = write(&folder, &template, &args.name, api.as_deref())
        .map_err(|error| CliError::new(format!("failed to write {}", folder.display())).caused_by(&error))?;
    println!("created {}/", args.name);
    for file in written {
        println!("  {file}");
    }
    println!("\nnext:\n  cd {}", args.name);
    for command in template.next() {
        println!("  {command}");
    }
    Ok(())
}

/// The folder of the node API in a checkout of dora.
fn checkout(path: &Path, lang: NewLang) -> CliResult<PathBuf> {
    let (part, file) = match lang {
        NewLang::Rust => ("node-apis/rust", "Cargo.toml"),
        NewLang::Python => ("node-apis/python", "pyproject.toml"),
        // The C++ API is headers on that of C, and is installed with it.
        NewLang::C | NewLang::Cxx => ("node-apis/c", "install.sh"),
    };
    let wrong = |path: &Path| {
        CliError::new(format!("{} is no checkout of dora: there is no {part}/{file} in it", path.display()))
            .hint("`--path` (or DORA_CHECKOUT) names the folder with the README and `node-apis/`")
    };
    let root = fs::canonicalize(path).map_err(|error| wrong(path).caused_by(&error))?;
    let api = root.join(part);
    if api.join(file).is_file() { Ok(api) } else { Err(wrong(&root)) }
}

/// Nothing is there, or an empty folder.
fn free(folder: &Path, args: &NewArgs) -> CliResult {
    let taken = |what: &str| {
        let near = (2..).map(|n| format!("{}-{n}", args.name));
        let near = near.into_iter().find(|name| !folder.with_file_name(name).exists()).unwrap_or_default();
        CliError::new(format!("`{}` {what}, and nothing is overwritten", args.name))
            .hint(format!("take another name, such as `{near}`"))
    };
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(taken("is a folder with files in it")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(_) => Err(taken("exists")),
    }
}

/// Writes the files; returns their names.
fn write(folder: &Path, template: &Template, name: &str, api: Option<&Path>) -> io::Result<Vec<String>> {
    let fresh = folder.with_file_name(format!(".{name}.part-{}", std::process::id()));
    let outcome = template.files(name, api).into_iter().map(|(file, text)| {
        let path = fresh.join(&file);
        fs::create_dir_all(path.parent().unwrap_or(&fresh))?;
        fs::write(path, text)?;
        Ok(file)
    });
    // Moves over an empty folder, and fails on any other.
    let outcome = outcome.collect::<io::Result<Vec<String>>>().and_then(|files| {
        fs::rename(&fresh, folder)?;
        Ok(files)
    });
    if outcome.is_err() {
        // What went wrong is told; a folder that cannot be deleted does not add to it.
        fs::remove_dir_all(&fresh).unwrap_or_default();
    }
    outcome
}

impl NewKind {
    /// In words, and as the end of a name.
    fn word(self) -> &'static str {
        match self {
            NewKind::Dataflow => "dataflow",
            NewKind::Node => "node",
        }
    }
}
