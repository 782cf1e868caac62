//! How a daemon is to be, and what it tells whoever started it.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use dora_protocol::log::LogLevel;
use tokio::sync::mpsc;

use crate::options::RtMode;

/// Options of a daemon.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// Where the coordinator listens.
    pub coordinator: SocketAddr,
    /// What the coordinator may want to see before it lets us in.
    pub token: Option<String>,
    /// Name of this machine; a daemon without one is the default.
    pub machine_id: Option<String>,
    /// The socket of dynamic nodes, of the form that [`local_socket`](dora_protocol::local_socket) gives. One for the whole life
    /// of the daemon.
    pub listen: PathBuf,
    /// What the placement of nodes may ask for.
    pub labels: BTreeMap<String, String>,
    /// Real-time mode of this process, and of dataflows that were started without one of their own.
    pub rt: RtMode,
    /// Start `path: shell` nodes.
    pub allow_shell_nodes: bool,
    /// Keep what nodes print in their files and send none of it to the coordinator.
    pub quiet: bool,
    /// Told what happens to the daemon. Nothing waits for it: what does not fit is dropped.
    pub sayings: mpsc::Sender<Saying>,
}

/// A sentence of the daemon's own.
#[derive(Clone, Debug)]
pub struct Saying {
    /// Severity.
    pub level: LogLevel,
    /// The sentence.
    pub text: String,
}

impl HostOptions {
    pub(super) fn say(&self, level: LogLevel, text: impl Into<String>) {
        // Who does not listen, or not fast enough, misses it.
        self.sayings.try_send(Saying { level, text: text.into() }).unwrap_or_default();
    }
}

/// Asks a daemon to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndRequest {
    /// Stop all dataflows as `dora stop` does, then end.
    Graceful,
    /// SIGKILL for all nodes, then end.
    Kill,
}

/// Why a daemon could not begin its work, or ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The coordinator answered, and does not want this daemon.
    #[error("the coordinator at {address} does not accept this daemon: {reason}")]
    Refused {
        /// Where it listens.
        address: SocketAddr,
        /// In its words.
        reason: String,
    },
    /// `--rt` was asked for and this process did not get what it takes.
    #[error("the real-time set-up of the daemon is incomplete: {0}; `--rt=best-effort` goes on without it")]
    RealTime(String),
    /// There would be no way in for dynamic nodes.
    #[error("failed to listen for dynamic nodes on {}: {source}", path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The daemon's own machinery could not be started.
    #[error("failed to start {what}: {source}")]
    Machinery {
        /// Which part.
        what: &'static str,
        /// What the kernel said.
        source: std::io::Error,
    },
}
