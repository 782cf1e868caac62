//! The closed loop in simulated time: plant and controller in one thread, without dora and without a clock.
//!
//! A late controller is modelled as what a node that sleeps in its handler is: it takes the newest state, holds its answer
//! for the delay, gives it, and only then looks again. Everything in between passes unseen.

use crate::{lqr, plant::Plant, verdict::Verdict};

/// Runs for `seconds` of simulated time with a controller that is `delay_ms` late, and says how it went.
pub fn run(seconds: u64, delay_ms: u64, seed: u64) -> Verdict {
    let mut plant = Plant::new(Some(seed));
    let mut answer: Option<(u64, f64)> = None;
    for now in 0..seconds * crate::model::STEPS_PER_SECOND {
        let (due, force) = *answer.get_or_insert_with(|| (now + delay_ms, lqr::force(&plant.state())));
        if due <= now {
            plant.set_force(force);
            answer = None;
        }
        plant.advance(1);
    }
    *plant.verdict()
}
