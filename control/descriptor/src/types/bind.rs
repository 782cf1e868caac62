//! Names of types in fields become what they stand for.

use std::collections::BTreeMap;

use super::{
    files::Written,
    library::short,
    shape::{Field, PRIMITIVES, Shape},
};
use crate::{
    error::{About, At, Pos, Report},
    limits, raw,
    suggest::{did_you_mean, listed, shown},
    yaml::Yaml,
};

/// Why a type is none.
pub(super) struct Wrong {
    /// The type.
    pub(super) of: String,
    /// `None`: the type as a whole.
    pub(super) pos: Option<Pos>,
    pub(super) message: String,
    pub(super) hints: Vec<String>,
}

/// Works out what types are made of.
pub(super) struct Binder<'w> {
    pub(super) by_urn: BTreeMap<String, &'w Written>,
    by_name: BTreeMap<&'w str, Vec<String>>,
    /// `None`: it is wrong, which was told.
    done: BTreeMap<String, Option<Shape>>,
}

impl<'w> Binder<'w> {
    pub(super) fn new(written: &'w [Written], report: &mut Report) -> Self {
        let mut this = Self { by_urn: BTreeMap::new(), by_name: BTreeMap::new(), done: BTreeMap::new() };
        for one in written {
            let urn = format!("{}/{}", one.prefix, one.name.value);
            // A module may bring a type along that the dataflow has, too.
            match this.by_urn.get(&urn) {
                Some(first) if first.yaml.to_json() != one.yaml.to_json() => {
                    let place = report.location(first.name.pos);
                    let message = format!("`{}` is something else at {place}", shown(&urn));
                    report.error(one.name.pos, About { node: None, field: Some("types") }, message, &[]);
                }
                Some(_) => {}
                None => {
                    this.by_name.entry(&one.name.value).or_default().push(urn.clone());
                    this.by_urn.insert(urn, one);
                }
            }
        }
        this.by_name.values_mut().for_each(|urns| urns.sort());
        this
    }

    /// What a type is made of, and where it stands. An error of `None` was told.
    pub(super) fn shape_of(&mut self, urn: &str) -> (Pos, Result<Shape, Option<Wrong>>) {
        let pos = self.by_urn.get(urn).map(|written| written.name.pos).unwrap_or_default();
        (pos, self.shape(urn, &mut Vec::new()))
    }

    /// An error of `None`: the type is wrong, and that was told.
    fn shape(&mut self, urn: &str, path: &mut Vec<String>) -> Result<Shape, Option<Wrong>> {
        match self.done.get(urn) {
            Some(Some(shape)) => return Ok(shape.clone()),
            Some(None) => return Err(None),
            None => {}
        }
        let result = self.new_shape(urn, path).map_err(|wrong| {
            wrong.map(|wrong| if wrong.of.is_empty() { Wrong { of: urn.to_owned(), ..wrong } } else { wrong })
        });
        self.done.insert(urn.to_owned(), result.as_ref().ok().cloned());
        result
    }

    fn new_shape(&mut self, urn: &str, path: &mut Vec<String>) -> Result<Shape, Option<Wrong>> {
        let whole =
            |message: String| Err(Some(Wrong { of: urn.to_owned(), pos: None, message, hints: Vec::new() }));
        if path.iter().any(|one| one == urn) {
            let names: Vec<&str> = path.iter().map(|urn| short(urn)).chain([short(urn)]).collect();
            return whole(format!("the types contain each other: {}", names.join(" → ")));
        }
        if path.len() >= limits::TYPE_LEVELS {
            return whole(format!("types nested deeper than {}", limits::TYPE_LEVELS));
        }
        let Some(&written) = self.by_urn.get(urn) else { return whole(format!("`{urn}` is no type")) };
        path.push(urn.to_owned());
        let shape = self.written(written, path);
        path.pop();
        let shape = shape?;
        if shape.fields() > limits::TYPE_FIELDS {
            return whole(format!("more than {} fields, those of its fields included", limits::TYPE_FIELDS));
        }
        if depth(&shape) > limits::TYPE_LEVELS {
            return whole(format!("types nested deeper than {}", limits::TYPE_LEVELS));
        }
        Ok(shape)
    }

