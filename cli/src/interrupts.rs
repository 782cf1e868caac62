//! The signals by which a user or a service manager ends a program: Ctrl-C, SIGTERM, and SIGHUP when the terminal goes.
//!
//! What the first and the second one mean is for each command to decide.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// All three of them. From its making on none of them ends this process by itself.
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Interrupts {
    /// Has to be called in a tokio runtime.
    ///
    /// # Errors
    /// What the kernel says about the handlers.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Returns with the next one. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
