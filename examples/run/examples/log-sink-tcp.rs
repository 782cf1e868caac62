//! `cargo run --example log-sink-tcp`

fn main() -> std::io::Result<()> {
    example_runner::run("log-sink-tcp", &[])
}
