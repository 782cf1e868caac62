//! What a check says: a level, a sentence, why it matters, and what would change it.

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Could not be seen; the sentence says why.
    Unknown,
    /// Costs latency or its bound; real time works.
    Warn,
    /// Real time is refused, or a loop of 1 kHz cannot be relied on.
    Bad,
}

impl Level {
    /// `ok`, `unknown`, `warn` or `bad`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Name of the check, stable: `kernel-preemption`, `cpu-governor`, …
    pub check: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was found: one sentence with a full stop.
    pub found: String,
    /// Why it matters: one sentence with a full stop.
    pub why: &'static str,
    /// What changes it; `None` when it is as it should be, or nothing on this machine can change it.
    pub fix: Option<Fix>,
}

/// What would make a finding good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// The exact command or line.
    pub how: String,
    /// What takes it back; `None` when nothing does.
    pub undo: Option<String>,
    /// The same for the script.
    pub changes: Vec<Change>,
}

/// One step of the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A word on the kernel's command line; needs a reboot.
    KernelArgument(String),
    /// A sysctl, now and at every boot.
    Sysctl {
        /// `kernel.sched_rt_runtime_us`
        key: &'static str,
        /// Its value.
        value: String,
    },
    /// A file of the kernel, now and at every boot.
    File {
        /// Absolute path.
        path: String,
        /// What is written there.
        value: String,
    },
    /// A file of the kernel whose name is another one after the next boot: now only.
    FileNow {
        /// Absolute path.
        path: String,
        /// What is written there.
        value: String,
    },
    /// A udev rule.
    Udev(String),
    /// The group `realtime` with its limits, and the same rights for the systemd service.
    Rights,
    /// A service that is stopped for good.
    StopService(&'static str),
    /// Something that only a person can do.
    ByHand(String),
}

impl Finding {
    pub(super) fn new(
        check: &'static str,
        level: Level,
        found: impl Into<String>,
        why: &'static str,
    ) -> Self {
        Self { check, level, found: found.into(), why, fix: None }
    }

    pub(super) fn fixed_by(self, fix: Fix) -> Self {
        Self { fix: Some(fix), ..self }
    }

    pub(super) fn maybe_fixed_by(self, fix: Option<Fix>) -> Self {
        Self { fix, ..self }
    }
}

impl Fix {
    pub(super) fn new(how: impl Into<String>, undo: impl Into<String>, changes: Vec<Change>) -> Self {
        Self { how: how.into(), undo: Some(undo.into()), changes }
    }

    pub(super) fn by_hand(how: impl Into<String>, undo: Option<&str>) -> Self {
        let how = how.into();
        Self { changes: vec![Change::ByHand(how.clone())], how, undo: undo.map(Into::into) }
    }
}
