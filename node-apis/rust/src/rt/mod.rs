//! The real-time API: handles resolved at start, typed views of received memory, messages written in place.
//!
//! ```no_run
//! use dora_node_api::rt::{Event, RtNode};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut node = RtNode::init_from_env()?;
//! let state = node.input::<f64>("state")?;
//! let tick = node.timer("tick")?;
//! let torque = node.output::<f64>("torque", 1)?;
//! let mut angle = 0.0;
//! loop {
//!     match node.wait() {
//!         Event::Input(i) if i == state => angle = node.read(&state)?.first().copied().unwrap_or(angle),
//!         Event::Tick(t) if t == tick => node.send(&torque, &[-0.5 * angle])?,
//!         Event::Stop(_) => break,
//!         _ => {}
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! # Real time
//! After the handles are made, [`wait`](RtNode::wait), [`read`](RtNode::read) and the sending calls neither allocate
//! nor lock nor fault, and make at most one system call per message: the one to sleep, or the one to wake a reader
//! that sleeps. That holds while other nodes are restarted, connected and disconnected as well: the node's control thread maps what is
//! new and unmaps what is done with, the loop only exchanges it. Errors are small `Copy` values; [`RtNode::describe`] turns one into a sentence (and allocates).

mod error;
mod event;
mod handle;
mod loan;
mod node;
mod receive;
mod send;
mod view;

pub use error::RtError;
pub use event::{Event, Notice, StopCause, Tick};
pub use handle::{In, InputId, Out, TickIn};
pub use loan::Loan;
pub use node::RtNode;
pub use view::View;

pub use dora_protocol::{time::Tag, wire_type::Primitive};
