//! `cargo run --example log-sink-alert`

fn main() -> std::io::Result<()> {
    example_runner::run("log-sink-alert", &[])
}
