//! `~/.dora`: the folder of the background processes, and the daemon's place in it.
//!
//! | file                      | what                                                                       |
//! |---------------------------|----------------------------------------------------------------------------|
//! | `coordinator.log`         | what the coordinator says                                                  |
//! | `daemon.log`              | what the daemon says                                                       |
//! | `daemon.lock`             | locked by the daemon for as long as it lives, whatever kills it; its process id |
//!
//! Files of a coordinator on another port have it in their name: `daemon-7000.log`.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::PathBuf,
    time::{Duration, Instant},
};

use dora_protocol::control::DEFAULT_PORT;
use rustix::process::Pid;

use crate::error::{CliError, CliResult};

/// A log file is put aside when it has grown to this, in bytes.
const LARGEST_LOG: u64 = 16 << 20;

/// The folder, for the coordinator on one port.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    folder: PathBuf,
    suffix: String,
}

impl Home {
    /// Makes the folder, readable by its owner only.
    ///
    /// # Errors
    /// When there is no home folder, or it cannot be written to.
    pub(crate) fn new(port: u16) -> CliResult<Self> {
        let home = std::env::home_dir().filter(|home| home.is_absolute()).ok_or_else(|| {
            CliError::new("there is no home folder for the files of coordinator and daemon")
                .hint("set HOME to a folder that can be written to")
        })?;
        let folder = home.join(".dora");
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| {
            CliError::new(format!("failed to make the folder {}", folder.display()))
                .caused_by(&error)
                .hint("coordinator and daemon keep their log files there; set HOME to a folder that can be written to")
        })?;
        let suffix = if port == DEFAULT_PORT { String::new() } else { format!("-{port}") };
        Ok(Self { folder, suffix })
    }

    /// A file of this coordinator: `<stem>[-<port>].<extension>`.
    pub(crate) fn file(&self, stem: &str, extension: &str) -> PathBuf {
        self.folder.join(format!("{stem}{}.{extension}", self.suffix))
    }

    /// The folder itself.
    pub(crate) fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// Opens a log file to write at its end. One that has grown large becomes `<name>.1` before.
    ///
    /// # Errors
    /// What the kernel says, with the name of the file.
    pub(crate) fn log(&self, stem: &str) -> CliResult<(PathBuf, File)> {
        let path = self.file(stem, "log");
        if path.metadata().is_ok_and(|file| file.len() > LARGEST_LOG) {
            // When it cannot be renamed it grows on.
            fs::rename(&path, path.with_extension("log.1")).unwrap_or_default();
        }
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        file.map(|file| (path.clone(), file)).map_err(|error| {
            CliError::new(format!("failed to open the log file {}", path.display())).caused_by(&error)
        })
    }

    fn lock_file(&self, what: &str) -> io::Result<File> {
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(self.file(what, "lock"))
    }

    /// Waits until nobody else starts or ends this pair. Held until the file is dropped.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn alone(&self) -> CliResult<File> {
        let lock = || {
            let file = self.lock_file("up")?;
            file.lock().map(|()| file)
        };
        lock().map_err(|error: io::Error| {
            CliError::new(format!("failed to lock {}", self.file("up", "lock").display())).caused_by(&error)
        })
    }

    /// Takes the daemon's place. It is free again when the file is dropped, or the process has ended in whatever way.
    ///
    /// # Errors
    /// When another daemon has it.
    pub(crate) fn take_place(&self) -> CliResult<File> {
        let failed = |error: io::Error| {
            CliError::new(format!("failed to lock {}", self.file("daemon", "lock").display()))
                .caused_by(&error)
        };
        let mut file = self.lock_file("daemon").map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let pid = self.daemon().map(|pid| format!(", process {pid}")).unwrap_or_default();
                return Err(
                    CliError::new(format!("there is a daemon already{pid}")).hint("end it with `dora down`")
                );
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let written =
            file.set_len(0).and_then(|()| file.write_all(std::process::id().to_string().as_bytes()));
        written.map_err(failed)?;
        Ok(file)
    }

    /// The process that has the daemon's place.
    pub(crate) fn daemon(&self) -> Option<Pid> {
        let mut file = self.lock_file("daemon").ok()?;
        if !matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
            return None;
        }
        let mut text = String::new();
        file.seek(SeekFrom::Start(0)).ok()?;
        file.read_to_string(&mut text).ok()?;
        let pid = text.trim().parse().ok().filter(|pid: &i32| *pid > 0)?;
        Pid::from_raw(pid)
    }

    /// Waits until nobody has the daemon's place; `false` when somebody still has it after `patience`.
    pub(crate) fn place_becomes_free(&self, patience: Duration) -> bool {
        let begin = Instant::now();
        while self.daemon().is_some() {
            if begin.elapsed() > patience {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(port: u16) -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().unwrap();
        let suffix = if port == DEFAULT_PORT { String::new() } else { format!("-{port}") };
        let home = Home { folder: dir.path().to_owned(), suffix };
        (dir, home)
    }

    #[test]
    fn place_of_the_daemon_is_taken_once_and_free_when_its_holder_is_gone() {
        let (_dir, home) = home(DEFAULT_PORT);
        assert_eq!(home.daemon(), None);
        let held = home.take_place().unwrap();
        assert_eq!(home.daemon().map(|pid| pid.as_raw_nonzero().get() as u32), Some(std::process::id()));
        let refused = home.take_place().unwrap_err().to_string();
        assert!(refused.contains(&std::process::id().to_string()), "{refused}");
        assert!(!home.place_becomes_free(Duration::ZERO));
        drop(held);
        assert!(home.place_becomes_free(Duration::ZERO) && home.daemon().is_none());
    }

    #[test]
    fn coordinators_on_two_ports_share_no_file() {
        let (_dir, first) = home(DEFAULT_PORT);
        let second = Home { suffix: "-7000".to_owned(), ..first.clone() };
        assert_eq!(first.file("daemon", "log").file_name().unwrap(), "daemon.log");
        assert_eq!(second.file("daemon", "log").file_name().unwrap(), "daemon-7000.log");
        let _held = first.take_place().unwrap();
        assert!(second.take_place().is_ok());
    }

    #[test]
    fn log_file_that_has_grown_large_is_put_aside() {
        let (_dir, home) = home(DEFAULT_PORT);
        let (path, file) = home.log("daemon").unwrap();
        file.set_len(LARGEST_LOG + 1).unwrap();
        let (_, file) = home.log("daemon").unwrap();
        assert_eq!(file.metadata().unwrap().len(), 0);
        assert!(path.with_extension("log.1").is_file());
    }
}
