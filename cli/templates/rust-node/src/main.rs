//! See `__CRATE__::run`.

fn main() -> eyre::Result<()> {
    let ticks = __CRATE__::run()?;
    println!("counted {ticks} ticks");
    Ok(())
}
