//! Measures what the checks can only guess: how late timers and wake-ups are on each core, as a real-time node has them.
//!
//! 1. Timers of all cores run at once, as `cyclictest -S` does; wake-ups one core after the other, because a pair needs
//!    two.
//! 2. The threads ask for what `--rt` gives a node: SCHED_FIFO, locked memory, no deep idle states. What is refused is
//!    named in [`Measurement::limited`] and measured without.
//! 3. The load is 1 kHz per core and nearly all of it is sleep; nothing outlives the call but locked memory.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

use super::{Histogram, Machine, host, timer, wake};
use crate::{
    TuningError, clock,
    latency::CpuDmaLatency,
    memory,
    sched::{self, Policy},
};

/// Of the measuring threads; as high as cyclictest is usually run.
const PRIORITY: u8 = 80;
const MILLISECOND: u64 = 1_000_000;

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Request {
    /// The cores, each at least once.
    pub cores: Vec<usize>,
    /// How long the timers of each core are measured; wake-ups take half of it in addition.
    pub duration: Duration,
    /// From one tick to the next, in nanoseconds; 1 ms unless told.
    pub interval_ns: u64,
}

impl Request {
    /// Ticks of 1 ms on these cores.
    pub fn new(cores: Vec<usize>, duration: Duration) -> Self {
        Self { cores, duration, interval_ns: MILLISECOND }
    }
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// One per core, in the order of the request.
    pub cores: Vec<CoreResult>,
    /// As in the request.
    pub duration: Duration,
    /// As in the request, in nanoseconds.
    pub interval_ns: u64,
    /// Did the threads run under SCHED_FIFO 80? Otherwise they were ordinary threads.
    pub fifo: bool,
    /// What was refused, a sentence each.
    pub limited: Vec<String>,
}

/// What was measured on one core.
#[derive(Clone, Debug)]
pub struct CoreResult {
    /// The core.
    pub core: usize,
    /// Lateness of all ticks.
    pub timer: Histogram,
    /// Only of those for which the thread slept, which is what cyclictest counts.
    pub slept: Histogram,
    /// Ticks that had passed before the thread looked; counted in `timer` as well.
    pub missed: u64,
    /// From a futex wake-up on another core to the first instruction here.
    pub wake: Histogram,
    /// Where the wake-ups came from: another core if there is one.
    pub wake_from: usize,
    /// Share of the measured time that the host took, 0 to 1; `None` when the kernel does not tell.
    pub stolen: Option<f64>,
}

/// Measures. `progress` gets a share from 0 to 1 about ten times a second, on the calling thread.
///
/// # Errors
/// A core that this process may not use; a thread that could not be started. A right that is missing is no error.
pub fn run(request: &Request, progress: &mut dyn FnMut(f64)) -> Result<Measurement, TuningError> {
    let mut limited = Vec::new();
    let mut note = |error: TuningError, without: &str| limited.push(format!("Measured {without}: {error}."));
    let fifo = match super::try_fifo() {
        Ok(()) => true,
        Err(error) => {
            note(error, "as ordinary threads (SCHED_OTHER), so everything that runs here delays them");
            false
        }
    };
    memory::lock_all().unwrap_or_else(|error| note(error, "without locked memory"));
    let _awake = CpuDmaLatency::hold(0)
        .map_err(|error| note(error, "with the idle states of the cores as they are"))
        .ok();

    // A century is as good as for ever, and the sums below stay in range.
    let length_ns = u64::try_from(request.duration.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX / 8);
    let ticks = (length_ns / request.interval_ns.max(1)).max(1);
    let wake_ns = (length_ns / 2 / request.cores.len().max(1) as u64).max(200 * MILLISECOND);
    let total_ns = ticks * request.interval_ns + wake_ns * request.cores.len() as u64;
    let ready = move |core| prepare(core, fifo);
    let ticks_before: Vec<_> = request.cores.iter().map(|&core| stolen(core)).collect();

    let worker = |stop: &AtomicBool| {
        let timers = timers(request, ticks, stop, &ready)?;
        let wakes = request.cores.iter().map(|&core| {
            let from = partner(core);
            wake::measure(core, from, wake_ns, stop, &ready).map(|histogram| (from, histogram))
        });
        let wakes: Vec<_> = wakes.collect::<Result<_, TuningError>>()?;
        Ok::<_, TuningError>((timers, wakes))
    };
    let (timers, wakes) = with_progress(total_ns, progress, worker)?;

    let cores = request.cores.iter().zip(timers).zip(wakes).zip(ticks_before);
    let cores = cores.map(|(((&core, lateness), (wake_from, wake)), before)| {
        let mut timer = lateness.slept.clone();
        timer.merge(&lateness.passed);
        let missed = lateness.passed.count();
        CoreResult {
            core,
            timer,
            slept: lateness.slept,
            missed,
            wake,
            wake_from,
            stolen: share(before, stolen(core)),
        }
    });
    Ok(Measurement {
        cores: cores.collect(),
        duration: request.duration,
        interval_ns: request.interval_ns,
        fifo,
        limited,
    })
}

