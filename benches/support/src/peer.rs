//! Copies of this program that play a role, with descriptors they inherit.
//!
//! ```text
//!   bench --role ping 0 fifo 100000,64 5,6,7       role, core, class, numbers, descriptors
//! ```
//!
//! A peer prints one line of JSON, its [`Metrics`], and ends. The controller waits for all peers of a run, kills
//! them when they take too long, and dies with an error then: a figure never comes from half a run.
#![expect(unsafe_code, reason = "takes over inherited descriptors by number")]

use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use eyre::{WrapErr, bail, eyre};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

use crate::{figure::Metrics, place::Class};

/// Longest time that a run may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A role to be played.
pub struct Call<'a> {
    /// Its name.
    pub role: &'a str,
    /// Core it is pinned to.
    pub core: usize,
    /// How it is scheduled.
    pub class: Class,
    /// Numbers whose meaning the role knows: message counts, sizes.
    pub numbers: &'a [u64],
    /// Descriptors it inherits.
    pub fds: Vec<BorrowedFd<'a>>,
}

/// A role as its player sees it.
pub struct Called {
    /// Its name.
    pub role: String,
    /// Core it shall run on.
    pub core: usize,
    /// How it shall be scheduled.
    pub class: Class,
    numbers: Vec<u64>,
    fds: Vec<Option<OwnedFd>>,
}

impl Called {
    /// The role in this process's arguments; `None` in the controller.
    ///
    /// # Errors
    /// When the arguments are not what [`run`] writes.
    pub fn from_args() -> eyre::Result<Option<Self>> {
        let args: Vec<String> = std::env::args().collect();
        let [_, flag, role, core, class, numbers, fds] = args.as_slice() else { return Ok(None) };
        if flag != "--role" {
            return Ok(None);
        }
        // Nobody reads our result once the controller is gone.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        let split = |s: &str| s.split(',').filter(|s| !s.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        let fds: Vec<RawFd> = split(fds).iter().map(|s| s.parse()).collect::<Result<_, _>>()?;
        Ok(Some(Self {
            role: role.clone(),
            core: core.parse()?,
            class: if class == "fifo" { Class::Fifo } else { Class::Other },
            numbers: split(numbers).iter().map(|s| s.parse()).collect::<Result<_, _>>()?,
            // SAFETY: `run` left exactly these descriptors open for us, and nothing in this process has used
            // them yet; each number appears once.
            fds: fds.into_iter().map(|fd| Some(unsafe { OwnedFd::from_raw_fd(fd) })).collect(),
        }))
    }

    /// The `i`th number.
    ///
    /// # Errors
    /// When the controller gave fewer.
    pub fn number(&self, i: usize) -> eyre::Result<u64> {
        self.numbers.get(i).copied().ok_or_else(|| eyre!("role {}: number {i} is missing", self.role))
    }

    /// Takes the `i`th descriptor.
    ///
    /// # Errors
    /// When the controller gave fewer, or it was taken already.
    pub fn fd(&mut self, i: usize) -> eyre::Result<OwnedFd> {
        let role = &self.role;
        self.fds
            .get_mut(i)
            .and_then(Option::take)
            .ok_or_else(|| eyre!("role {role}: descriptor {i} is missing"))
    }

    /// Puts the calling thread where the role belongs.
    ///
    /// # Errors
    /// As [`crate::place::settle`].
    pub fn settle(&self) -> eyre::Result<()> {
        crate::place::settle(self.core, self.class)
    }
}

/// Plays these roles at the same time and returns what each printed, in the same order.
///
/// # Errors
/// When a peer fails, prints no metrics, or takes longer than a minute; the others are killed then.
pub fn run(calls: &[Call<'_>]) -> eyre::Result<Vec<Metrics>> {
    let (done, results) = mpsc::channel();
    let mut pids = Vec::new();
    for (i, call) in calls.iter().enumerate() {
        // Duplicates without close-on-exec; ours are closed again right after the child has its own.
        let fds: Vec<OwnedFd> = call.fds.iter().map(rustix::io::dup).collect::<Result<_, _>>()?;
        let list = |items: Vec<String>| items.join(",");
        let child = Command::new(std::env::current_exe()?)
            .args(["--role", call.role, &call.core.to_string()])
            .arg(if call.class == Class::Fifo { "fifo" } else { "other" })
            .arg(list(call.numbers.iter().map(u64::to_string).collect()))
            .arg(list(fds.iter().map(|fd| fd.as_raw_fd().to_string()).collect()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .wrap_err_with(|| format!("failed to start role {}", call.role))?;
        pids.push(Pid::from_child(&child));
        let done = done.clone();
        // Dies with the controller should it be needed no more.
        std::thread::spawn(move || done.send((i, child.wait_with_output())));
    }
    let mut metrics = vec![Metrics::new(); calls.len()];
    let outcome = (0..calls.len()).try_for_each(|_| {
        let (i, output) =
            results.recv_timeout(PATIENCE).map_err(|_| eyre!("no result within {PATIENCE:?}"))?;
        let output = output?;
        if !output.status.success() {
            bail!("role {} ended with {}", calls[i].role, output.status);
        }
        let text = String::from_utf8_lossy(&output.stdout);
        metrics[i] = serde_json::from_str(text.trim())
            .wrap_err_with(|| format!("role {} printed {text:?}", calls[i].role))?;
        Ok(())
    });
    if outcome.is_err() {
        for pid in pids {
            // Gone already, perhaps.
            kill_process(pid, Signal::KILL).ok();
        }
    }
    outcome.map(|()| metrics)
}

/// Prints what a role measured. Last act of a role.
pub fn print(metrics: &Metrics) {
    println!("{}", serde_json::json!(metrics));
}

/// Borrows descriptors for a [`Call`].
pub fn borrow<const N: usize>(fds: [&OwnedFd; N]) -> Vec<BorrowedFd<'_>> {
    fds.into_iter().map(AsFd::as_fd).collect()
}
