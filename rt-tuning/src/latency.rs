//! Keeps cores out of deep idle states, which take tens to hundreds of microseconds to leave.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
};

use crate::TuningError;

const DEVICE: &str = "/dev/cpu_dma_latency";

/// A wish for the whole machine: no idle state that takes longer than this to leave. Held as long as the value
/// lives; the kernel takes it back when the process dies.
#[derive(Debug)]
pub struct CpuDmaLatency {
    _device: File,
}

impl CpuDmaLatency {
    /// Holds the exit latency of every core at or below `us` microseconds; 0 makes idle cores poll, which costs
    /// power and, on shared physical cores, turbo.
    ///
    /// # Errors
    /// The device is missing (some containers and virtual machines) or not writable by this user.
    pub fn hold(us: i32) -> Result<Self, TuningError> {
        let open = || -> io::Result<File> {
            let mut device = OpenOptions::new().write(true).open(DEVICE)?;
            device.write_all(&us.to_ne_bytes())?;
            Ok(device)
        };
        open().map(|device| Self { _device: device }).map_err(|error| refusal(us, &error))
    }
}

fn refusal(us: i32, error: &io::Error) -> TuningError {
    let refused = |reason: String| TuningError::new(format!("idle latency of the cores <= {us} us"), reason);
    match error.kind() {
        io::ErrorKind::NotFound => refused(format!("{DEVICE} does not exist here"))
            .fixed_by("in a container: --device /dev/cpu_dma_latency; otherwise boot with idle=poll or max_cstate=1"),
        io::ErrorKind::PermissionDenied => refused(format!("this user may not write {DEVICE}")).fixed_by(
            "the udev rule `KERNEL==\"cpu_dma_latency\", GROUP=\"realtime\", MODE=\"0660\"` and membership of that group",
        ),
        _ => refused(format!("{DEVICE}: {error}")),
    }
}
