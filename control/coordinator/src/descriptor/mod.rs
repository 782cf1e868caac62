//! What the coordinator does with descriptors: it resolves them, and edits the one of a running dataflow.
//!
//! ```text
//! DataflowRecord.live ── resolve ──► Dataflow (for the daemon) + JSON ── edit ──► JSON ── resolve ──► …
//! ```

mod edit;
mod patch;
mod resolve;

pub(crate) use edit::{Edit, edit};
pub(crate) use patch::{from_patch, node_entry};
pub(crate) use resolve::{Resolved, resolve};
