//! The executor of operators: a frozen plan of queues, levels and threads, run one tag after another.
//!
//! ```text
//!   inject(operator, input, tag, message) ─► queue of that edge
//!   step(): the earliest tag ─► level 0: a, b   side by side, if the plan gives them to different threads
//!                               level 1: c      after what a and b sent was handed on, in the order of declaration
//!                               …               until the tag is finished
//! ```
//!
//! 1. What an operator sends has the tag of what it works on. An edge to an operator that is declared at or before its
//!    sender goes to the next microstep, so a tag is finished after one pass over the operators.
//! 2. An operator takes its events in the order of (tag, edge, arrival). That order depends on what was injected and on
//!    nothing else: not on the number of threads, not on the load of the machine.
//! 3. An operator lies in a mutex that is only tried and, by the plan, always free: it is never on two threads at once.
//! 4. After [`FlowBuilder::build`] nothing here allocates, frees, locks or makes a system call on one thread. With several, the
//!    calls are those to sleep and to wake a thread that sleeps.
//!
//! A message is handed over by moving it, or by a clone for each further reader: a counted reference costs no copy.

mod crew;
mod pass;
mod plan;
mod slot;

pub use crew::Waits;
pub use pass::{Flow, Outside};
pub use plan::{FlowBuilder, FlowError, OperatorSpec, Port, Reader};
pub use slot::{Arrived, Full, Operator, OperatorCounts, Sends, Tag, Verdict};
