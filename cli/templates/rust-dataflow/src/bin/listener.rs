//! See `__CRATE__::listener`.

fn main() -> eyre::Result<()> {
    let heard = __CRATE__::listener()?;
    println!("heard {heard} sentences");
    Ok(())
}
