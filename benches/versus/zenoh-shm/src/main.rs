//! `versus-zenoh-shm`: zenoh at the same work, two peers on one machine, messages in its shared memory.
//!
//! ```text
//!   versus-zenoh-shm one zenoh-shm work=paced wait=park size=64 count=2000 class=fifo
//! ```
//!
//! One link over loopback TCP, which carries the references; no scouting. As its defaults have it, messages of fewer
//! than 3072 bytes go over the link as they are. Congestion blocks the sender, so that nothing is lost; paced messages and round
//! trips are sent `express` (not batched), streams are batched. Readers take from its FIFO channel
//! and cannot spin: a thread of the library fills it, on the same core. Threads that the library
//! starts inherit core and class of their process.

mod peers;

use bench_support::{Called, job};
use eyre::bail;

fn main() -> eyre::Result<()> {
    if let Some(called) = Called::from_args()? {
        return peers::play(&called);
    }
    if !job::serve(|name, job| (name == "zenoh-shm").then(|| peers::one(job)))? {
        bail!("this program does single runs for a driver: `versus-zenoh-shm one zenoh-shm work=…`");
    }
    Ok(())
}
