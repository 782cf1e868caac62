//! See `__CRATE__::talker`.

fn main() -> eyre::Result<()> {
    __CRATE__::talker()?;
    Ok(())
}
