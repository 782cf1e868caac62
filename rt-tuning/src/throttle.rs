//! The kernel's guard against real-time threads that never sleep, as configured and as measured.
//!
//! Two mechanisms exist. Kernels before 6.12 stop all FIFO and RR threads of a core for the rest of each period once
//! they have used `sched_rt_runtime_us` of `sched_rt_period_us` (950 ms of 1 s). Newer ones have a server per core that
//! gives ordinary threads 50 ms in each second, but only while one of them waits for that core: a spinner that is
//! alone on its core is not stopped. So there is no telling from the settings alone; [`measure`] it.

use std::{
    fs, io,
    sync::{
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

pub use crate::types::Stops;
use crate::{
    TuningError, clock,
    sched::{self, Policy},
};

/// Gaps below this are interrupts and the host of a virtual machine, not the guard.
const STOP_NS: u64 = 1_000_000;
const PRIORITY: u8 = 50;

/// Runtime and period of real-time throttling in nanoseconds; a runtime of `None` means that it is off.
///
/// # Errors
/// What reading `/proc/sys/kernel/sched_rt_runtime_us` and `…_period_us` says.
pub fn runtime_ns_period_ns() -> io::Result<(Option<u64>, u64)> {
    let read = |name: &str| -> io::Result<i64> {
        let path = format!("/proc/sys/kernel/{name}");
        let text = fs::read_to_string(&path)?;
        text.trim()
            .parse()
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("{path}: {text:?}")))
    };
    let runtime = u64::try_from(read("sched_rt_runtime_us")?).ok().map(|us| us * 1000);
    Ok((runtime, u64::try_from(read("sched_rt_period_us")?).unwrap_or(0) * 1000))
}

/// Spins on `core` under SCHED_FIFO 50 for `how_long` and reports when it was stopped; with `compete`, an ordinary
/// thread that never sleeps is bound to the same core. Everything else on that core waits meanwhile.
///
/// # Errors
/// When the spinner or its competitor cannot be bound to the core, or the spinner gets no real-time priority.
pub fn measure(core: usize, how_long: Duration, compete: bool) -> Result<Stops, TuningError> {
    let (running, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let competitor = compete.then(|| {
            let (ready, wait) = mpsc::channel();
            let (running, stop) = (&running, &stop);
            let handle = scope.spawn(move || {
                let bound = sched::set_affinity_current(&[core]);
                let go_on = bound.is_ok();
                ready.send(bound).ok();
                if go_on { compete_until(running, stop) } else { 0 }
            });
            (handle, wait)
        });
        if let Some((_, wait)) = &competitor {
            wait.recv().unwrap_or_else(|_| Err(TuningError::new("competitor", "its thread ended")))?;
        }
        let spinner = scope.spawn(|| {
            let ready = sched::set_affinity_current(&[core])
                .and_then(|()| sched::set_current(Policy::Fifo, PRIORITY));
            let stops = ready.map(|()| {
                running.store(true, SeqCst);
                spin(how_long)
            });
            stop.store(true, SeqCst);
            stops
        });
        let panicked = |_| TuningError::new("spinner", "its thread panicked");
        let mut stops = spinner.join().map_err(panicked)??;
        if let Some((handle, _)) = competitor {
            stops.competitor_ns = handle.join().map_err(panicked)?;
        }
        Ok(stops)
    })
}

/// CPU time got from `running` to `stop`, in nanoseconds.
fn compete_until(running: &AtomicBool, stop: &AtomicBool) -> u64 {
    while !running.load(SeqCst) && !stop.load(SeqCst) {
        thread::yield_now();
    }
    let start = clock::thread_cpu_ns();
    let work = AtomicU32::new(0);
    while !stop.load(SeqCst) {
        work.fetch_add(1, SeqCst);
    }
    clock::thread_cpu_ns() - start
}

fn spin(how_long: Duration) -> Stops {
    let mut stops = Stops::default();
    let (start, cpu) = (clock::monotonic_ns(), clock::thread_cpu_ns());
    let (mut last, end) = (start, start.saturating_add(how_long.as_nanos() as u64));
    while last < end {
        let now = clock::monotonic_ns();
        let gap = now - last;
        if gap >= STOP_NS {
            stops.stops += 1;
            stops.stopped_ns += gap;
        }
        stops.longest_ns = stops.longest_ns.max(gap);
        last = now;
    }
    stops.wall_ns = last - start;
    stops.off_core_ns = stops.wall_ns.saturating_sub(clock::thread_cpu_ns() - cpu);
    stops
}
