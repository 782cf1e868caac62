//! Names of types: `<prefix>/<category>/v<n>/<Name>[key=value,…]`.

use std::{collections::BTreeMap, fmt};

/// A type by name, with its parameters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Urn {
    pub(crate) base: String,
    pub(crate) params: BTreeMap<String, String>,
}

impl fmt::Display for Urn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)?;
        for (number, (key, value)) in self.params.iter().enumerate() {
            write!(f, "{}{key}={value}", if number == 0 { "[" } else { "," })?;
        }
        f.write_str(if self.params.is_empty() { "" } else { "]" })
    }
}

impl Urn {
    /// Takes a name apart, or says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let (base, inside) = match text.split_once('[') {
            None => (text, None),
            Some((base, rest)) => (base, Some(rest)),
        };
        if !is_base(base) {
            return Err("a type reads `<prefix>/<category>/v<n>/<Name>`, such as `std/media/v1/Image`");
        }
        let mut params = BTreeMap::new();
        if let Some(inside) = inside {
            let Some(inside) = inside.strip_suffix(']') else {
                return Err("the bracket with the parameters is not closed");
            };
            for pair in inside.split(',') {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                let (key, value) = (key.trim(), value.trim());
                if key.is_empty() || value.is_empty() {
                    return Err("parameters read `[key=value,key=value]`");
                }
                if params.insert(key.to_owned(), value.to_owned()).is_some() {
                    return Err("a parameter is given twice");
                }
            }
        }
        Ok(Self { base: base.to_owned(), params })
    }

    /// The type without parameters.
    pub(super) fn of(base: &str) -> Self {
        Self { base: base.to_owned(), params: BTreeMap::new() }
    }

    /// A parameter that both have with different values: its key, ours, theirs.
    pub(super) fn conflict<'a>(&'a self, other: &'a Self) -> Option<(&'a str, &'a str, &'a str)> {
        self.params.iter().find_map(|(key, ours)| {
            let theirs = other.params.get(key).filter(|theirs| *theirs != ours)?;
            Some((key.as_str(), ours.as_str(), theirs.as_str()))
        })
    }
}

/// Prefix, at least one category, version and name.
fn is_base(base: &str) -> bool {
    let segments: Vec<&str> = base.split('/').collect();
    let [first @ .., version, name] = segments.as_slice() else { return false };
    let word = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-' || c == '.')
    };
    first.len() >= 2 && first.iter().all(|s| word(s)) && is_version(version) && word(name)
}

/// `v1`
pub(super) fn is_version(text: &str) -> bool {
    text.strip_prefix('v').is_some_and(|n| !n.starts_with('+') && n.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_names_have_prefix_category_version_and_name() {
        for good in ["std/media/v1/Image", "std/media/v1/AudioFrame[sample_type=f32]", "a/b/c/v12/D[k=v,l=w]"]
        {
            assert_eq!(Urn::parse(good).map(|urn| urn.to_string()), Ok(good.to_owned()), "{good}");
        }
        for bad in [
            "Image",
            "std/v1/Image",
            "std/media/1/Image",
            "std/media/v+1/Image",
            "std/media/v1/",
            "std/media/v1/A B",
            "std/media/v1/A[",
            "std/media/v1/A[]",
            "std/media/v1/A[k=]",
            "std/media/v1/A[=v]",
            "std/media/v1/A[k=v",
            "std/media/v1/A[k=v]x",
            "std/media/v1/A[k=v,k=w]",
            "",
        ] {
            assert!(Urn::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_parameter_that_one_side_does_not_have_is_no_conflict() {
        let urn = |text: &str| Urn::parse(&format!("a/b/v1/T{text}")).unwrap();
        for (one, other, conflict) in [
            ("[k=v]", "[k=v]", false),
            ("[k=v]", "", false),
            ("[k=v]", "[l=w]", false),
            ("[k=v,l=w]", "[k=v,l=x]", true),
        ] {
            assert_eq!(urn(one).conflict(&urn(other)).is_some(), conflict, "{one} {other}");
            assert_eq!(urn(other).conflict(&urn(one)).is_some(), conflict, "{other} {one}");
        }
    }
}
