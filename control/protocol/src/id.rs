//! Names that people give: nodes, data, operators. Parsing an untrusted name never panics.

use std::{borrow::Borrow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Identifies one run of one dataflow.
pub type DataflowId = uuid::Uuid;

/// Why a name was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a valid {what}: {why}")]
pub struct IdError {
    /// `node id`, `data id` or `operator id`.
    pub what: &'static str,
    /// The refused text.
    pub name: String,
    /// The rule it breaks, with the allowed set.
    pub why: &'static str,
}

const WORD: &str = "only letters, digits, `_`, `.` and `-` are allowed";

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

fn check_node(s: &str) -> Result<(), &'static str> {
    if s.is_empty() {
        Err("it is empty")
    } else if s.contains('/') {
        Err("`/` separates node and output, so it cannot be part of the name")
    } else if !s.chars().all(is_word) {
        Err(WORD)
    } else if s.starts_with('.') {
        Err("it must not start with `.`")
    } else if s == "dora" {
        Err("`dora` is reserved for built-in sources such as `dora/timer/…`")
    } else {
        Ok(())
    }
}

fn check_data(s: &str) -> Result<(), &'static str> {
    if s.is_empty() {
        Err("it is empty")
    } else if !s.chars().all(|c| is_word(c) || c == '/') {
        Err("only letters, digits, `_`, `.`, `-` and `/` are allowed")
    } else if s.split('/').any(str::is_empty) {
        Err("`/` must stand between two names")
    } else {
        Ok(())
    }
}

fn check_operator(s: &str) -> Result<(), &'static str> {
    if s.is_empty() {
        Err("it is empty")
    } else if s.contains('/') {
        Err("`/` separates operator and output, so it cannot be part of the name")
    } else {
        Ok(())
    }
}

/// `From<String>` never panics and never refuses, so what comes from outside is parsed instead.
macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $checked:ident = $checked_name:literal, $what:literal, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = $checked_name, into = "String")]
        pub struct $name(String);

        #[derive(Deserialize)]
        struct $checked(String);

        impl TryFrom<$checked> for $name {
            type Error = IdError;
            fn try_from(s: $checked) -> Result<Self, IdError> {
                s.0.parse()
            }
        }

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(s: &str) -> Result<Self, IdError> {
                match $check(s) {
                    Ok(()) => Ok(Self(s.to_owned())),
                    Err(why) => Err(IdError { what: $what, name: s.to_owned(), why }),
                }
            }
        }

        impl From<String> for $name {
            fn from(s: String) -> Self {
                Self(s)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }
    };
}

id_type!(
    /// Name of a node: `[a-zA-Z0-9_.-]+`, no leading `.`, not `dora`.
    ///
    /// `From<String>` exists because node code reads `NodeId::from(name)`. It never panics: a name outside the
    /// allowed set becomes a `NodeId` that no dataflow knows. Parse with [`str::parse`] where the text comes from
    /// a user.
    NodeId, CheckedNodeId = "CheckedNodeId", "node id", check_node
);
id_type!(
    /// Name of an operator inside a runtime node: anything but empty, without `/`.
    ///
    /// `From<String>` takes any text, as that of [`NodeId`] does.
    OperatorId, CheckedOperatorId = "CheckedOperatorId", "operator id", check_operator
);

/// Name of an input or output: `[a-zA-Z0-9_.-]+` segments, separated by single `/`.
///
/// `From<&str>` and `From<String>` exist because node code reads `"image".into()`. They never panic: a name
/// outside the allowed set becomes a `DataId` that no descriptor can declare, so that sending to it is reported
/// as an undeclared output. Parse with [`str::parse`] where the text comes from a user.
///
/// It reads like the `String` in it: `id.starts_with("cam")`, `&*id`, `map.get(&name)` with a `String`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "CheckedDataId", into = "String")]
pub struct DataId(String);

#[derive(Deserialize)]
struct CheckedDataId(String);

impl TryFrom<CheckedDataId> for DataId {
    type Error = IdError;
    fn try_from(s: CheckedDataId) -> Result<Self, IdError> {
        s.0.parse()
    }
}

impl DataId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DataId {
    type Err = IdError;
    fn from_str(s: &str) -> Result<Self, IdError> {
        match check_data(s) {
            Ok(()) => Ok(Self(s.to_owned())),
            Err(why) => Err(IdError { what: "data id", name: s.to_owned(), why }),
        }
    }
}

impl From<String> for DataId {
    fn from(s: String) -> Self {
        Self(s)
    }
}

impl From<&str> for DataId {
    fn from(s: &str) -> Self {
        Self(s.to_owned())
    }
}

impl From<DataId> for String {
    fn from(id: DataId) -> String {
        id.0
    }
}

impl fmt::Display for DataId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for DataId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl AsRef<String> for DataId {
    fn as_ref(&self) -> &String {
        &self.0
    }
}

impl Borrow<str> for DataId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Borrow<String> for DataId {
    fn borrow(&self) -> &String {
        &self.0
    }
}

impl std::ops::Deref for DataId {
    type Target = String;

    fn deref(&self) -> &String {
        &self.0
    }
}

impl PartialEq<str> for DataId {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for DataId {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_ids_follow_the_rule_and_say_which_one_they_break() {
        for good in ["a", "camera-1", "x.y_z", "Dora"] {
            assert!(good.parse::<NodeId>().is_ok(), "{good}");
        }
        for bad in ["", ".hidden", "a/b", "a b", "dora", "é"] {
            let error = bad.parse::<NodeId>().unwrap_err();
            assert!(error.to_string().contains("node id"), "{error}");
        }
    }

    #[test]
    fn data_ids_may_have_segments_but_no_empty_one() {
        assert!("op/image".parse::<DataId>().is_ok());
        for bad in ["/a", "a/", "a//b", "a b"] {
            assert!(bad.parse::<DataId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_from_json_are_checked_although_those_from_text_in_a_program_are_not() {
        assert_eq!(NodeId::from("a/b".to_owned()).as_str(), "a/b");
        assert!(serde_json::from_str::<NodeId>("\"a/b\"").is_err());
        assert!(serde_json::from_str::<OperatorId>("\"a/b\"").is_err());
        assert_eq!(serde_json::to_string(&OperatorId::from("op".to_owned())).unwrap(), "\"op\"");
        assert!(serde_json::from_str::<DataId>("\"a//b\"").is_err());
        assert_eq!(serde_json::from_str::<DataId>("\"a/b\"").unwrap(), "a/b");
    }
}
