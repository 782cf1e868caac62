//! Where a daemon listens for nodes that it did not start (`path: dynamic`), so that daemon and node agree.
//!
//! ```text
//! $XDG_RUNTIME_DIR/dora/daemon-<port>.sock     or, without that folder,     /tmp/dora-<uid>/daemon-<port>.sock
//! ```
//!
//! The folder belongs to the user and has mode 0700. It is a Unix socket: "port" is the number that tells daemons of one user
//! apart, and no TCP port. Nothing here touches the file system.

use std::path::{Path, PathBuf};

/// Number of the daemon, where nothing else is said.
pub const DEFAULT_PORT: u16 = 53291;

/// Name of the environment variable that holds the number of the daemon.
pub const ENV_PORT: &str = "DORA_DAEMON_LOCAL_LISTEN_PORT";

/// Name of the environment variable that holds the user's runtime folder.
pub const ENV_RUNTIME_DIR: &str = "XDG_RUNTIME_DIR";

/// The folder of the sockets of user `uid`; `runtime_dir` is the value of [`ENV_RUNTIME_DIR`].
///
/// Whoever makes it gives it mode 0700, and whoever finds it checks that it belongs to the user: anybody may have made the one
/// in `/tmp`.
pub fn folder(runtime_dir: Option<&Path>, uid: u32) -> PathBuf {
    match runtime_dir.filter(|dir| dir.is_absolute()) {
        Some(dir) => dir.join("dora"),
        None => PathBuf::from(format!("/tmp/dora-{uid}")),
    }
}

/// The socket of daemon `port` of user `uid`; `runtime_dir` is the value of [`ENV_RUNTIME_DIR`].
pub fn path(runtime_dir: Option<&Path>, uid: u32, port: u16) -> PathBuf {
    folder(runtime_dir, uid).join(format!("daemon-{port}.sock"))
}

/// The number in the value of [`ENV_PORT`]; [`DEFAULT_PORT`] when it is not set or empty.
///
/// # Errors
/// A sentence, when it is no number from 1 to 65535.
pub fn port(value: Option<&str>) -> Result<u16, String> {
    let Some(text) = value.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(DEFAULT_PORT) };
    let number = text.parse().ok().filter(|port| *port != 0);
    number.ok_or_else(|| format!("`{ENV_PORT}` is `{text}`; it must be a number from 1 to 65535"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_lies_in_the_runtime_folder_or_in_one_that_names_the_user() {
        let run = Path::new("/run/user/1000");
        assert_eq!(path(Some(run), 1000, 7), Path::new("/run/user/1000/dora/daemon-7.sock"));
        for without in [None, Some(Path::new("")), Some(Path::new("relative"))] {
            assert_eq!(path(without, 1000, DEFAULT_PORT), Path::new("/tmp/dora-1000/daemon-53291.sock"));
        }
    }

    #[test]
    fn a_port_that_is_none_is_refused_with_its_variable() {
        assert_eq!(
            (port(None), port(Some(" ")), port(Some(" 8 "))),
            (Ok(DEFAULT_PORT), Ok(DEFAULT_PORT), Ok(8))
        );
        for bad in ["0", "-1", "65536", "x"] {
            assert!(port(Some(bad)).unwrap_err().contains(ENV_PORT), "{bad}");
        }
    }
}
