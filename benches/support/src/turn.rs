//! One benchmark at a time: two pairs of processes that spin under SCHED_FIFO on the same two cores starve each other for good,
//! because nobody of one priority makes room for the next.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
};

/// Held while figures are measured; free again when it is dropped or its process ends.
#[derive(Debug)]
pub struct Turn {
    _file: Option<File>,
}

/// Waits, and says so, until no other benchmark of this machine is at work. Goes on without where the lock's file cannot be
/// opened, as when it is another user's.
#[must_use]
pub fn wait() -> Turn {
    wait_for(&std::env::temp_dir().join("dora-bench.lock"))
}

fn wait_for(path: &Path) -> Turn {
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = opened.ok().and_then(|file| match file.try_lock() {
        Ok(()) => Some(file),
        Err(TryLockError::WouldBlock) => {
            eprintln!("another benchmark is at work; this one waits for its end ({})", path.display());
            file.lock().ok().map(|()| file)
        }
        Err(TryLockError::Error(_)) => None,
    });
    Turn { _file: file }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

    use super::*;

    #[test]
    fn a_second_benchmark_waits_for_the_first_and_one_without_a_lock_runs() {
        let path = std::env::temp_dir().join(format!("dora-bench-test-{}.lock", std::process::id()));
        let first = wait_for(&path);
        let (done, is_done) = mpsc::channel();
        let second = thread::spawn({
            let path = path.clone();
            move || {
                let turn = wait_for(&path);
                done.send(()).unwrap();
                turn
            }
        });
        assert!(is_done.recv_timeout(Duration::from_millis(100)).is_err(), "both at once");
        drop(first);
        is_done.recv().unwrap();
        drop(second.join().unwrap());
        std::fs::remove_file(&path).unwrap();
        assert!(wait_for(Path::new("/proc/no/such/folder"))._file.is_none());
    }
}
