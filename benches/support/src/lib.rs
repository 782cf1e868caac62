//! Shared by the benchmarks: processes, shared lines, histogram, figures, description of the machine.
//!
//! A benchmark is a program with *roles*. Without arguments it is the controller: it starts two copies of itself
//! with a role each ([`peer`]), pinned to one core each ([`place`]), over segments it made ([`shared`], or those of
//! the library under test), and collects one line of JSON from each. [`figure`] repeats the contestants of a figure
//! in alternating order, so that noise hits all of them, and prints them side by side. [`job`] is one run as a driver
//! asks for it, with every value kept in a file, and [`measure`] times it.

pub mod figure;
pub mod hist;
pub mod job;
pub mod machine;
pub mod measure;
pub mod peer;
pub mod place;
pub mod shared;
pub mod turn;

pub use figure::{Contestant, Figure, Metrics};
pub use hist::Hist;
pub use job::{Job, Wait, Work};
pub use peer::{Call, Called};
