//! `cargo run --example error-propagation`

fn main() -> std::io::Result<()> {
    example_runner::run("error-propagation", &[])
}
