//! The one error of this crate: what was asked for, why it was refused, what mends it.

/// Something that was asked of the operating system and refused. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {reason}{}", self.fix.as_ref().map(|fix| format!(" (fix: {fix})")).unwrap_or_default())]
pub struct TuningError {
    /// What was asked for: `scheduling fifo 80`, `memory lock`, …
    pub what: String,
    /// Why not, in a clause without a full stop.
    pub reason: String,
    /// Command or setting that would make it work, when there is one.
    pub fix: Option<String>,
}

impl TuningError {
    pub(crate) fn new(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { what: what.into(), reason: reason.into(), fix: None }
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn fixed_by(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_an_error_names_request_reason_and_fix() {
        let bare = TuningError::new("memory lock", "the limit is 64 KiB");
        assert_eq!(bare.to_string(), "memory lock: the limit is 64 KiB");
        let fixed = TuningError { fix: Some("ulimit -l unlimited".into()), ..bare };
        assert_eq!(fixed.to_string(), "memory lock: the limit is 64 KiB (fix: ulimit -l unlimited)");
    }
}
