//! A tiny process that outlives this one by a moment, to end what nodes have started.
//!
//! If this process is killed with SIGKILL, the kernel kills the nodes (see `spawn`), but not their children: a
//! command of a shell, a worker of a script. The guard is told the process groups of all living nodes through a
//! pipe. When the pipe ends, because this process has ended in whatever way, it kills the groups that are left and
//! ends, too. Until then it sleeps in `read`.
//!
//! 1. A group is taken off the list before its leader is reaped, so its number cannot belong to anybody else.
//! 2. Between `fork` and its end the guard makes async-signal-safe system calls only and allocates nothing.
//!
//! A process that leaves its node's group (`setsid`) is not seen here; while this process lives, `sweep_orphans`
//! finds it.

#![expect(unsafe_code, reason = "fork, and what may be done after it in a process that had threads")]

use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    sync::OnceLock,
};

use rustix::{
    pipe::{PipeFlags, pipe_with},
    process::Pid,
};

/// Groups that the guard can remember; nodes beyond that are not guarded.
const GROUPS: usize = 4096;

static PIPE: OnceLock<OwnedFd> = OnceLock::new();

/// Starts the guard of this process, once.
///
/// # Errors
/// What `pipe2` and `fork` say.
pub(crate) fn start() -> io::Result<()> {
    if PIPE.get().is_some() {
        return Ok(());
    }
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    // SAFETY: the child runs `watch` and nothing else, which is async-signal-safe and never returns.
    match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()),
        0 => watch(read.as_raw_fd()),
        _ => {}
    }
    // A guard that stands still must not make us do so.
    rustix::io::ioctl_fionbio(write.as_fd(), true)?;
    // When two threads get here at once, the guard of the loser sees the end of its pipe and goes.
    PIPE.set(write).ok();
    Ok(())
}

/// Puts a group under guard.
pub(crate) fn add(leader: Pid) {
    tell(leader.as_raw_nonzero().get());
}

/// Takes a group off the list.
pub(crate) fn remove(leader: Pid) {
    tell(-leader.as_raw_nonzero().get());
}

fn tell(number: i32) {
    if let Some(pipe) = PIPE.get() {
        // When the guard is gone there is nothing to be done about it; the nodes themselves die with us anyway.
        rustix::io::write(pipe, &number.to_ne_bytes()).ok();
    }
}

/// The whole life of the guard.
fn watch(pipe: RawFd) -> ! {
    let mut groups = [0i32; GROUPS];
    // SAFETY: plain system calls on integers; the name is a NUL-terminated literal. Descriptor 0 is replaced by the
    // pipe, and everything else is closed, so that nobody waits for our copy of it to close.
    unsafe {
        libc::setsid();
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT] {
            libc::signal(signal, libc::SIG_IGN);
        }
        libc::prctl(libc::PR_SET_NAME, c"dora-guard".as_ptr());
        libc::dup2(pipe, 0);
        libc::syscall(libc::SYS_close_range, 1, libc::c_uint::MAX, 0);
    }
    loop {
        let mut number = [0u8; 4];
        // SAFETY: the buffer has the length that is passed. Writes to the pipe are 4 bytes each and atomic.
        match unsafe { libc::read(0, number.as_mut_ptr().cast(), number.len()) } {
            4 => note(&mut groups, i32::from_ne_bytes(number)),
            0 => break,
            _ if io::Error::last_os_error().raw_os_error() == Some(libc::EINTR) => {}
            _ => break,
        }
    }
    for group in groups.iter().filter(|g| **g > 1) {
        // SAFETY: a system call on integers.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
    // SAFETY: ends the process without running anything that belongs to the one it was forked from.
    unsafe { libc::_exit(0) }
}

fn note(groups: &mut [i32; GROUPS], number: i32) {
    let (from, to) = if number > 0 { (0, number) } else { (-number, 0) };
    if let Some(entry) = groups.iter_mut().find(|g| **g == from) {
        *entry = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_come_and_go_and_a_full_list_takes_no_more() {
        let mut groups = [0; GROUPS];
        note(&mut groups, 7);
        note(&mut groups, 8);
        note(&mut groups, -7);
        note(&mut groups, -99);
        assert_eq!(groups.iter().filter(|g| **g != 0).collect::<Vec<_>>(), [&8]);
        for n in 0..GROUPS as i32 + 5 {
            note(&mut groups, 1000 + n);
        }
        assert!(groups.iter().all(|g| *g != 0));
    }
}
