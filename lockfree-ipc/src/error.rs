//! What can go wrong, and what is left then.

/// A segment could not be created, mapped or believed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The operating system said no.
    #[error("{what}: {source}")]
    Os {
        /// The step.
        what: &'static str,
        /// Its reason.
        source: std::io::Error,
    },
    /// The descriptor is not what it should be.
    #[error("shared memory segment is not {expected}: {why}")]
    Foreign {
        /// `an edge`, `an arena`, …
        expected: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// Made by another version of this library.
    #[error(
        "shared memory layout version {theirs}, this program speaks version {ours}; rebuild both with the same dora"
    )]
    Version {
        /// In the segment.
        theirs: u32,
        /// In this program.
        ours: u32,
    },
}

impl OpenError {
    pub(crate) fn os(what: &'static str) -> impl FnOnce(rustix::io::Errno) -> OpenError {
        move |e| OpenError::Os { what, source: e.into() }
    }
}

/// Why an edge gives nothing more. The other edges of the node are not concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EdgeError {
    /// The other process wrote something impossible.
    #[error("the other process wrote an impossible {what}")]
    Corrupt {
        /// Which word.
        what: &'static str,
    },
    /// Closed by an earlier error.
    #[error("the edge is closed")]
    Closed,
}

/// Why there is no slot for a message. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoanError {
    /// Larger than the output allows.
    #[error("the message is larger than the {max} bytes this output allows")]
    TooLarge {
        /// Largest payload plus metadata, in bytes.
        max: u64,
    },
    /// The readers hold every slot of this size.
    #[error("the readers hold every slot of this size")]
    NoSlot,
}

const _: () = assert!(size_of::<EdgeError>() <= 24, "returned on the hot path");
