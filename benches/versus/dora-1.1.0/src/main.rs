//! `versus-dora`: the reference at the same work. Rust nodes on the published crate `dora-node-api` 1.1.0, run by the
//! published `dora` 1.1.0 (`dora run`).
//!
//! ```text
//!   DORA_1_1_0=venv/bin/dora versus-dora one dora-1.1.0 work=paced wait=park size=64 count=2000 class=fifo
//! ```
//!
//! The program writes a dataflow of two nodes, which are itself, into a folder of its own and has `dora` run it. Its
//! readers cannot spin. Messages are made by `send_output_raw`, in place, its fastest path; the shared memory of a node
//! is made large enough for the largest. Threads that the library starts inherit core and class of their node; of the
//! contestant `dora-1.1.0-plain` nobody is pinned or has a class, as `dora run` starts it. The daemon stays an ordinary process.

mod nodes;
mod reference;

use bench_support::job;
use eyre::bail;
use reference::Placed;

fn main() -> eyre::Result<()> {
    if let Some(words) = std::env::var_os(reference::ENV_WORDS) {
        return nodes::play(&words.to_string_lossy());
    }
    let contestant = |name: &str, job: &job::Job| match name {
        "dora-1.1.0" => Some(reference::run(job, Placed::AsOurs)),
        "dora-1.1.0-plain" => Some(reference::run(job, Placed::Nowhere)),
        _ => None,
    };
    if !job::serve(contestant)? {
        bail!("this program does single runs for a driver: `versus-dora one dora-1.1.0 work=…`");
    }
    Ok(())
}
