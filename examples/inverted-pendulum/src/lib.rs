//! A pole balanced on a cart at 1 kHz: what the four nodes of this dataflow share.
//!
//! ```text
//!   plant ──state──► controller ──force──► plant        1000 times a second
//!   plant ──pose───► camera ──frame──► hog              30 times a second, 2 MB each
//! ```
//!
//! Nothing in here knows about dora: the physics, the controller and the picture are plain functions of plain
//! numbers, so that [`headless`] can run the same loop in simulated time.

pub mod headless;
pub mod lqr;
pub mod model;
pub mod picture;
pub mod plant;
pub mod verdict;
