//! `dora graph`: an HTML page with the picture of a dataflow, or Mermaid text.
//!
//! The page needs no network, no server and no other file. It goes to the working directory, as `<STEM>-graph.html`.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use dora_descriptor::graph::Graph;

use super::load;
use crate::{
    args::GraphArgs,
    error::{CliError, CliResult},
};

/// Programs that show a file in the browser; the first that starts is used.
const OPENERS: [&str; 3] =
    if cfg!(target_os = "macos") { ["open", "xdg-open", "gio"] } else { ["xdg-open", "gio", "wslview"] };

/// `dora graph`
pub(crate) fn run(args: &GraphArgs) -> CliResult {
    let loaded = load(&args.path, &[])?;
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    let graph = Graph::new(&loaded);
    if args.mermaid {
        // Whoever reads may have enough before the end (`| head`).
        return match io::stdout().write_all(graph.mermaid().as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(CliError::new("failed to write to stdout").caused_by(&error))
            }
            _ => Ok(()),
        };
    }
    let page = args.output.clone().unwrap_or_else(|| page_of(&args.path));
    fs::write(&page, graph.html())
        .map_err(|error| CliError::new(format!("failed to write {}", page.display())).caused_by(&error))?;
    println!("{}", page.display());
    if args.open { open(&page) } else { Ok(()) }
}

fn page_of(descriptor: &Path) -> PathBuf {
    let stem = descriptor.file_stem().unwrap_or_default().to_string_lossy();
    PathBuf::from(format!("{stem}-graph.html"))
}

fn open(page: &Path) -> CliResult {
    let absolute = fs::canonicalize(page)
        .map_err(|error| CliError::new(format!("failed to find {}", page.display())).caused_by(&error))?;
    for program in OPENERS {
        let mut command = Command::new(program);
        if program == "gio" {
            command.arg("open");
        }
        let quiet = command.arg(&absolute).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // They hand the file to the browser and end.
        if quiet.status().is_ok_and(|status| status.success()) {
            return Ok(());
        }
    }
    Err(CliError::new(format!("found no way to show {} in a browser", absolute.display()))
        .hint(format!("tried {}; open the file yourself", OPENERS.join(", "))))
}
