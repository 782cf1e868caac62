//! Node entries and patch files as the user writes them.

use dora_protocol::{DataId, NodeId, control::Mapping};
use serde_json::{Map, Value};

use super::Edit;

/// The lists of a patch file, in the order in which they are carried out.
const LISTS: [&str; 5] = ["remove", "replace", "add", "disconnect", "connect"];

/// One entry of `nodes:`.
///
/// # Errors
/// What is wrong with the text, as text for the user.
pub(crate) fn node_entry(file: &str, text: &str) -> Result<Map<String, Value>, String> {
    let value = dora_descriptor::value(file, text).map_err(|errors| errors.to_string())?;
    as_entry(file, value)
}

fn as_entry(file: &str, value: Value) -> Result<Map<String, Value>, String> {
    match value {
        Value::Object(map) if map.get("id").is_some_and(Value::is_string) => Ok(map),
        Value::Object(map) if map.contains_key("nodes") => {
            Err(format!("{file}: is a whole dataflow; what is wanted is one entry of its `nodes:`"))
        }
        Value::Object(_) => Err(format!("{file}: the node entry has no `id`")),
        _ => Err(format!("{file}: is no node entry; what is wanted is `id: …`, `path: …`, as in `nodes:`")),
    }
}

/// A patch file.
///
/// # Errors
/// What is wrong with the text, as text for the user.
pub(crate) fn from_patch(file: &str, text: &str) -> Result<Vec<Edit>, String> {
    let value = dora_descriptor::value(file, text).map_err(|errors| errors.to_string())?;
    let Value::Object(mut map) = value else {
        return Err(format!("{file}: a patch is a map of lists: {}", LISTS.join(", ")));
    };
    let mut edits = Vec::new();
    for list in LISTS {
        let items = match map.remove(list) {
            None | Some(Value::Null) => continue,
            Some(Value::Array(items)) => items,
            Some(_) => return Err(format!("{file}: `{list}` must be a list")),
        };
        for item in items {
            edits.push(one(file, list, item)?);
        }
    }
    if let Some(unknown) = map.keys().next() {
        return Err(format!("{file}: `{unknown}` is not known; a patch has {}", LISTS.join(", ")));
    }
    if edits.is_empty() {
        return Err(format!("{file}: the patch is empty; it may have {}", LISTS.join(", ")));
    }
    Ok(edits)
}

fn one(file: &str, list: &str, item: Value) -> Result<Edit, String> {
    Ok(match list {
        "remove" => {
            let id = item.as_str().ok_or_else(|| format!("{file}: `remove` must be a list of node ids"))?;
            Edit::Remove(node_id(file, id)?)
        }
        "add" => Edit::Add(as_entry(file, item)?),
        "replace" => {
            let entry = as_entry(file, item)?;
            let id = entry.get("id").and_then(Value::as_str).unwrap_or_default();
            Edit::Replace(node_id(file, id)?, entry)
        }
        "connect" => Edit::Connect(mapping(file, &item)?),
        _ => Edit::Disconnect(mapping(file, &item)?),
    })
}

fn node_id(file: &str, id: &str) -> Result<NodeId, String> {
    id.parse().map_err(|error| format!("{file}: {error}"))
}

/// `a/out -> b/in`, or `{ from: a/out, to: b/in }`.
fn mapping(file: &str, item: &Value) -> Result<Mapping, String> {
    let wanted =
        || format!("{file}: {item} is no edge; write `a/out -> b/in` or `{{ from: a/out, to: b/in }}`");
    let (from, to) = match item {
        Value::String(text) => text.split_once("->").ok_or_else(wanted)?,
        Value::Object(map) => {
            let end = |key: &str| map.get(key).and_then(Value::as_str);
            end("from").zip(end("to")).ok_or_else(wanted)?
        }
        _ => return Err(wanted()),
    };
    let end = |text: &str| -> Result<(NodeId, DataId), String> {
        let (node, data) = text.trim().split_once('/').ok_or_else(wanted)?;
        Ok((node_id(file, node)?, data.parse().map_err(|error| format!("{file}: {error}"))?))
    };
    let ((source_node, source_output), (target_node, target_input)) = (end(from)?, end(to)?);
    Ok(Mapping { source_node, source_output, target_node, target_input })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_removes_first_and_connects_last_whatever_the_order_of_the_file() {
        let text = "
connect: [sender/value -> filter/input, { from: filter/output, to: receiver/in }]
disconnect: [sender/value -> receiver/in]
add: [{ id: filter, path: ./filter, outputs: [output] }]
remove: [old]
";
        let edits = from_patch("p.yml", text).unwrap();
        let kinds: Vec<&str> = edits
            .iter()
            .map(|edit| match edit {
                Edit::Add(_) => "add",
                Edit::Remove(_) => "remove",
                Edit::Replace(..) => "replace",
                Edit::Connect(_) => "connect",
                Edit::Disconnect(_) => "disconnect",
            })
            .collect();
        assert_eq!(kinds, ["remove", "add", "disconnect", "connect", "connect"]);
    }

    #[test]
    fn a_patch_that_cannot_be_understood_says_what_was_expected() {
        for (text, part) in [
            ("[]", "map of lists"),
            ("{}", "empty"),
            ("insert: []", "`insert` is not known"),
            ("add: 5", "`add` must be a list"),
            ("add: [5]", "no node entry"),
            ("add: [{ path: x }]", "no `id`"),
            ("remove: [a b]", "not a valid node id"),
            ("connect: [a/b]", "is no edge"),
            ("connect: [a -> b/c]", "is no edge"),
            ("connect: [{ from: a/b }]", "is no edge"),
            ("add: [{ id: a, id: b }]", "given twice"),
            ("a: [", "p.yml:2"),
        ] {
            let error = from_patch("p.yml", text).unwrap_err();
            assert!(error.contains(part) && error.contains("p.yml"), "{text}: {error}");
        }
        let error = node_entry("n.yml", "nodes: []").unwrap_err();
        assert!(error.contains("whole dataflow"), "{error}");
    }
}
