//! `dora run --rt=best-effort --build dataflow.yml --stop-after 10s`, for those who have no `dora` installed yet.
//! Further arguments are handed on: `cargo run -p inverted-pendulum --example inverted-pendulum -- --env CONTROLLER_DELAY_MS=80`.

use std::process::{Command, exit};

fn main() -> std::io::Result<()> {
    let dora = ["run", "--release", "-p", "dora-cli", "--bin", "dora", "--"];
    let flow = ["run", "--rt=best-effort", "--build", "dataflow.yml", "--stop-after", "10s"];
    let status = Command::new(env!("CARGO"))
        .args(dora)
        .args(flow)
        .args(std::env::args().skip(1))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    exit(status.code().unwrap_or(1));
}