/// Runs `work` on a thread of its own and tells the caller how far it should be.
fn with_progress<T: Send>(
    total_ns: u64,
    progress: &mut dyn FnMut(f64),
    work: impl FnOnce(&AtomicBool) -> Result<T, TuningError> + Send,
) -> Result<T, TuningError> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let worker = scope.spawn(|| work(&stop));
        let start = clock::monotonic_ns();
        while !worker.is_finished() {
            let share = (clock::monotonic_ns() - start) as f64 / total_ns.max(1) as f64;
            progress(share.min(1.0));
            thread::sleep(Duration::from_millis(100));
        }
        worker.join().map_err(|_| TuningError::new("measurement", "its thread panicked"))?
    })
}

/// The timers of all cores at once.
fn timers(
    request: &Request,
    ticks: u64,
    stop: &AtomicBool,
    ready: &(dyn Fn(usize) -> Result<(), TuningError> + Sync),
) -> Result<Vec<timer::Lateness>, TuningError> {
    // All threads are ready well before their first tick, and the ticks of two cores do not fall together.
    let start = clock::monotonic_ns() + 50 * MILLISECOND;
    let started = AtomicU64::new(0);
    let measure = |core: usize| {
        let offset = started.fetch_add(1, Relaxed) * request.interval_ns / request.cores.len() as u64;
        let measured = ready(core).map(|()| timer::measure(start + offset, request.interval_ns, ticks, stop));
        // One core without figures makes those of the others pointless.
        measured.inspect_err(|_| stop.store(true, Relaxed))
    };
    let measure = &measure;
    thread::scope(|scope| {
        let threads: Vec<_> = request
            .cores
            .iter()
            .map(|&core| {
                let thread = thread::Builder::new().name("dora-doctor".into());
                thread.spawn_scoped(scope, move || measure(core)).inspect_err(|_| stop.store(true, Relaxed))
            })
            .collect();
        let figures = threads.into_iter().map(|thread| {
            let thread = thread.map_err(|error| TuningError::new("measuring thread", error.to_string()))?;
            thread.join().map_err(|_| TuningError::new("timers", "a thread panicked"))?
        });
        figures.collect()
    })
}

/// Core and rights of the calling thread.
fn prepare(core: usize, fifo: bool) -> Result<(), TuningError> {
    sched::set_affinity_current(&[core])?;
    if fifo {
        sched::set_current(Policy::Fifo, PRIORITY)?;
    } else {
        clock::set_timer_slack(1)?;
    }
    memory::prefault_stack(64 * 1024);
    Ok(())
}

/// Another core to wake `core` from: the next one that this process may use.
fn partner(core: usize) -> usize {
    let allowed = sched::allowed_current();
    let next = allowed.iter().position(|&other| other == core).map_or(0, |at| at + 1);
    allowed.get(next % allowed.len().max(1)).copied().unwrap_or(core)
}

fn stolen(core: usize) -> Option<(u64, u64)> {
    host::stolen(&Machine::at("/"), core)
}

fn share(before: Option<(u64, u64)>, after: Option<(u64, u64)>) -> Option<f64> {
    let ((stolen, all), (stolen_now, all_now)) = (before?, after?);
    let all = all_now.checked_sub(all).filter(|all| *all > 0)?;
    Some(stolen_now.saturating_sub(stolen) as f64 / all as f64)
}
