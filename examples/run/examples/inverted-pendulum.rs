//! `cargo run --example inverted-pendulum`

fn main() -> std::io::Result<()> {
    example_runner::run("inverted-pendulum", &["--rt=best-effort", "--stop-after", "10s"])
}
