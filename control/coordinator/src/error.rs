//! Why a coordinator could not be started.

use std::{io, net::SocketAddr, path::PathBuf};

/// Why a coordinator could not be started, or had to end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoordinatorError {
    /// The address is taken, or not ours.
    #[error("the coordinator cannot listen on {address}: {source}{}", hint(source))]
    Listen {
        /// Asked for.
        address: SocketAddr,
        /// As the system says.
        source: io::Error,
    },
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The token cannot be made or read.
    #[error("the token file {} cannot be used: {source}", path.display())]
    Token {
        /// Where it is, or should be.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A setting makes no sense.
    #[error("{0}")]
    Setting(String),
    /// A thread or socket could not be had.
    #[error("the coordinator failed {what}: {source}")]
    Machinery {
        /// While doing what.
        what: &'static str,
        /// As the system says.
        source: io::Error,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another coordinator may run there (`dora status`), another port is chosen with --port"
        }
        _ => "",
    }
}

/// Why a store cannot be used. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Written by another version of dora.
    #[error(
        "the store {} has schema version {found}, this dora knows {known}; `dora up --recreate-store` puts it aside and \
         starts with an empty one",
        path.display()
    )]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// In the file.
        found: String,
        /// Ours.
        known: u64,
    },
    /// Another coordinator has it open.
    #[error("the store {} is in use by another coordinator; stop that one, or choose another file with --store redb:<path>", .0.display())]
    InUse(PathBuf),
    /// It is not what it should be.
    #[error(
        "the store {} cannot be read: {why}; `dora up --recreate-store` puts it aside and starts with an empty one",
        path.display()
    )]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The file or its folder cannot be made or opened.
    #[error("the store {} cannot be opened: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// As the system says.
        source: io::Error,
    },
    /// A record could not be written.
    #[error("the store {} cannot be written: {why}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// `--store` makes no sense.
    #[error("{0}")]
    Choice(String),
}
