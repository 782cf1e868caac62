//! What the user may ask of the controller, by environment variables (`dora run … --env NAME=VALUE`).

use std::{env::VarError, time::Duration};

use eyre::{Result, bail};

/// How late every answer shall be, in milliseconds.
pub const DELAY: &str = "CONTROLLER_DELAY_MS";
/// `1`: answer with no torque at all.
pub const OFF: &str = "CONTROLLER_OFF";

/// How the controller is to misbehave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// It sleeps that long on every answer.
    pub delay: Duration,
    /// It answers zero.
    pub off: bool,
}

impl Options {
    /// Reads the variables through `lookup`, which is [`std::env::var`] outside tests.
    ///
    /// # Errors
    /// A value that means nothing, with the name of its variable.
    pub fn read(lookup: impl Fn(&str) -> Result<String, VarError>) -> Result<Self> {
        let value = |name: &str| match lookup(name) {
            Ok(text) => Ok(Some(text)),
            Err(VarError::NotPresent) => Ok(None),
            Err(error) => bail!("{name}: {error}"),
        };
        let millis = match value(DELAY)?.as_deref() {
            None | Some("") => 0,
            Some(text) => match text.parse::<u32>() {
                Ok(millis) => millis,
                Err(_) => bail!("{DELAY} is `{text}`, which is no number of milliseconds"),
            },
        };
        let off = match value(OFF)?.as_deref() {
            None | Some("" | "0") => false,
            Some("1") => true,
            Some(text) => bail!("{OFF} is `{text}`; it is 1 or 0"),
        };
        Ok(Self { delay: Duration::from_millis(millis.into()), off })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Options> {
        Options::read(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned()).ok_or(VarError::NotPresent)
        })
    }

    #[test]
    fn controller_is_punctual_and_on_unless_told_otherwise() {
        for variables in [&[][..], &[(DELAY, "0"), (OFF, "0")], &[(DELAY, ""), (OFF, "")]] {
            assert_eq!(read(variables).expect("fine"), Options::default(), "{variables:?}");
        }
        let told = read(&[(DELAY, "50"), (OFF, "1")]).expect("fine");
        assert_eq!(told, Options { delay: Duration::from_millis(50), off: true });
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (name, value) in [(DELAY, "soon"), (DELAY, "-1"), (DELAY, "1e9"), (OFF, "yes")] {
            let error = read(&[(name, value)]).expect_err("refused").to_string();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }
}
