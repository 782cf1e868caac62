//! The executor of operators: a frozen plan of queues, levels and threads, run one tag after another.
//!
//! ```text
//!   inject(operator, input, tag, message) ─► queue of that edge, on the first thread
//!   step(): the earliest tag ─► thread 0:  a ── hands on ──► c        each in the order of declaration; c waits for a and b,
//!                               thread 1:  b ──── lane ─────┘         and for nothing else
//! ```
//!
//! 1. What an operator sends has the tag of what it works on. An edge to an operator that is declared at or before its
//!    sender goes to the next microstep, so a tag is finished after one pass over the operators.
//! 2. An operator takes its events in the order of (tag, edge, arrival). That order depends on what was injected and on
//!    nothing else: not on the number of threads, not on the load of the machine. What leaves a tag leaves in the order of declaration.
//! 3. An operator belongs to one thread, and nobody else can reach it: it is never on two threads at once.
//! 4. After [`FlowBuilder::build`] nothing here allocates, frees, locks or makes a system call on one thread. With several, the
//!    calls are those to sleep and to wake a thread that sleeps.
//!
//! A message is handed over by moving it, or by a clone for each further reader: a counted reference costs no copy.

mod counts;
mod crew;
mod hand;
mod lane;
mod links;
#[cfg(all(test, loom))]
mod loom_tests;
mod outbox;
mod pass;
mod plan;
mod routes;
mod slot;
mod sync;

pub use crew::Waits;
pub use pass::{Flow, Outside};
pub use plan::{FlowBuilder, FlowError, OperatorSpec, Port, Reader};
pub use slot::{Arrived, Full, Operator, OperatorCounts, Sends, Tag, Verdict};
