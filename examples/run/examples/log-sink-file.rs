//! `cargo run --example log-sink-file`

fn main() -> std::io::Result<()> {
    example_runner::run("log-sink-file", &[])
}
