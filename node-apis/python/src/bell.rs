//! Wakes an asyncio loop: an eventfd that becomes readable when the node should be asked again.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    sync::Arc,
    task::{Wake, Waker},
};

use rustix::event::{EventfdFlags, eventfd};

/// The file descriptor. Rung from any thread, without the GIL.
#[derive(Clone)]
pub(crate) struct Bell(Arc<Ring>);

struct Ring(OwnedFd);

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self(Arc::new(Ring(fd))))
    }

    /// For `loop.add_reader`. Lives as long as this bell.
    pub(crate) fn fd(&self) -> i32 {
        self.0.0.as_raw_fd()
    }

    pub(crate) fn ring(&self) {
        self.0.wake_by_ref();
    }

    pub(crate) fn waker(&self) -> Waker {
        self.0.clone().into()
    }
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Fails only when the counter is full: then it is readable anyway.
        rustix::io::write(&self.0, &1u64.to_ne_bytes()).ok();
    }
}
