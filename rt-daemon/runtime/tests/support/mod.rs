//! The real `dora` on descriptors, with the operators of the tests.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// `target/<profile>`, with `dora` and the operator of the tests in it.
pub(crate) fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        // A test lies in `target/<profile>/deps`.
        let profile = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "-p", "dora-cli", "-p", "operator-for-tests", "--target-dir"]);
        build.arg(profile.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo starts").success(), "dora and the operator were not built");
        profile
    })
}

/// What a run left.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) text: String,
}

impl Ended {
    #[track_caller]
    pub(crate) fn has(&self, part: &str) {
        assert!(self.text.contains(part), "`{part}` is not in:\n{}", self.text);
    }
}

/// Runs a descriptor in which `LIBRARY` stands for the operator.
pub(crate) fn run(nodes: &str) -> Ended {
    let dir = tempfile::tempdir().unwrap();
    let library = built().join("operator_for_tests").display().to_string();
    let file = dir.path().join("flow.yml");
    fs::write(&file, format!("nodes:\n{}", nodes.replace("LIBRARY", &library))).unwrap();
    run_file(&file)
}

/// Runs a descriptor where it lies.
pub(crate) fn run_file(file: &Path) -> Ended {
    run_file_in(file, &[])
}

/// The same, with more variables in the environment.
pub(crate) fn run_file_in(file: &Path, environment: &[(&str, &OsStr)]) -> Ended {
    let mut command = Command::new(built().join("dora"));
    command.args(["run", "--stop-after", "60s"]).arg(file).current_dir(file.parent().unwrap());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("DORA_") || text.to_ascii_lowercase().ends_with("_proxy") {
            command.env_remove(name);
        }
    }
    command.envs(environment.iter().copied());
    let output = command.output().expect("dora starts");
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Ended { code: output.status.code(), text }
}
