//! `cargo run --example action-example`

fn main() -> std::io::Result<()> {
    example_runner::run("action-example", &[])
}
