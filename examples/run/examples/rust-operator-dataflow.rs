//! `cargo run --example rust-operator-dataflow`

fn main() -> std::io::Result<()> {
    example_runner::run("rust-operator-dataflow", &[])
}
