//! `cargo run --example log-aggregator`

fn main() -> std::io::Result<()> {
    example_runner::run("log-aggregator", &[])
}
