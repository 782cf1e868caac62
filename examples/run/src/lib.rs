//! `cargo run --example <name>`, for those who have no `dora` installed yet: builds dora for release and the example, and runs it.
//!
//! A package of its own without dependencies, so that cargo finds the examples from the root of the repository and builds
//! nothing for that.

use std::{
    env, io,
    path::Path,
    process::{Command, exit},
};

/// Runs `dora run --build dataflow.yml` in the folder of an example, with these options and with the further arguments of
/// this process; ends this process as that one ended.
///
/// # Errors
/// When cargo cannot be started.
pub fn run(name: &str, options: &[&str]) -> io::Result<()> {
    let status = command(name, options).args(env::args().skip(1)).status()?;
    exit(status.code().unwrap_or(1));
}

fn command(name: &str, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--release", "-p", "dora-cli", "--bin", "dora", "--"]);
    command.args(["run", "--build", "dataflow.yml"]).args(options);
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name(name));
    command
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::*;

    /// Not to be run by `dora run` alone, as their READMEs say.
    const OTHERWISE: [&str; 3] = ["cross-language", "dynamic-add-remove", "mujoco-robot"];

    #[test]
    fn every_example_in_rust_is_run_by_its_name_and_its_readme_says_so() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let is_in_rust = |name: &String| {
            let folder = here.with_file_name(name);
            folder.join("Cargo.toml").exists() && folder.join("dataflow.yml").exists()
        };
        let names = |folder: &Path| -> BTreeSet<String> {
            let entries = fs::read_dir(folder).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        let mut examples = names(here.parent().unwrap());
        examples.retain(|name| is_in_rust(name) && !OTHERWISE.contains(&name.as_str()));
        let starters: BTreeSet<String> =
            names(&here.join("examples")).iter().map(|file| file.trim_end_matches(".rs").into()).collect();
        assert_eq!(starters, examples);
        for name in &starters {
            let readme = fs::read_to_string(here.with_file_name(name).join("README.md")).unwrap();
            assert!(readme.contains(&format!("cargo run --example {name}")), "README.md of {name}");
            let starter = fs::read_to_string(here.join(format!("examples/{name}.rs"))).unwrap();
            assert!(starter.contains(&format!("run(\"{name}\", ")), "examples/{name}.rs");
        }
    }

    #[test]
    fn the_command_builds_dora_and_runs_the_dataflow_in_the_folder_of_the_example() {
        let command = command("rust-dataflow", &["--stop-after", "10s"]);
        let words: Vec<_> = command.get_args().map(|word| word.to_str().unwrap()).collect();
        let expected = "run --release -p dora-cli --bin dora -- run --build dataflow.yml --stop-after 10s";
        assert_eq!(words.join(" "), expected);
        assert!(command.get_current_dir().unwrap().join("dataflow.yml").exists());
    }
}
