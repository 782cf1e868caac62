//! Messages are compared with the types that the descriptor gives to inputs and outputs.
//!
//! The first message of an annotated input is always compared, and a mismatch is a warning. What a node sends is
//! compared when the environment asks for it, see [`SendCheck`]. Types of the user's own are not compared: a node
//! does not get the files that define them. Nor are messages that belong to a request or a goal, because one such
//! input or output may carry several types.

mod library;
mod sending;

use arrow_schema::DataType;
use dora_protocol::{DataId, NodeId};
use serde_json::Value;

use library::Shape;
pub(crate) use sending::{SendCheck, of_values};

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
        let urn = urn.filter(|urn| library::shape(urn).is_some_and(|shape| shape != Shape::Bytes));
        Self(urn.map(str::to_owned))
    }

    /// Compares a message, if it is the first. Says what is wrong.
    pub(crate) fn mismatch(&mut self, input: &DataId, found: &DataType) -> Option<String> {
        let urn = self.0.take()?;
        let wrong = refused(&urn, found)?;
        Some(format!(
            "input `{input}` is annotated as `{urn}`, but its first message is {wrong}; correct `input_types`, or \
             what the sender sends"
        ))
    }

    /// Nothing to compare any more.
    pub(crate) fn is_done(&self) -> bool {
        self.0.is_none()
    }
}

/// Why a message of this type may not flow into an input of that type; `None` when it may, or when nothing is
/// known about the type. Narrower numbers may flow into wider inputs, and everything into `Bytes`.
fn refused(urn: &str, found: &DataType) -> Option<String> {
    let shape = library::shape(urn)?;
    let wrong = library::difference(&shape, found)?;
    let widens = match shape {
        Shape::Bytes => true,
        Shape::Plain(wanted) => narrower(&wanted).contains(found),
        _ => false,
    };
    (!widens).then_some(wrong)
}

fn narrower(wanted: &DataType) -> &'static [DataType] {
    use DataType::{Float32, Float64, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
    match wanted {
        UInt16 => &[UInt8],
        UInt32 => &[UInt16, UInt8],
        UInt64 => &[UInt32, UInt16, UInt8],
        Int16 => &[Int8],
        Int32 => &[Int16, Int8],
        Int64 => &[Int32, Int16, Int8],
        Float64 => &[Float32],
        _ => &[],
    }
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
    fn structs_are_compared_field_by_field() {
        let text = expected("std/math/v1/Vector3").mismatch(&"in".into(), &DataType::Float64).unwrap();
        assert!(text.contains("std/math/v1/Vector3") && text.contains("Float64"), "{text}");
    }

    #[test]
    fn inputs_of_anything_and_of_a_users_own_type_are_not_compared() {
        for urn in ["std/core/v1/Bytes", "own/x/v1/T"] {
            assert!(expected(urn).is_done(), "{urn}");
        }
        assert!(Expected::of(&Value::Null, &"node".parse().unwrap(), &"in".into()).is_done());
    }
}
