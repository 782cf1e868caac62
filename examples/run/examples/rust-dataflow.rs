//! `cargo run --example rust-dataflow`

fn main() -> std::io::Result<()> {
    example_runner::run("rust-dataflow", &[])
}
