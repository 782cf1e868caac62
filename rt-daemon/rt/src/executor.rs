//! Starts the pool of real-time threads, says what each of them got, and ends them.
//!
//! Set-up happens on the new thread before its loop: cores, stack, timer slack, and the scheduling class last, so that
//! nothing slow runs under it. A refusal does not end the start: it is in [`Handle::refused`], and the caller, who
//! knows whether the run is strict, decides. [`Handle::facts`] is what `/proc` shows, not what was asked for.

use std::{io, sync::mpsc, thread};

use rt_tuning::{
    TuningError, alloc_guard, clock as tuning_clock, memory,
    readback::{self, ThreadFacts},
    sched::{self, Policy},
};

use crate::{
    clock::Monotonic,
    mailbox::Mailbox,
    telemetry::Events,
    worker::{Worker, worker},
};

pub(crate) const STACK: usize = 512 * 1024;
/// Of the stack, what is touched before the loop.
const PREFAULT: usize = 256 * 1024;
const EVENTS: usize = 1024;

/// One thread of the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadSpec {
    /// Its name; the kernel shows the first 15 bytes.
    pub name: String,
    /// Cores that it is bound to; empty = those of its starter.
    pub cores: Vec<usize>,
    /// Class and priority; `None` = ordinary scheduling.
    pub scheduling: Option<(Policy, u8)>,
    /// Commands that find room before it has taken the first; more are refused then.
    pub commands: usize,
}

/// Why the pool does not run. Threads that were started are ended.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No thread or no descriptor.
    #[error("real-time thread `{name}`: {source}")]
    Os {
        /// Name of the thread.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// The thread ended before its loop.
    #[error("real-time thread `{name}` ended while it was set up")]
    Ended {
        /// Name of the thread.
        name: String,
    },
}

/// A running thread.
#[derive(Debug)]
pub struct Handle {
    /// To command it.
    pub mailbox: Mailbox,
    /// What it tells.
    pub events: Events,
    /// What it asked for and did not get.
    pub refused: Vec<TuningError>,
    /// What it has, read back; `None` on systems that do not tell.
    pub facts: Option<ThreadFacts>,
    thread: Option<thread::JoinHandle<Worker<Monotonic>>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.mailbox.stop();
        // The worker comes back with its plan, which is freed here. After a panic there is nothing to free.
        drop(self.thread.take().map(thread::JoinHandle::join));
    }
}

/// The pool. Dropping it stops and joins all threads.
#[derive(Debug)]
pub struct Executor {
    threads: Vec<Handle>,
}

#[expect(clippy::disallowed_methods, reason = "runs before the real-time threads or after them")]
impl Executor {
    /// Starts all threads and waits until each has been set up.
    ///
    /// # Errors
    /// [`StartError`] when a thread could not be started. A refused setting is no error here.
    pub fn start(specs: &[ThreadSpec]) -> Result<Self, StartError> {
        let mut threads = Vec::with_capacity(specs.len());
        for spec in specs {
            threads.push(start(spec)?);
        }
        Ok(Self { threads })
    }

    /// One per [`ThreadSpec`], in that order.
    pub fn threads(&self) -> &[Handle] {
        &self.threads
    }

    /// Stops all threads and waits for them.
    pub fn stop(self) {
        drop(self);
    }
}

#[expect(clippy::disallowed_methods, reason = "runs before the thread's loop")]
fn start(spec: &ThreadSpec) -> Result<Handle, StartError> {
    let os = |source| StartError::Os { name: spec.name.clone(), source };
    let (worker, mailbox, events) = worker(Monotonic, spec.commands, EVENTS).map_err(os)?;
    let (ready, is_ready) = mpsc::channel();
    let own = spec.clone();
    let thread = thread::Builder::new()
        .name(spec.name.clone())
        .stack_size(STACK)
        .spawn(move || {
            let mut worker = worker;
            let refused = set_up(&own);
            drop(own);
            // The starter waits for this; when it is gone, its mailbox stops the loop.
            ready.send((rustix::thread::gettid(), refused)).ok();
            drop(ready);
            alloc_guard::mark(true);
            worker.run();
            alloc_guard::mark(false);
            worker
        })
        .map_err(os)?;
    let mut handle = Handle { mailbox, events, refused: Vec::new(), facts: None, thread: Some(thread) };
    let Ok((tid, refused)) = is_ready.recv() else {
        return Err(StartError::Ended { name: spec.name.clone() });
    };
    handle.refused = refused;
    let all = readback::threads(std::process::id()).unwrap_or_default();
    handle.facts =
        all.into_iter().find(|facts| i64::from(facts.tid) == i64::from(tid.as_raw_nonzero().get()));
    Ok(handle)
}

pub(crate) fn set_up(spec: &ThreadSpec) -> Vec<TuningError> {
    let mut refused = Vec::new();
    if !spec.cores.is_empty() {
        refused.extend(sched::set_affinity_current(&spec.cores).err());
    }
    memory::prefault_stack(PREFAULT);
    refused.extend(tuning_clock::set_timer_slack(1).err());
    if let Some((policy, priority)) = spec.scheduling {
        refused.extend(sched::set_current(policy, priority).err());
    }
    refused
}
