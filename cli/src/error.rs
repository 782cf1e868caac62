//! How a failed command explains itself: a heading, a message, its causes, and what to do.
//!
//! ```text
//! [ERROR]
//! failed to build node `camera` (flow.yml:7:5)
//!
//! Caused by:
//!   cannot start `cargo`: No such file or directory
//!
//! hint: install it, or correct the `build:` line
//! ```
//!
//! No backtrace and no position in our own source: the reader is building a robot, not this program.

use std::{error::Error, fmt};

/// Why a command ended with exit code 1.
#[derive(Debug)]
pub(crate) struct CliError {
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
}

/// What a command returns.
pub(crate) type CliResult<T = ()> = Result<T, CliError>;

impl CliError {
    /// An error without cause.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new(), hints: Vec::new() }
    }

    /// An error whose message is that of `error`; what `error` was caused by becomes the chain.
    pub(crate) fn from_error(error: &(dyn Error + 'static)) -> Self {
        let mut this = Self::new(error.to_string());
        this.push_chain(error.source());
        this
    }

    /// Adds `error` and everything behind it to the `Caused by:` chain.
    pub(crate) fn caused_by(mut self, error: &(dyn Error + 'static)) -> Self {
        self.push_chain(Some(error));
        self
    }

    /// Adds a `hint:` line: something that the reader can do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// What went wrong, without causes and hints.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    fn push_chain(&mut self, mut next: Option<&(dyn Error + 'static)>) {
        while let Some(error) = next {
            let text = error.to_string();
            // Many errors repeat their source in their own text: say it once.
            if !self.message.contains(&text) && !self.causes.iter().any(|said| said.contains(&text)) {
                self.causes.push(text);
            }
            next = error.source();
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[ERROR]\n{}", self.message.trim_end())?;
        if !self.causes.is_empty() {
            write!(f, "\n\nCaused by:")?;
            for cause in &self.causes {
                write!(f, "\n  {cause}")?;
            }
        }
        if !self.hints.is_empty() {
            writeln!(f)?;
            for hint in &self.hints {
                write!(f, "\nhint: {hint}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn error_text_has_heading_message_causes_and_hints() {
        let cause = io::Error::new(io::ErrorKind::NotFound, "no such file");
        let error = CliError::new("cannot read `flow.yml`").caused_by(&cause).hint("check the path");
        assert_eq!(
            error.to_string(),
            "[ERROR]\ncannot read `flow.yml`\n\nCaused by:\n  no such file\n\nhint: check the path"
        );
    }

    #[test]
    fn cause_that_the_message_already_tells_is_not_repeated() {
        let cause = io::Error::other("disk full");
        let error = CliError::new("cannot write: disk full").caused_by(&cause);
        assert_eq!(error.to_string(), "[ERROR]\ncannot write: disk full");
    }

    #[test]
    fn plain_error_is_heading_and_message_only() {
        assert_eq!(CliError::new("no").to_string(), "[ERROR]\nno");
    }
}
