//! Commands of the lifecycle on the real `dora`, against a coordinator that the test writes: what is asked, what is shown where, what
//! keys and signals do, and what the exit code says.

#[path = "../cli/support.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

mod answers;
mod fake;
mod follow;
mod picker;
mod start;
mod terminal;
mod top;

use fake::wait;
