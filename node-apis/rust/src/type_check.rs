//! Messages are compared with the types that the descriptor gives to inputs and outputs.
//!
//! The first message of an annotated input is always compared, and a mismatch is a warning. What a node sends is
//! compared when the environment asks for it, see [`SendCheck`]. Definitions of the user's own types are in the descriptor
//! that a node gets. Messages that belong to a request or a goal are not compared, because one such input or output may
//! carry several types.

mod library;
mod sending;

use arrow_schema::DataType;
use dora_protocol::{DataId, NodeId};
use serde_json::Value;

use library::Shape;
pub(crate) use sending::{SendCheck, of_values};

/// Steps of `type_rules` that are followed, as when the dataflow was checked.
const MOST_STEPS: usize = 3;

/// What an input expects, until its first message was seen.
#[derive(Debug, Default)]
pub(crate) struct Expected(Option<Wanted>);

#[derive(Debug)]
struct Wanted {
    urn: String,
    /// Of the type, and of those that the `type_rules` let flow into it.
    shapes: Vec<Shape>,
}

impl Expected {
    /// What the descriptor says about this input.
    pub(crate) fn of(descriptor: &Value, node: &NodeId, input: &DataId) -> Self {
        let nodes = descriptor.get("nodes").and_then(Value::as_array);
        let node = nodes
            .and_then(|nodes| nodes.iter().find(|one| one.get("id").is_some_and(|id| *id == *node.as_str())));
        let urn = node.and_then(|node| node.get("input_types")?.get(input.as_str())?.as_str());
        Self(urn.and_then(|urn| Wanted::of(urn, descriptor)))
    }

    /// Compares a message, if it is the first. Says what is wrong.
    pub(crate) fn mismatch(&mut self, input: &DataId, found: &DataType) -> Option<String> {
        let Wanted { urn, shapes } = self.0.take()?;
        let wrong = shapes.first().and_then(|shape| refused(shape, found))?;
        if shapes.iter().skip(1).any(|shape| refused(shape, found).is_none()) {
            return None;
        }
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

impl Wanted {
    /// `None` when everything may flow there, or nothing is known about the type.
    fn of(urn: &str, descriptor: &Value) -> Option<Self> {
        let first = library::shape(urn, descriptor).filter(|shape| *shape != Shape::Bytes)?;
        let mut accepted = vec![library::base(urn)];
        let rules = descriptor.get("type_rules").and_then(Value::as_array);
        for _ in 0..MOST_STEPS {
            let known = accepted.clone();
            for rule in rules.into_iter().flatten() {
                let end = |key| rule.get(key).and_then(Value::as_str).map(library::base);
                if let (Some(from), Some(to)) = (end("from"), end("to"))
                    && known.contains(&to)
                    && !accepted.contains(&from)
                {
                    accepted.push(from);
                }
            }
        }
        let others = accepted.iter().skip(1).filter_map(|urn| library::shape(urn, descriptor));
        Some(Self { urn: urn.to_owned(), shapes: std::iter::once(first).chain(others).collect() })
    }
}

/// Why a message of this type may not flow into an input of that shape; `None` when it may. Narrower numbers may flow into
/// wider inputs, and everything into bytes.
fn refused(shape: &Shape, found: &DataType) -> Option<String> {
    let wrong = library::difference(shape, found)?;
    let widens = match shape {
        Shape::Bytes => true,
        Shape::Plain(wanted) => narrower(wanted).contains(found),
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
    fn a_users_own_type_is_compared_and_rules_let_others_in() {
        let first = |message: &DataType| {
            let descriptor = json!({
                "nodes": [{"id": "node", "input_types": {"in": "own/x/v1/T"}}],
                "types": {"own/x/v1/T": "Float64", "own/x/v1/U": "Boolean"},
                "type_rules": [
                    {"from": "own/x/v1/U", "to": "std/core/v1/Int8"},
                    {"from": "std/core/v1/Int8", "to": "own/x/v1/T"},
                ],
            });
            Expected::of(&descriptor, &"node".parse().unwrap(), &"in".into()).mismatch(&"in".into(), message)
        };
        for good in [DataType::Float64, DataType::Float32, DataType::Int8, DataType::Boolean] {
            assert_eq!(first(&good), None, "{good}");
        }
        let text = first(&DataType::Utf8).unwrap();
        assert!(text.contains("own/x/v1/T") && text.contains("Utf8"), "{text}");
    }

    #[test]
    fn inputs_of_anything_and_of_an_unknown_type_are_not_compared() {
        for urn in ["std/core/v1/Bytes", "own/x/v1/T"] {
            assert!(expected(urn).is_done(), "{urn}");
        }
        assert!(Expected::of(&Value::Null, &"node".parse().unwrap(), &"in".into()).is_done());
    }
}
