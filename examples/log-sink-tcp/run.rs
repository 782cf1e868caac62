//! `dora run --build dataflow.yml`, for those who have no `dora` installed yet. Further arguments are handed on.

use std::process::{Command, exit};

fn main() -> std::io::Result<()> {
    let status = Command::new(env!("CARGO"))
        .args(["run", "--release", "-p", "dora-cli", "--bin", "dora", "--", "run", "--build", "dataflow.yml"])
        .args(std::env::args().skip(1))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    exit(status.code().unwrap_or(1));
}
