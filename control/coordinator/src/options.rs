//! What a coordinator is told when it starts.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

use dora_protocol::control::DEFAULT_PORT;

use crate::{CoordinatorError, store::StoreChoice};

/// From `Spawn` until every node must be ready, unless told otherwise. Long, because a node may load a model first.
const SPAWN_RESULT: Duration = Duration::from_secs(300);
/// Seconds, or `off`.
const SPAWN_RESULT_ENV: &str = "DORA_SPAWN_RESULT_TIMEOUT_SECS";

/// What a coordinator is told when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Address to listen on.
    pub interface: IpAddr,
    /// Port to listen on; 0 = any.
    pub port: u16,
    /// Where dataflows are kept.
    pub store: StoreChoice,
    /// Ask for a token, also on loopback. On any other address it is always asked for.
    pub auth: bool,
    /// The file with the token; made when it is missing. `None` = [`default_token_file`](crate::default_token_file).
    pub token_file: Option<PathBuf>,
    /// A dataflow whose nodes are not all ready by then is stopped; `None` = never.
    pub spawn_result_timeout: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            interface: Ipv4Addr::LOCALHOST.into(),
            port: DEFAULT_PORT,
            store: StoreChoice::Redb,
            auth: false,
            token_file: None,
            spawn_result_timeout: Some(SPAWN_RESULT),
        }
    }
}

impl Options {
    /// The defaults, with what the environment says.
    ///
    /// # Errors
    /// When a variable cannot be understood: it is named, never ignored.
    pub fn from_env() -> Result<Self, CoordinatorError> {
        let mut options = Self::default();
        if let Some(text) = std::env::var_os(SPAWN_RESULT_ENV) {
            options.spawn_result_timeout = spawn_result(&text.to_string_lossy())?;
        }
        Ok(options)
    }
}

fn spawn_result(text: &str) -> Result<Option<Duration>, CoordinatorError> {
    match text.trim() {
        "off" | "disabled" => Ok(None),
        number => match number.parse::<u32>() {
            Ok(seconds) if seconds > 0 => Ok(Some(Duration::from_secs(seconds.into()))),
            _ => Err(CoordinatorError::Setting(format!(
                "{SPAWN_RESULT_ENV} is `{text}`; it must be a number of seconds above 0, or `off`"
            ))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_for_spawning_is_seconds_or_off_and_nothing_else() {
        assert_eq!(spawn_result("5").unwrap(), Some(Duration::from_secs(5)));
        assert_eq!(spawn_result("off").unwrap(), None);
        for bad in ["", "0", "-1", "5s", "99999999999"] {
            let error = spawn_result(bad).unwrap_err().to_string();
            assert!(error.contains("DORA_SPAWN_RESULT_TIMEOUT_SECS"), "{error}");
        }
    }
}
