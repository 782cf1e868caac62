//! The first message of an annotated input is compared with what the descriptor says; a mismatch is a warning.
//!
//! Only the plain types of `std/core/v1` are compared here. Messages that belong to a request or a goal are
//! skipped, because one such input may carry several types.

use arrow_schema::DataType;
use dora_protocol::{DataId, NodeId};
use serde_json::Value;

/// What an input expects, until its first message was seen.
#[derive(Debug, Default)]
pub(crate) struct Expected(Option<String>);

impl Expected {
    /// What the descriptor says about this input.
    pub(crate) fn of(descriptor: &Value, node: &NodeId, input: &DataId) -> Self {
        let nodes = descriptor.get("nodes").and_then(Value::as_array);
        let node = nodes
            .and_then(|nodes| nodes.iter().find(|one| one.get("id").is_some_and(|id| *id == *node.as_str())));
        let urn = node.and_then(|node| node.get("input_types")?.get(input.as_str())?.as_str());
        let urn = urn.filter(|urn| accepted(urn).is_some());
        Self(urn.map(str::to_owned))
    }

    /// Compares a message, if it is the first. Says what is wrong.
    pub(crate) fn mismatch(&mut self, input: &DataId, found: &DataType) -> Option<String> {
        let urn = self.0.take()?;
        let accepted = accepted(&urn)?;
        if accepted.contains(found) {
            return None;
        }
        Some(format!(
            "input `{input}` is annotated as `{urn}`, but its first message is {found:?}; correct `input_types`, or \
             what the sender sends"
        ))
    }

    /// Nothing to compare any more.
    pub(crate) fn is_done(&self) -> bool {
        self.0.is_none()
    }
}

/// The types that may flow into an input of this type: itself, and those that widen to it. `None` when it is not a
/// plain type, or takes anything.
fn accepted(urn: &str) -> Option<&'static [DataType]> {
    use DataType::{
        Boolean, Float32, Float64, Int8, Int16, Int32, Int64, LargeUtf8, UInt8, UInt16, UInt32, UInt64, Utf8,
    };
    Some(match urn.strip_prefix("std/core/v1/")? {
        "UInt8" => &[UInt8],
        "UInt16" => &[UInt16, UInt8],
        "UInt32" => &[UInt32, UInt16, UInt8],
        "UInt64" => &[UInt64, UInt32, UInt16, UInt8],
        "Int8" => &[Int8],
        "Int16" => &[Int16, Int8],
        "Int32" => &[Int32, Int16, Int8],
        "Int64" => &[Int64, Int32, Int16, Int8],
        "Float32" => &[Float32],
        "Float64" => &[Float64, Float32],
        "Bool" => &[Boolean],
        "String" => &[Utf8, LargeUtf8],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn expected(urn: &str) -> Expected {
        let descriptor = json!({"nodes": [
            {"id": "other", "input_types": {"in": "std/core/v1/Bool"}},
            {"id": "node", "input_types": {"in": urn}},
        ]});
        Expected::of(&descriptor, &"node".parse().unwrap(), &"in".into())
    }

    #[test]
    fn only_the_first_message_is_compared() {
        let mut first = expected("std/core/v1/Float64");
        let text = first.mismatch(&"in".into(), &DataType::Utf8).unwrap();
        assert!(text.contains("`in`") && text.contains("Float64") && text.contains("Utf8"), "{text}");
        assert!(first.is_done());
        assert_eq!(first.mismatch(&"in".into(), &DataType::Utf8), None);
    }

    #[test]
    fn narrower_numbers_may_flow_into_wider_inputs_and_not_the_other_way() {
        assert_eq!(expected("std/core/v1/UInt64").mismatch(&"in".into(), &DataType::UInt8), None);
        assert!(expected("std/core/v1/UInt8").mismatch(&"in".into(), &DataType::UInt64).is_some());
    }

    #[test]
    fn inputs_without_a_plain_type_are_not_compared() {
        for urn in ["std/core/v1/Bytes", "std/media/v1/Image", "own/x/v1/T"] {
            assert!(expected(urn).is_done(), "{urn}");
        }
        assert!(Expected::of(&Value::Null, &"node".parse().unwrap(), &"in".into()).is_done());
    }
}
