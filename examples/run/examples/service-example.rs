//! `cargo run --example service-example`

fn main() -> std::io::Result<()> {
    example_runner::run("service-example", &[])
}
