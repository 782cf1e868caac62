//! `dora-schema.json` for editors, written from the same table that the parser follows.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::schema::{DATAFLOW, Kind, Level};

const DURATION: &str = r"^\s*\+?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\s*(ns|us|µs|ms|s|m|min|h)?\s*$";
const SIZE: &str = r"^\s*[0-9]+\s*([bB]|[kKmMgG]([iI]?[bB])?)?\s*$";

/// The JSON Schema (draft 7) of a descriptor.
pub fn json_schema() -> Json {
    let mut definitions = BTreeMap::new();
    define(&DATAFLOW, &mut definitions);
    let mut schema = definitions.remove(&title(&DATAFLOW)).unwrap_or_default();
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!("dora dataflow");
    schema["definitions"] = json!(definitions);
    schema
}

/// `a Python operator` → `python_operator`.
fn title(level: &Level) -> String {
    let name = level.name.replace('`', "").to_lowercase();
    name.split(' ').skip(1).collect::<Vec<_>>().join("_")
}

fn define(level: &'static Level, definitions: &mut BTreeMap<String, Json>) {
    let name = title(level);
    if definitions.contains_key(&name) {
        return;
    }
    definitions.insert(name.clone(), Json::Null);
    let mut properties = serde_json::Map::new();
    for key in level.keys {
        let mut value = value(&key.kind, definitions);
        // Draft 7 ignores what stands beside a `$ref`.
        if value.get("$ref").is_some() {
            value = json!({ "allOf": [value] });
        }
        value["description"] = json!(key.doc);
        properties.insert(key.name.to_owned(), value);
    }
    let required: Vec<&str> = level.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let schema = json!({
        "type": "object",
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    });
    definitions.insert(name, schema);
}

fn value(kind: &'static Kind, definitions: &mut BTreeMap<String, Json>) -> Json {
    match kind {
        Kind::Any => json!({}),
        // Scalars are taken verbatim, so a bare `8080` is a text, too.
        Kind::Text => json!({ "type": ["string", "number", "boolean"] }),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Int { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Duration { zero: true } => {
            json!({ "type": ["number", "string"], "minimum": 0, "pattern": DURATION })
        }
        Kind::Duration { zero: false } => {
            json!({ "type": ["number", "string"], "exclusiveMinimum": 0, "pattern": DURATION })
        }
        Kind::Size => json!({ "type": ["integer", "string"], "minimum": 1, "pattern": SIZE }),
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::List(kind) => json!({ "type": ["array", "null"], "items": value(kind, definitions) }),
        Kind::Map(kind) => {
            json!({ "type": ["object", "null"], "additionalProperties": value(kind, definitions) })
        }
        Kind::Object(level) => {
            define(level, definitions);
            json!({ "$ref": format!("#/definitions/{}", title(level)) })
        }
        Kind::OneOrMore(kind) => {
            let one = value(kind, definitions);
            json!({ "anyOf": [one, { "type": "array", "minItems": 1, "items": one }] })
        }
        Kind::Either(kind, level) => {
            let scalar = value(kind, definitions);
            define(level, definitions);
            json!({ "anyOf": [scalar, { "$ref": format!("#/definitions/{}", title(level)) }] })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_in_the_repository_is_the_one_of_the_parser() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../dora-schema.json");
        let mut schema = json_schema();
        // The order of keys depends on what else is built: a crate of the workspace has serde_json keep it.
        schema.sort_all_objects();
        let wanted = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var_os("DORA_WRITE_SCHEMA").is_some() {
            std::fs::write(path, &wanted).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(found == wanted, "write it anew: DORA_WRITE_SCHEMA=1 cargo test -p dora-descriptor");
    }

    #[test]
    fn every_level_of_the_schema_forbids_unknown_keys() {
        let schema = json_schema();
        let levels = schema["definitions"].as_object().unwrap();
        assert!(levels.len() >= 12, "{:?}", levels.keys());
        for (name, level) in levels {
            assert_eq!(level["additionalProperties"], Json::Bool(false), "{name}");
        }
    }
}
