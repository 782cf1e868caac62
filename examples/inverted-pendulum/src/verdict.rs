//! Did it stand? For how long, and how far did it lean?

use std::fmt;

use crate::model::STEP;

/// Written by every step of the plant. `Display` is the sentence that ends a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Verdict {
    steps: u64,
    fell_after: Option<u64>,
    largest_angle: f64,
}

impl Verdict {
    /// Takes note of one step. True when this is the step in which it fell.
    pub fn step(&mut self, theta: f64, down: bool) -> bool {
        self.steps += 1;
        if self.fell_after.is_some() {
            return false;
        }
        self.largest_angle = self.largest_angle.max(theta.abs());
        if down {
            self.fell_after = Some(self.steps);
        }
        down
    }

    /// Steps seen.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Steps until it fell; `None` while it stands.
    pub fn fell_after(&self) -> Option<u64> {
        self.fell_after
    }

    /// Largest lean while it stood, in rad.
    pub fn largest_angle(&self) -> f64 {
        self.largest_angle
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |steps: u64| steps as f64 * STEP;
        match self.fell_after {
            Some(steps) => write!(f, "the pendulum FELL after {:.2} s", seconds(steps)),
            None => {
                let (stood, angle) = (seconds(self.steps), self.largest_angle);
                write!(f, "the pendulum stood for {stood:.1} s, largest angle {angle:.3} rad")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdict_reads_as_a_sentence() {
        let mut verdict = Verdict::default();
        (0..10_000).for_each(|n| assert!(!verdict.step(if n == 5 { -0.0312 } else { 0.0 }, false)));
        assert_eq!(verdict.to_string(), "the pendulum stood for 10.0 s, largest angle 0.031 rad");
    }

    #[test]
    fn pole_falls_once_and_the_time_of_the_fall_stays() {
        let mut verdict = Verdict::default();
        (0..1239).for_each(|_| assert!(!verdict.step(0.2, false)));
        assert!(verdict.step(0.51, true));
        assert!(!verdict.step(0.6, true), "it is down already");
        assert_eq!(verdict.to_string(), "the pendulum FELL after 1.24 s");
    }
}
