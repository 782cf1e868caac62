//! The watchdog: switches the motors off when no state comes any more.
//!
//! It counts ticks of a timer, not time: a controller that was itself not allowed to run sees one tick for all that it
//! slept through, and does not blame the robot for its own absence.

/// Ticks without a state until the motors go off.
pub const PATIENCE: u32 = 5;

/// What a tick of the watchdog's timer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// States come, or none ever came, or it was said before.
    Fine,
    /// No state for [`PATIENCE`] ticks: switch the motors off. Said once until a state comes again.
    Lost,
}

/// Counts ticks since the last state.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    /// Ticks since the last state; `None` before the first one and after it was found lost.
    silent: Option<u32>,
}

impl Watch {
    /// A state came. True if it ends a silence, or is the first.
    pub fn feed(&mut self) -> bool {
        self.silent.replace(0).is_none()
    }

    /// The timer was due.
    pub fn tick(&mut self) -> Verdict {
        match self.silent {
            None => Verdict::Fine,
            Some(silent) if silent + 1 >= PATIENCE => {
                self.silent = None;
                Verdict::Lost
            }
            Some(silent) => {
                self.silent = Some(silent + 1);
                Verdict::Fine
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks_until_lost(watch: &mut Watch) -> Option<u32> {
        (1..=100).find(|_| watch.tick() == Verdict::Lost)
    }

    #[test]
    fn robot_that_falls_silent_is_found_lost_once() {
        let mut watch = Watch::default();
        assert!(watch.feed());
        assert_eq!(ticks_until_lost(&mut watch), Some(PATIENCE));
        assert_eq!(ticks_until_lost(&mut watch), None, "said once is enough");
        assert!(watch.feed(), "it is back");
        assert_eq!(ticks_until_lost(&mut watch), Some(PATIENCE), "and can be lost again");
    }

    #[test]
    fn robot_that_speaks_now_and_then_is_not_lost() {
        let mut watch = Watch::default();
        for round in 0..100 {
            assert_eq!(watch.feed(), round == 0);
            for _ in 1..PATIENCE {
                assert_eq!(watch.tick(), Verdict::Fine);
            }
        }
    }

    #[test]
    fn robot_that_never_spoke_is_not_missed() {
        assert_eq!(ticks_until_lost(&mut Watch::default()), None);
    }
}
