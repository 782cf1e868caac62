//! Where a measured thread runs: one core, and a scheduling class.
#![expect(unsafe_code, reason = "sets a scheduling class that helper threads inherit")]

use std::io;

use rt_tuning::{clock, memory, sched};

/// Priority of the measured threads under SCHED_FIFO.
pub const PRIORITY: u8 = 60;

/// Scheduling class of the measured threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// SCHED_FIFO at [`PRIORITY`].
    Fifo,
    /// The ordinary scheduler, timer slack 1 ns.
    Other,
}

impl Class {
    /// SCHED_FIFO when this process may have it, otherwise the ordinary scheduler.
    pub fn best() -> Self {
        let allowed = std::thread::spawn(|| sched::set_current(sched::Policy::Fifo, PRIORITY).is_ok()).join();
        if allowed.unwrap_or(false) { Self::Fifo } else { Self::Other }
    }
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fifo => write!(f, "SCHED_FIFO {PRIORITY}"),
            Self::Other => f.write_str("SCHED_OTHER"),
        }
    }
}

/// Puts the calling thread on `core`, under `class`, with its memory locked.
///
/// # Errors
/// What was refused, with its fix. Memory locking is not insisted upon: only the pages count, and they are touched
/// before anything is measured.
pub fn settle(core: usize, class: Class) -> eyre::Result<()> {
    sched::set_affinity_current(&[core])?;
    clock::set_timer_slack(1)?;
    memory::lock_all().ok();
    if class == Class::Fifo {
        sched::set_current(sched::Policy::Fifo, PRIORITY)?;
    }
    Ok(())
}

/// [`settle`] for a process whose library starts threads of its own: they inherit core and class, which after `settle`
/// they would not. To be called before the library is.
///
/// # Errors
/// As [`settle`].
pub fn settle_with_helpers(core: usize, class: Class) -> eyre::Result<()> {
    settle(core, Class::Other)?;
    if class == Class::Fifo {
        let param = libc::sched_param { sched_priority: PRIORITY.into() };
        // SAFETY: the kernel reads a live, initialised struct; 0 is the calling thread.
        if unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const param) } != 0 {
            let error = io::Error::last_os_error();
            eyre::bail!("SCHED_FIFO {PRIORITY} was refused ({error}): run as root, or with class=other");
        }
    }
    Ok(())
}
