//! The token: 32 random bytes as 64 hexadecimal digits, in a file that only its owner can read.
//!
//! Clients look for it in `DORA_AUTH_TOKEN`, `./.dora-token` and the file of [`default_token_file`], and send it as
//! `Authorization: Bearer …`. A coordinator takes the one in `DORA_AUTH_TOKEN`, or that in its file; without either it makes one.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use subtle::ConstantTimeEq;

use crate::CoordinatorError;

/// Overrides every file.
const TOKEN_ENV: &str = "DORA_AUTH_TOKEN";
const DIGITS: usize = 64;

/// `~/.config/dora/.dora-token`, or under `$XDG_CONFIG_HOME`.
pub fn default_token_file() -> Option<PathBuf> {
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let config = config.or_else(|| std::env::home_dir().map(|home| home.join(".config")));
    config.map(|config| config.join("dora/.dora-token"))
}

/// A secret that clients must know.
#[derive(Clone)]
pub(crate) struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// Does the value of an `Authorization` header hold it? Takes as long for a token that differs early as for one that differs late.
    pub(crate) fn is_in(&self, header: Option<&[u8]>) -> bool {
        let given = header.and_then(|header| {
            let (scheme, token) = header.split_at_checked(7)?;
            scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
        });
        given.is_some_and(|given| bool::from(self.0.as_bytes().ct_eq(given)))
    }

    /// The token of this coordinator.
    pub(crate) fn find_or_make(file: Option<&Path>) -> Result<Self, CoordinatorError> {
        if let Ok(token) = std::env::var(TOKEN_ENV) {
            return checked(token.trim()).ok_or_else(|| {
                CoordinatorError::Setting(format!("{TOKEN_ENV} must be 64 hexadecimal digits"))
            });
        }
        let Some(path) = file.map(Path::to_owned).or_else(default_token_file) else {
            let message = format!("there is no home folder for the token file; set {TOKEN_ENV}");
            return Err(CoordinatorError::Setting(message));
        };
        from_file(&path).map_err(|source| CoordinatorError::Token { path, source })
    }
}

fn checked(text: &str) -> Option<Token> {
    let good = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    good.then(|| Token(text.to_owned()))
}

fn from_file(path: &Path) -> io::Result<Token> {
    match fs::read_to_string(path) {
        Ok(text) => {
            // A token that others could read is none, but it may have been copied here by hand: close the file, and go on.
            if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
                fs::set_permissions(path, Permissions::from_mode(0o600))?;
                tracing::warn!("others could read the token file {}; it has mode 0600 now", path.display());
            }
            checked(text.trim()).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    "it does not hold 64 hexadecimal digits; delete it to have a new one made",
                )
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path),
        Err(error) => Err(error),
    }
}

fn make(path: &Path) -> io::Result<Token> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut bytes = [0; DIGITS / 2];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(format!("no random numbers: {error}")))?;
    let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(token.as_bytes())?;
    file.sync_all()?;
    Ok(Token(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_readable_by_its_owner_only_and_recognised() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config/dora/.dora-token");
        let first = from_file(&path).unwrap();
        let again = from_file(&path).unwrap();
        assert_eq!(first.0, again.0);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for good in [format!("Bearer {}", first.0), format!("bearer {} ", first.0)] {
            assert!(first.is_in(Some(good.as_bytes())), "{good}");
        }
        let other = "0".repeat(DIGITS);
        for bad in
            [String::new(), "Bearer".into(), "Bearer ".into(), first.0.clone(), format!("Bearer {other}")]
        {
            assert!(!first.is_in(Some(bad.as_bytes())), "{bad}");
        }
        assert!(!first.is_in(None));
        assert_ne!(from_file(&dir.path().join("other")).unwrap().0, first.0);
    }

    #[test]
    fn a_token_file_that_others_can_read_is_closed_and_one_without_a_token_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t");
        fs::write(&path, "a".repeat(DIGITS) + "\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        from_file(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "secret").unwrap();
        assert!(from_file(&path).unwrap_err().to_string().contains("64 hexadecimal digits"));
    }
}
