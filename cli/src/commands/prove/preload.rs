//! Gets the counting library into every process of the run, this one included.
//!
//! ```text
//!   dora prove ──memfds: library, page──► the same program again, by exec ──► nodes, by inheritance
//!                LD_PRELOAD=/proc/<pid>/fd/N      DORA_COUNT_PAGE=/proc/<pid>/fd/M
//! ```
//!
//! 1. Nothing lies in a file system, so nothing is left behind, however this process ends.
//! 2. `exec` keeps the process id, so the names stay good for as long as this process lives.
//! 3. A descriptor may not set `LD_PRELOAD`, so no node gets around it by its `env:`. One that the user has set goes on
//!    to work, behind ours.
//!
//! A process that cannot load the library (another C library, statically linked, more rights than its user) runs as ever
//! and is not counted; `page` sees that.

use std::{
    env,
    ffi::OsString,
    fs::File,
    io::{self, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::Command,
};

use rustix::{
    fs::{MemfdFlags, ftruncate, memfd_create},
    io::{FdFlags, fcntl_setfd},
};

use super::page::{self, Page};
use crate::error::{CliError, CliResult};

static LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/count_allocations.so"));

/// The page that all processes of this run count in; `Err` is the reason why there is none. Starts this program anew
/// the first time, and does not return then.
///
/// # Errors
/// When the library cannot be stored, or this program not be started again.
pub(super) fn page() -> CliResult<Result<Page, String>> {
    if LIBRARY.is_empty() {
        return Ok(Err("this `dora` was built for a C library that it cannot count in".to_owned()));
    }
    let failed =
        |error: io::Error| CliError::new("failed to prepare the counting of allocations").caused_by(&error);
    match env::var_os(page::ENV_PAGE) {
        Some(name) if name.to_str().is_some_and(|name| name.starts_with(&own_fds())) => {
            let file = File::options().read(true).write(true).open(&name).map_err(failed)?;
            close_on_exec().map_err(failed)?;
            Ok(Ok(Page::map(&file).map_err(failed)?))
        }
        _ => Err(failed(start_anew())),
    }
}

/// `/proc/<own pid>/fd/`
fn own_fds() -> String {
    format!("/proc/{}/fd/", std::process::id())
}

/// Returns only when it failed.
fn start_anew() -> io::Error {
    let prepared = || -> io::Result<(OwnedFd, OwnedFd)> {
        let library = memfd_create("dora-count-library", MemfdFlags::empty())?;
        File::from(library.try_clone()?).write_all(LIBRARY)?;
        let counts = memfd_create("dora-count-page", MemfdFlags::empty())?;
        ftruncate(&counts, page::SIZE as u64)?;
        page::initialise(&counts)?;
        // `try_clone` sets close-on-exec on the copies only; these two are to survive the exec below.
        Ok((library, counts))
    };
    let (library, counts) = match prepared() {
        Ok(fds) => fds,
        Err(error) => return error,
    };
    let name = |fd: &OwnedFd| format!("{}{}", own_fds(), fd.as_raw_fd());
    let mut preload = OsString::from(name(&library));
    if let Some(others) = env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
        preload.push(":");
        preload.push(others);
    }
    // Not `/proc/self/exe`: what runs then would have that for its name.
    let program = match env::current_exe() {
        Ok(program) => program,
        Err(error) => return error,
    };
    let mut again = Command::new(program);
    let mut arguments = env::args_os();
    if let Some(own_name) = arguments.next() {
        again.arg0(own_name);
    }
    again.args(arguments).env("LD_PRELOAD", preload).env(page::ENV_PAGE, name(&counts)).exec()
}

/// The two descriptors came through `exec`; the nodes open them by name and must not inherit them.
fn close_on_exec() -> io::Result<()> {
    let names = [env::var(page::ENV_PAGE), env::var("LD_PRELOAD")];
    for name in names.iter().flatten() {
        let first = name.split(':').next().unwrap_or_default();
        let number = first.strip_prefix(&own_fds()).and_then(|number| number.parse().ok());
        if let Some(number) = number {
            page::with_fd(number, |fd| fcntl_setfd(fd, FdFlags::CLOEXEC))?;
        }
    }
    Ok(())
}