    fn written(&mut self, written: &Written, path: &mut Vec<String>) -> Result<Shape, Option<Wrong>> {
        let at = |pos, message: String, hint: String| {
            Err(Some(Wrong { of: String::new(), pos: Some(pos), message, hints: vec![hint] }))
        };
        let Some(arrow) = raw::text(&written.yaml, "arrow") else {
            return at(
                written.name.pos,
                "nothing says what it is in Arrow".into(),
                "write `arrow: Struct`".into(),
            );
        };
        let fields = written.yaml.get("fields");
        if arrow.value != "Struct" {
            if let Some(fields) = fields {
                return at(
                    fields.pos,
                    format!("`{}` has no fields", shown(&arrow.value)),
                    "only `arrow: Struct` has".into(),
                );
            }
            let Some(shape) = Shape::primitive(&arrow.value) else {
                let known = PRIMITIVES.into_iter().chain(["Struct"]);
                let hint = did_you_mean(&arrow.value, known.clone());
                let message =
                    format!("`{}` is no Arrow type; expected one of {}", shown(&arrow.value), listed(known));
                return at(arrow.pos, message, hint);
            };
            return Ok(shape);
        }
        let mut all: Vec<Field> = Vec::new();
        for field in fields.map(Yaml::list).unwrap_or_default() {
            let (Some(name), Some(typed)) = (raw::text(field, "name"), raw::text(field, "type")) else {
                continue;
            };
            if all.iter().any(|other| other.name == name.value) {
                return at(
                    name.pos,
                    format!("field `{}` is listed twice", shown(&name.value)),
                    String::new(),
                );
            }
            let shape = self.field_type(&typed, &typed.value, &written.prefix, path, 0)?;
            all.push(Field {
                name: name.value,
                shape,
                nullable: raw::flag(field, "nullable").unwrap_or(true),
            });
        }
        if all.is_empty() {
            return at(arrow.pos, "a struct needs `fields`".into(), String::new());
        }
        Ok(Shape::Struct(all))
    }

    fn field_type(
        &mut self,
        at: &At<String>,
        text: &str,
        prefix: &str,
        path: &mut Vec<String>,
        lists: usize,
    ) -> Result<Shape, Option<Wrong>> {
        let wrong = |message: String, hints: Vec<String>| {
            Err(Some(Wrong { of: String::new(), pos: Some(at.pos), message, hints }))
        };
        let text = text.trim();
        if let Some(inside) = text.strip_prefix("List<") {
            let Some(inside) = inside.strip_suffix('>') else {
                return wrong(format!("`{}`: the bracket is not closed", shown(text)), vec![]);
            };
            if lists >= limits::TYPE_LEVELS {
                return wrong(format!("lists nested deeper than {}", limits::TYPE_LEVELS), vec![]);
            }
            let item = self.field_type(at, inside, prefix, path, lists + 1)?;
            return Ok(Shape::List(Box::new(item)));
        }
        if let Some(primitive) = Shape::primitive(text) {
            return Ok(primitive);
        }
        let base = text.split('[').next().unwrap_or(text);
        let beside = format!("{prefix}/{base}");
        let urns = self.by_name.get(base).cloned().unwrap_or_default();
        let urn = match urns.as_slice() {
            _ if self.by_urn.contains_key(base) => base.to_owned(),
            _ if self.by_urn.contains_key(&beside) => beside,
            [one] => one.clone(),
            [] => {
                let known: Vec<&str> = PRIMITIVES.into_iter().chain(self.by_name.keys().copied()).collect();
                let nearest =
                    did_you_mean(base, known.into_iter().chain(self.by_urn.keys().map(String::as_str)));
                let how = "a field is a primitive Arrow type, `List<…>`, or a type by name or URN".to_owned();
                return wrong(format!("`{}` is no type", shown(text)), vec![nearest, how]);
            }
            several => {
                let names = listed(several.iter().map(String::as_str));
                let message = format!("`{}` could be {names}", shown(base));
                return wrong(message, vec!["write the whole URN".to_owned()]);
            }
        };
        self.shape(&urn, path)
            .map_err(|wrong| wrong.map(|wrong| Wrong { pos: Some(wrong.pos.unwrap_or(at.pos)), ..wrong }))
    }
}

/// Levels of structs and lists.
fn depth(shape: &Shape) -> usize {
    match shape {
        Shape::Primitive(_) => 0,
        Shape::List(item) => 1 + depth(item),
        Shape::Struct(fields) => 1 + fields.iter().map(|field| depth(&field.shape)).max().unwrap_or(0),
    }
}
