//! The same nodes from a git repository and from a URL: `examples/rust-dataflow-git` and `-url`, by their scripts.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

#[path = "../../support/dora.rs"]
#[expect(dead_code, reason = "each example uses its part")]
mod dora;
#[path = "../../support/script.rs"]
mod script;

fn binaries() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_rust-node")).parent().expect("a binary lies in a folder")
}

/// Every line of the example's `expected.txt` is among what the script printed.
fn compare(said: &script::Said, expected: &str) {
    assert_eq!(said.code, Some(0), "{}\n{}", said.out, said.err);
    for line in expected.lines() {
        assert!(
            said.out.lines().any(|said| said.ends_with(line)),
            "`{line}` is missing: {}\n{}",
            said.out,
            said.err
        );
    }
}

/// Stands for the repository of dora: a package of the same name whose programs become those of this build, so that
/// nearly nothing is compiled.
fn repository() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("repository-{}", std::process::id()));
    let sources = folder.join("src/bin");
    fs::create_dir_all(&sources).expect("the target folder is writable");
    let manifest = "[package]\nname = \"rust-dataflow-example\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(folder.join("Cargo.toml"), manifest).expect("the target folder is writable");
    for node in ["rust-node", "rust-status-node", "rust-sink"] {
        let source = format!(
            "use std::os::unix::process::CommandExt;\n\
             fn main() {{ panic!(\"{{}}\", std::process::Command::new({:?}).exec()) }}\n",
            binaries().join(node)
        );
        fs::write(sources.join(node).with_extension("rs"), source).expect("the target folder is writable");
    }
    let bare = folder.with_extension("git");
    let folder = folder.to_str().expect("UTF-8 path");
    git(&["-C", folder, "init", "--quiet", "--initial-branch", "main"]);
    git(&["-C", folder, "add", "--all"]);
    git(&["-C", folder, "commit", "--quiet", "--message", "nodes"]);
    git(&["clone", "--quiet", "--bare", folder, bare.to_str().expect("UTF-8 path")]);
    bare
}

fn git(args: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=test", "-c", "user.email=test@example.com"]).args(args);
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    let output = command.output().expect("git is installed");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn nodes_are_cloned_built_in_the_clone_and_run_from_there() {
    let url = format!("file://{}", repository().display());
    let mut copy = script::Copy::new("rust-dataflow-git", "rust-dataflow-git", &dora::dora(binaries()), &[])
        .env("REPOSITORY", &url);
    // The tools of cargo are found by the home folder of whoever runs the tests.
    for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        if let (None, Some(home)) = (std::env::var_os(name), std::env::home_dir()) {
            copy = copy.env(name, home.join(folder).to_str().expect("UTF-8 path"));
        }
    }
    let said = copy.run();
    compare(&said, include_str!("../../rust-dataflow-git/expected.txt"));
    let clones = fs::read_dir(copy.folder().join(".dora/git")).expect("it was cloned");
    let clones: Vec<PathBuf> = clones.map(|clone| clone.expect("a readable folder").path()).collect();
    let [clone] = &clones[..] else { panic!("three nodes share one clone, and there are {clones:?}") };
    assert!(clone.join("target/release/rust-sink").exists(), "it was built in {}", clone.display());
}

#[test]
fn nodes_are_downloaded_and_run() {
    if !Command::new("python3").arg("--version").output().is_ok_and(|python| python.status.success()) {
        println!("skipped: needs python3");
        return;
    }
    let port = script::free_port().to_string();
    let changes =
        [("8123", port.as_str()), ("../../target/release", binaries().to_str().expect("UTF-8 path"))];
    let mut copy =
        script::Copy::new("rust-dataflow-url", "rust-dataflow-url", &dora::dora(binaries()), &changes);
    let said = copy.run();
    compare(&said, include_str!("../../rust-dataflow-url/expected.txt"));
    assert!(said.out.contains("built dataflow: 3 sources"), "{}", said.out);
    assert!(copy.folder().join("build").is_dir(), "the downloads lie beside the descriptor");
}

#[test]
fn both_are_the_dataflow_of_rust_dataflow() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let wiring = |example: &str| {
        let text =
            fs::read_to_string(examples.join(example).join("dataflow.yml")).expect("the example is there");
        let of_wiring = ["- id:", "inputs:", "tick:", "random: {", "message: {", "outputs:"];
        let lines =
            text.lines().map(str::trim).filter(|line| of_wiring.iter().any(|key| line.starts_with(key)));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let own = wiring("rust-dataflow");
    assert!(own.len() > 10, "{own:?}");
    assert_eq!(own, wiring("rust-dataflow-git"));
    assert_eq!(own, wiring("rust-dataflow-url"));
}
