//! The token that a coordinator may ask for.
//!
//! `DORA_AUTH_TOKEN`, else the first of `./.dora-token` and `~/.config/dora/.dora-token` that is there.

use std::path::{Path, PathBuf};

/// Name of the variable that wins over the files.
pub(crate) const ENV_TOKEN: &str = "DORA_AUTH_TOKEN";
const FILE: &str = ".dora-token";

/// The token, if there is one.
pub(crate) fn token() -> Option<String> {
    let from_env = std::env::var(ENV_TOKEN).ok();
    find(from_env, Path::new(FILE), dora_coordinator::default_token_file())
}

fn find(from_env: Option<String>, here: &Path, of_user: Option<PathBuf>) -> Option<String> {
    let files = [Some(here.to_owned()), of_user];
    let from_file =
        || files.into_iter().flatten().find_map(|file| usable(&std::fs::read_to_string(file).ok()?));
    from_env.as_deref().and_then(usable).or_else(from_file)
}

/// What can stand in a header, without the line's end.
fn usable(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_wins_over_working_folder_and_that_over_home() {
        let dir = tempfile::tempdir().unwrap();
        let (here, of_user) = (dir.path().join("here"), dir.path().join("of-user"));
        let look = |env: Option<&str>| find(env.map(str::to_owned), &here, Some(of_user.clone()));
        assert_eq!(look(None), None);
        std::fs::write(&of_user, "of-user\n").unwrap();
        assert_eq!(look(None).as_deref(), Some("of-user"));
        std::fs::write(&here, "of-here").unwrap();
        assert_eq!(look(None).as_deref(), Some("of-here"));
        assert_eq!(look(Some("of-env")).as_deref(), Some("of-env"));
        assert_eq!(look(Some("  ")).as_deref(), Some("of-here"), "an empty variable is none");
    }

    #[test]
    fn text_that_cannot_stand_in_a_header_is_no_token() {
        for bad in ["", " \n", "a b", "a\nb", "ä"] {
            assert_eq!(usable(bad), None, "{bad:?}");
        }
    }
}
