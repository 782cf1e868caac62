//! Is this machine fit for real time? Looks, measures, judges and proposes; changes nothing.
//!
//! ```text
//!   Machine (a folder that holds proc/, sys/, …) ─► checks ─► findings ─► plan (a script to review)
//!   timers and wake-ups of every core ─► measurement ──────────┴────────► verdict (which rates are held)
//! ```
//!
//! 1. A check is a function of a [`Context`] and reads files below its root only, so a folder with the files of another
//!    machine is judged like this one.
//! 2. What cannot be seen is a finding of its own ([`Level::Unknown`]), never a silent "ok".
//! 3. Each check of one machine gives one finding; fixes of several findings may share a [`Change`].

mod cores;
mod finding;
mod histogram;
mod host;
mod interrupts;
mod kernel;
mod machine;
mod measure;
mod memory;
mod plan;
mod process;
mod timer;
mod verdict;
mod wake;

pub use finding::{Change, Finding, Fix, Level};
pub use histogram::{Histogram, Summary};
pub use machine::{Chosen, Context, Machine, Scope, list};
pub use measure::{CoreResult, Measurement, Request, run as measure};
pub use plan::script;
pub use process::try_fifo;
pub use verdict::{ALLOWED_PER_CENT, RATES_HZ, Rate, RateVerdict, Verdict, judge, rate_name};

type Check = fn(&Context) -> Finding;

/// Every check, in the order of what a problem there usually costs.
const CHECKS: [Check; 21] = [
    process::priority,
    process::group_budget,
    process::time_limit,
    process::memory_lock,
    kernel::preemption,
    kernel::throttling,
    host::virtual_machine,
    host::steal,
    cores::governor,
    cores::idle_states,
    cores::isolation,
    cores::tickless,
    cores::callbacks,
    cores::siblings,
    interrupts::affinity,
    interrupts::balancer,
    interrupts::work_queues,
    memory::huge_pages,
    memory::swap,
    kernel::clock_source,
    process::timer_slack,
];

/// Looks at everything once; milliseconds, no right is needed.
pub fn examine(context: &Context) -> Vec<Finding> {
    CHECKS.iter().map(|check| check(context)).collect()
}
