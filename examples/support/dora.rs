//! Runs the descriptor of an example with the `dora` and the nodes of this build, and reads back what it says.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Run {
    /// Exit code of `dora`.
    pub(crate) code: Option<i32>,
    /// `--report json`
    pub(crate) report: Value,
    /// `node: message`, in the order of arrival.
    pub(crate) lines: Vec<String>,
}

impl Run {
    /// The row of `table` (`edges`, `timers`, `nodes`) in which `key` is `value`.
    pub(crate) fn row(&self, table: &str, key: &str, value: &str) -> &Value {
        let rows =
            self.report[table].as_array().unwrap_or_else(|| panic!("no table `{table}`: {}", self.report));
        rows.iter()
            .find(|row| row[key] == value)
            .unwrap_or_else(|| panic!("{table}: no {value}: {}", self.report))
    }

    /// The first line of `node` that starts with `start`.
    pub(crate) fn line(&self, node: &str, start: &str) -> Option<&str> {
        let start = format!("{node}: {start}");
        self.lines.iter().find(|line| line.starts_with(&start)).map(String::as_str)
    }
}

/// `dora run <descriptor> --report json <arguments>`. `node` is the path of any of the example's binaries; `name` tells
/// the runs of one test binary apart.
pub(crate) fn run(example: &str, node: &str, name: &str, arguments: &[&str]) -> Run {
    let binaries = Path::new(node).parent().expect("a binary lies in a folder");
    let descriptor = descriptor_for(Path::new(example), binaries, name);
    let output = Command::new(dora(binaries))
        .arg("run")
        .arg(&descriptor)
        .args(["--report", "json", "--log-format", "json"])
        .args(arguments)
        .output()
        .expect("failed to start dora");
    understood(&output)
}

/// A copy of the descriptor in a folder of its own, with the paths of this build. `out/` will lie beside it.
fn descriptor_for(example: &Path, binaries: &Path, name: &str) -> PathBuf {
    let text = fs::read_to_string(example.join("dataflow.yml")).expect("the example has a descriptor");
    let text = text.replace("../../target/release", binaries.to_str().expect("UTF-8 path"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("target folder is writable");
    let descriptor = folder.join("dataflow.yml");
    fs::write(&descriptor, text).expect("target folder is writable");
    descriptor
}

/// `target/<profile>/dora`, built if it is not there yet.
pub(crate) fn dora(binaries: &Path) -> PathBuf {
    let dora = binaries.join("dora");
    if !dora.exists() {
        let mut build = Command::new(env!("CARGO"));
        build
            .args(["build", "-p", "dora-cli", "--target-dir"])
            .arg(binaries.parent().expect("target folder"));
        if binaries.ends_with("release") {
            build.arg("--release");
        }
        let built = build.status().expect("failed to start cargo");
        assert!(built.success() && dora.exists(), "{} was not built", dora.display());
    }
    dora
}

fn understood(output: &Output) -> Run {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let report = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}\n{stderr}"));
    let logged = stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let lines = logged
        .map(|line| {
            let (node, message) = (line["node_id"].as_str(), line["message"].as_str());
            format!("{}: {}", node.unwrap_or("dora"), message.unwrap_or_default())
        })
        .collect();
    Run { code: output.status.code(), report, lines }
}
