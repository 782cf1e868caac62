//! What a type is in Arrow.

use serde_json::{Value as Json, json};

/// Nested at most [`limits::TYPE_LEVELS`](crate::limits::TYPE_LEVELS) levels, with at most
/// [`limits::TYPE_FIELDS`](crate::limits::TYPE_FIELDS) fields in all: the library sees to both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// By its Arrow name.
    Primitive(&'static str),
    List(Box<Shape>),
    Struct(Vec<Field>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) shape: Shape,
    pub(super) nullable: bool,
}

/// Arrow types without children that a type can be made of.
pub(super) const PRIMITIVES: [&str; 16] = [
    "Boolean",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "UInt8",
    "UInt16",
    "UInt32",
    "UInt64",
    "Float16",
    "Float32",
    "Float64",
    "Utf8",
    "LargeUtf8",
    "Binary",
    "LargeBinary",
];

impl Shape {
    /// The primitive of that name.
    pub(super) fn primitive(name: &str) -> Option<Self> {
        PRIMITIVES.into_iter().find(|known| *known == name).map(Shape::Primitive)
    }

    /// For nodes, which compare it with what arrives: `"Float64"`, `{"list": …}`, `{"struct": {"x": …}}`.
    pub(super) fn to_json(&self) -> Json {
        match self {
            Shape::Primitive(name) => json!(name),
            Shape::List(item) => json!({ "list": item.to_json() }),
            Shape::Struct(fields) => {
                let fields = fields.iter().map(|field| (field.name.clone(), field.shape.to_json()));
                json!({ "struct": Json::Object(fields.collect()) })
            }
        }
    }

    /// Fields inside, of all levels.
    pub(super) fn fields(&self) -> usize {
        match self {
            Shape::Primitive(_) => 0,
            Shape::List(item) => item.fields(),
            Shape::Struct(fields) => fields.iter().map(|field| 1 + field.shape.fields()).sum(),
        }
    }

    /// What a reader of `wanted` would miss in this one, field by field. More fields and another order do no harm.
    pub(super) fn lacks(&self, wanted: &Shape) -> Vec<String> {
        let mut all = Vec::new();
        differ(self, wanted, &mut Vec::new(), &mut all);
        all
    }

    fn noun(&self) -> String {
        match self {
            Shape::Primitive(name) => (*name).to_owned(),
            Shape::List(item) => format!("List<{}>", item.noun()),
            Shape::Struct(_) => "Struct".to_owned(),
        }
    }
}

fn differ<'a>(given: &Shape, wanted: &'a Shape, path: &mut Vec<&'a str>, all: &mut Vec<String>) {
    match (given, wanted) {
        (Shape::Primitive(given), Shape::Primitive(wanted)) if plain(given) == plain(wanted) => {}
        (Shape::List(given), Shape::List(wanted)) => differ(given, wanted, path, all),
        (Shape::Struct(given), Shape::Struct(wanted)) => {
            for field in wanted {
                path.push(&field.name);
                match given.iter().find(|other| other.name == field.name) {
                    None => all.push(format!("field `{}` is missing", path.join("."))),
                    Some(other) if other.nullable && !field.nullable => {
                        all.push(format!("field `{}` may be null", path.join(".")));
                    }
                    Some(other) => differ(&other.shape, &field.shape, path, all),
                }
                path.pop();
            }
        }
        _ => {
            let (given, wanted) = (given.noun(), wanted.noun());
            all.push(match path.as_slice() {
                [] => format!("it is {given} and not {wanted}"),
                path => format!("field `{}` is {given} and not {wanted}", path.join(".")),
            });
        }
    }
}

/// Offsets of 32 or of 64 bits: the values are the same.
fn plain(name: &str) -> &str {
    name.strip_prefix("Large").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn structure(fields: &[(&str, Shape, bool)]) -> Shape {
        let field = |(name, shape, nullable): &(&str, Shape, bool)| Field {
            name: (*name).to_owned(),
            shape: shape.clone(),
            nullable: *nullable,
        };
        Shape::Struct(fields.iter().map(field).collect())
    }

    #[test]
    fn what_is_missing_or_different_is_named_with_its_way() {
        let float = Shape::Primitive("Float64");
        let inner = |x: Shape| structure(&[("x", x, true), ("y", float.clone(), true)]);
        let wanted = structure(&[("p", inner(float.clone()), true), ("t", Shape::Primitive("Utf8"), false)]);
        let good = structure(&[
            ("more", float.clone(), true),
            ("t", Shape::Primitive("LargeUtf8"), false),
            ("p", inner(float.clone()), true),
        ]);
        assert_eq!(good.lacks(&wanted), Vec::<String>::new());
        let bad = structure(&[
            ("p", structure(&[("x", Shape::Primitive("Float32"), true)]), true),
            ("t", Shape::Primitive("Utf8"), true),
        ]);
        assert_eq!(
            bad.lacks(&wanted),
            ["field `p.x` is Float32 and not Float64", "field `p.y` is missing", "field `t` may be null"]
        );
        assert_eq!(float.lacks(&wanted), ["it is Float64 and not Struct"]);
        assert_eq!(
            Shape::List(Box::new(float.clone())).lacks(&float),
            ["it is List<Float64> and not Float64"]
        );
    }
}
