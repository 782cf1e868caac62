//! Who can talk to whom.

use dora_protocol::control::DORA_VERSION;
use semver::Version;

/// Do the versions fit, by the rules of semantic versioning: before 1.0 the minor number must be the same, from then on the major one.
///
/// # Errors
/// A sentence that names both.
pub(crate) fn check(who: &str, theirs: &str) -> Result<(), String> {
    let ours = Version::parse(DORA_VERSION).map_err(|e| format!("the coordinator has no version: {e}"))?;
    let parsed = Version::parse(theirs)
        .map_err(|_| format!("the {who} says its version is `{}`, which is none", shortened(theirs)))?;
    let fits = ours.major == parsed.major && (ours.major > 0 || ours.minor == parsed.minor);
    if fits {
        return Ok(());
    }
    Err(format!(
        "version mismatch: the {who} is dora {parsed}, the coordinator is dora {ours}; use the same version for both \
         (`dora down`, then `dora up` with the new one)"
    ))
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_differ_in_the_patch_only_fit_and_others_are_both_named() {
        let ours = Version::parse(DORA_VERSION).unwrap();
        let patch = format!("{}.{}.{}", ours.major, ours.minor, ours.patch + 7);
        assert_eq!(check("CLI", DORA_VERSION), Ok(()));
        assert_eq!(check("CLI", &patch), Ok(()));
        let other = format!("{}.{}.0", ours.major + 1, ours.minor);
        let error = check("CLI", &other).unwrap_err();
        assert!(error.contains(&other) && error.contains(DORA_VERSION), "{error}");
        for garbage in ["", "1", "x".repeat(10_000).as_str()] {
            let error = check("daemon", garbage).unwrap_err();
            assert!(error.contains("daemon") && error.len() < 200, "{error}");
        }
    }
}
