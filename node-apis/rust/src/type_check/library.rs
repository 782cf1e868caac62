//! Types as Arrow types, the standard ones and those that a descriptor defines, and whether a message is one.
//!
//! A struct may have more fields than its type and any order; its fields must be exact. Where Arrow has several
//! layouts for one thing (text, bytes, lists) each of them is that thing. Parameters (`[encoding=rgb8]`) say
//! nothing about the Arrow type.

use std::borrow::Cow;

use arrow_schema::DataType;
use serde_json::Value;

/// Levels of a definition that are read: those that a descriptor allows, and some.
const MAX_DEPTH: usize = 32;

/// What a type looks like in Arrow.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    Plain(DataType),
    Text,
    /// Also raw bytes, which are an array of `u8`.
    Bytes,
    List(Box<Shape>),
    Struct(Vec<(Cow<'static, str>, Shape)>),
}

/// The shape of a type: a standard one, or one of the user's own, whose definitions are among the `types` of the
/// descriptor. `None` for any other.
pub(super) fn shape(urn: &str, descriptor: &Value) -> Option<Shape> {
    let base = base(urn);
    match base.strip_prefix("std/") {
        Some(name) => named(name),
        None => defined(descriptor.get("types")?.get(base)?, 0),
    }
}

/// The type without its parameters.
pub(super) fn base(urn: &str) -> &str {
    urn.split_once('[').map_or(urn, |(base, _)| base)
}

/// A definition as the descriptor has it: `"Float64"`, `{"list": …}`, `{"struct": {"x": …}}`.
fn defined(json: &Value, depth: usize) -> Option<Shape> {
    if depth > MAX_DEPTH {
        return None;
    }
    if let Some(name) = json.as_str() {
        return primitive(name);
    }
    if let Some(item) = json.get("list") {
        return Some(Shape::List(Box::new(defined(item, depth + 1)?)));
    }
    let fields = json.get("struct")?.as_object()?.iter();
    let fields = fields.map(|(name, json)| Some((Cow::Owned(name.clone()), defined(json, depth + 1)?)));
    Some(Shape::Struct(fields.collect::<Option<_>>()?))
}

fn primitive(name: &str) -> Option<Shape> {
    Some(match name {
        "Utf8" | "LargeUtf8" => Shape::Text,
        "Binary" | "LargeBinary" => Shape::Bytes,
        "Boolean" => Shape::Plain(DataType::Boolean),
        "Float16" => Shape::Plain(DataType::Float16),
        "Float32" => Shape::Plain(DataType::Float32),
        "Float64" => Shape::Plain(DataType::Float64),
        "Int8" => Shape::Plain(DataType::Int8),
        "Int16" => Shape::Plain(DataType::Int16),
        "Int32" => Shape::Plain(DataType::Int32),
        "Int64" => Shape::Plain(DataType::Int64),
        "UInt8" => Shape::Plain(DataType::UInt8),
        "UInt16" => Shape::Plain(DataType::UInt16),
        "UInt32" => Shape::Plain(DataType::UInt32),
        "UInt64" => Shape::Plain(DataType::UInt64),
        _ => return None,
    })
}

fn named(name: &str) -> Option<Shape> {
    use Shape::{Bytes, List, Plain, Text};
    // Names of our own are not copied.
    let structure = |fields: Vec<(&'static str, Shape)>| {
        Shape::Struct(fields.into_iter().map(|(name, shape)| (Cow::Borrowed(name), shape)).collect())
    };
    let float = || Plain(DataType::Float64);
    let floats = || List(Box::new(float()));
    let number = |t| Some(Plain(t));
    let of = |name| named(name).unwrap_or(Bytes);
    let u32_ = || Plain(DataType::UInt32);
    match name {
        "core/v1/Float32" => number(DataType::Float32),
        "core/v1/Float64" => number(DataType::Float64),
        "core/v1/Int8" => number(DataType::Int8),
        "core/v1/Int16" => number(DataType::Int16),
        "core/v1/Int32" => number(DataType::Int32),
        "core/v1/Int64" => number(DataType::Int64),
        "core/v1/UInt8" => number(DataType::UInt8),
        "core/v1/UInt16" => number(DataType::UInt16),
        "core/v1/UInt32" => number(DataType::UInt32),
        "core/v1/UInt64" => number(DataType::UInt64),
        "core/v1/Bool" => number(DataType::Boolean),
        "core/v1/String" => Some(Text),
        "core/v1/Bytes" | "media/v1/CompressedImage" => Some(Bytes),
        "math/v1/Vector3" => Some(structure(vec![("x", float()), ("y", float()), ("z", float())])),
        "math/v1/Quaternion" => {
            Some(structure(vec![("x", float()), ("y", float()), ("z", float()), ("w", float())]))
        }
        "math/v1/Pose" => Some(structure(vec![
            ("position", of("math/v1/Vector3")),
            ("orientation", of("math/v1/Quaternion")),
        ])),
        "math/v1/Transform" => Some(structure(vec![
            ("translation", of("math/v1/Vector3")),
            ("rotation", of("math/v1/Quaternion")),
        ])),
        "control/v1/Twist" => {
            Some(structure(vec![("linear", of("math/v1/Vector3")), ("angular", of("math/v1/Vector3"))]))
        }
        "control/v1/JointState" => Some(structure(vec![
            ("names", List(Box::new(Text))),
            ("positions", floats()),
            ("velocities", floats()),
            ("efforts", floats()),
        ])),
        "control/v1/Odometry" => Some(structure(vec![
            ("pose", of("math/v1/Pose")),
            ("twist", of("control/v1/Twist")),
            ("frame_id", Text),
        ])),
        "media/v1/Image" => {
            Some(structure(vec![("width", u32_()), ("height", u32_()), ("encoding", Text), ("data", Bytes)]))
        }
        "media/v1/PointCloud" => {
            Some(structure(vec![("points", Bytes), ("width", u32_()), ("height", u32_())]))
        }
        "media/v1/AudioFrame" => {
            Some(structure(vec![("sample_rate", u32_()), ("channels", u32_()), ("data", Bytes)]))
        }
        "vision/v1/BoundingBox" => {
            let sides = ["x", "y", "width", "height", "confidence"];
            let numbers = sides.map(|side| (side, Plain(DataType::Float32)));
            Some(structure(numbers.into_iter().chain([("label", Text)]).collect()))
        }
        "vision/v1/Detection" => {
            Some(structure(vec![("boxes", List(Box::new(of("vision/v1/BoundingBox"))))]))
        }
        "vision/v1/Segmentation" => Some(structure(vec![
            ("width", u32_()),
            ("height", u32_()),
            ("num_classes", u32_()),
            ("mask", Bytes),
            ("class_names", List(Box::new(Text))),
        ])),
        _ => None,
    }
}

/// What is wrong with `found`, read after "it is "; `None` when it has the shape.
pub(super) fn difference(shape: &Shape, found: &DataType) -> Option<String> {
    differs(shape, found, &mut Vec::new())
}

fn differs<'a>(shape: &'a Shape, found: &DataType, path: &mut Vec<&'a str>) -> Option<String> {
    use DataType::{
        Binary, BinaryView, FixedSizeBinary, FixedSizeList, LargeBinary, LargeList, LargeUtf8, List, UInt8,
        Utf8, Utf8View,
    };
    let fits = match (shape, found) {
        (Shape::Plain(wanted), found) => wanted == found,
        (Shape::Text, Utf8 | LargeUtf8 | Utf8View) => true,
        (Shape::Bytes, UInt8 | Binary | LargeBinary | BinaryView | FixedSizeBinary(_)) => true,
        // Bytes inside a struct are a list of them.
        (Shape::Bytes, List(item) | LargeList(item)) if !path.is_empty() => *item.data_type() == UInt8,
        (Shape::List(wanted), List(item) | LargeList(item) | FixedSizeList(item, _)) => {
            return differs(wanted, item.data_type(), path);
        }
        (Shape::Struct(wanted), DataType::Struct(fields)) => {
            for (name, shape) in wanted {
                path.push(name);
                let Some(field) = fields.iter().find(|field| field.name() == name) else {
                    return Some(format!("a struct without the field `{}`", path.join(".")));
                };
                let wrong = differs(shape, field.data_type(), path);
                if wrong.is_some() {
                    return wrong;
                }
                path.pop();
            }
            true
        }
        _ => false,
    };
    match (fits, path.is_empty()) {
        (true, _) => None,
        (false, true) => Some(found.to_string()),
        (false, false) => Some(format!("a struct whose field `{}` is {found}", path.join("."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_schema::{Field, Fields};
    use serde_json::json;

    /// Of a standard type.
    fn shape(urn: &str) -> Option<Shape> {
        super::shape(urn, &Value::Null)
    }

    fn structure(fields: &[(&str, DataType)]) -> DataType {
        DataType::Struct(
            fields.iter().map(|(name, t)| Field::new(*name, t.clone(), true)).collect::<Fields>(),
        )
    }

    fn vector(z: DataType) -> DataType {
        structure(&[("x", DataType::Float64), ("y", DataType::Float64), ("z", z)])
    }

    #[test]
    fn every_standard_type_is_known_and_user_types_are_not() {
        let core =
            ["Float32", "Float64", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64"];
        let core =
            core.into_iter().chain(["String", "Bytes", "Bool"]).map(|name| format!("std/core/v1/{name}"));
        let others = [
            "math/v1/Vector3",
            "math/v1/Quaternion",
            "math/v1/Pose",
            "math/v1/Transform",
            "control/v1/Twist",
            "control/v1/JointState",
            "control/v1/Odometry",
            "media/v1/Image[encoding=rgb8]",
            "media/v1/CompressedImage",
            "media/v1/PointCloud",
            "media/v1/AudioFrame",
            "vision/v1/BoundingBox",
            "vision/v1/Detection",
            "vision/v1/Segmentation",
        ];
        for urn in core.chain(others.map(|name| format!("std/{name}"))) {
            assert!(shape(&urn).is_some(), "{urn}");
        }
        for urn in ["own/x/v1/T", "std/core/v1/Complex", "std/core/v2/Bool", "Float64", ""] {
            assert_eq!(shape(urn), None, "{urn}");
        }
    }

    #[test]
    fn a_struct_may_have_more_fields_in_any_order_but_not_fewer() {
        let vector3 = shape("std/math/v1/Vector3").unwrap();
        let more = structure(&[
            ("frame", DataType::Utf8),
            ("z", DataType::Float64),
            ("y", DataType::Float64),
            ("x", DataType::Float64),
        ]);
        assert_eq!(difference(&vector3, &more), None);
        let fewer = structure(&[("x", DataType::Float64), ("y", DataType::Float64)]);
        assert_eq!(difference(&vector3, &fewer).unwrap(), "a struct without the field `z`");
        assert_eq!(difference(&vector3, &DataType::Float64).unwrap(), "Float64");
    }

    #[test]
    fn a_wrong_field_is_named_with_its_way() {
        let twist = shape("std/control/v1/Twist").unwrap();
        let good =
            structure(&[("linear", vector(DataType::Float64)), ("angular", vector(DataType::Float64))]);
        assert_eq!(difference(&twist, &good), None);
        let bad = structure(&[("linear", vector(DataType::Float64)), ("angular", vector(DataType::Float32))]);
        assert_eq!(difference(&twist, &bad).unwrap(), "a struct whose field `angular.z` is Float32");
    }

    #[test]
    fn all_layouts_of_text_bytes_and_lists_count() {
        let list = |item| DataType::List(Field::new_list_field(item, true).into());
        let large = |item| DataType::LargeList(Field::new_list_field(item, true).into());
        let fixed = |item| DataType::FixedSizeList(Field::new_list_field(item, true).into(), 3);
        for (text, data) in
            [(DataType::Utf8, DataType::LargeBinary), (DataType::LargeUtf8, list(DataType::UInt8))]
        {
            let image = [
                ("width", DataType::UInt32),
                ("height", DataType::UInt32),
                ("encoding", text),
                ("data", data),
            ];
            assert_eq!(difference(&shape("std/media/v1/Image").unwrap(), &structure(&image)), None);
        }
        for positions in [list(DataType::Float64), large(DataType::Float64), fixed(DataType::Float64)] {
            let floats = || list(DataType::Float64);
            let names = list(DataType::Utf8);
            let joints =
                [("names", names), ("positions", positions), ("velocities", floats()), ("efforts", floats())];
            assert_eq!(difference(&shape("std/control/v1/JointState").unwrap(), &structure(&joints)), None);
        }
        let bytes = shape("std/core/v1/Bytes").unwrap();
        assert_eq!(difference(&bytes, &DataType::UInt8), None);
        assert!(
            difference(&bytes, &list(DataType::UInt8)).is_some(),
            "a list of lists of bytes is not bytes"
        );
    }

    #[test]
    fn types_of_the_user_are_what_the_descriptor_says_they_are() {
        let descriptor = json!({ "types": {
            "own/robot/v1/State": { "struct": {
                "t": "UInt64", "name": "LargeUtf8", "track": { "list": { "struct": { "x": "Float32" } } },
            } },
            "own/robot/v1/Odd": { "struct": { "x": "Decimal" } },
            "own/robot/v1/Deep": (0..100).fold(json!("Int8"), |inner, _| json!({ "list": inner })),
        } });
        let state = super::shape("own/robot/v1/State[unit=m]", &descriptor).unwrap();
        let track = |x| DataType::List(Field::new_list_field(structure(&[("x", x)]), true).into());
        let message = |x| {
            structure(&[
                ("track", track(x)),
                ("t", DataType::UInt64),
                ("name", DataType::Utf8),
                ("more", DataType::Int8),
            ])
        };
        assert_eq!(difference(&state, &message(DataType::Float32)), None);
        let wrong = difference(&state, &message(DataType::Float64)).unwrap();
        assert_eq!(wrong, "a struct whose field `track.x` is Float64");
        for urn in ["own/robot/v1/Other", "own/robot/v1/Odd", "own/robot/v1/Deep"] {
            assert_eq!(super::shape(urn, &descriptor), None, "{urn}");
        }
    }
}
