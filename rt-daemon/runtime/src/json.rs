//! Parameters of messages as the JSON that C operators see: plain values under their names.

use dora_protocol::metadata::{MetadataParameters, Parameter};
use serde_json::{Map, Value};

/// A JSON object. A point in time becomes a text of RFC 3339, a number that JSON does not have `null`.
pub(crate) fn object(parameters: &MetadataParameters) -> Value {
    let value = |parameter: &Parameter| match parameter {
        Parameter::Bool(value) => Value::from(*value),
        Parameter::Integer(value) => Value::from(*value),
        Parameter::Float(value) => Value::from(*value),
        Parameter::String(value) => Value::from(value.as_str()),
        Parameter::ListInt(values) => Value::from(values.clone()),
        Parameter::ListFloat(values) => Value::from(values.clone()),
        Parameter::ListString(values) => Value::from(values.clone()),
        Parameter::Timestamp(time) => Value::from(time.to_rfc3339()),
    };
    Value::Object(
        parameters.iter().map(|(key, parameter)| (key.clone(), value(parameter))).collect::<Map<_, _>>(),
    )
}

/// The parameters of a JSON object; the error names the key.
pub(crate) fn parameters(bytes: &[u8]) -> Result<MetadataParameters, String> {
    let object: Map<String, Value> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let mut parameters = MetadataParameters::new();
    for (key, value) in object {
        let parameter = parameter(&value).map_err(|why| format!("`{key}`: {why}"))?;
        parameters.insert(key, parameter);
    }
    Ok(parameters)
}

fn parameter(value: &Value) -> Result<Parameter, &'static str> {
    Ok(match value {
        Value::Bool(value) => Parameter::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(value) => Parameter::Integer(value),
            None => Parameter::Float(number.as_f64().ok_or("the number is too large")?),
        },
        Value::String(value) => Parameter::String(value.clone()),
        Value::Array(values) => list(values)?,
        Value::Null | Value::Object(_) => {
            return Err("a parameter is a bool, a number, a text, or a list of numbers or of texts");
        }
    })
}

fn list(values: &[Value]) -> Result<Parameter, &'static str> {
    let all = |found: Option<Parameter>| found.ok_or("the values of a list are all numbers, or all texts");
    // As everywhere: an empty list is one of texts.
    if values.iter().all(Value::is_string) {
        return all(values
            .iter()
            .map(|v| v.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .map(Parameter::ListString));
    }
    if values.iter().all(Value::is_i64) {
        return all(values.iter().map(Value::as_i64).collect::<Option<_>>().map(Parameter::ListInt));
    }
    all(values.iter().map(Value::as_f64).collect::<Option<_>>().map(Parameter::ListFloat))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_comes_back_as_it_was() {
        let all: MetadataParameters = [
            ("bool", Parameter::Bool(true)),
            ("integer", Parameter::Integer(-3)),
            ("float", Parameter::Float(0.5)),
            ("text", Parameter::String("ä".into())),
            ("integers", Parameter::ListInt(vec![1, 2])),
            ("floats", Parameter::ListFloat(vec![1.5, 2.0])),
            ("texts", Parameter::ListString(vec![])),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        let text = object(&all).to_string();
        assert_eq!(parameters(text.as_bytes()).unwrap(), all, "{text}");
    }

    #[test]
    fn what_is_no_parameter_is_named_by_its_key() {
        for (json, part) in [
            (r#"{"a": null}"#, "`a`"),
            (r#"{"b": {"c": 1}}"#, "`b`"),
            (r#"{"d": [1, "x"]}"#, "`d`"),
            ("[1]", "map"),
            ("{", "EOF"),
        ] {
            let error = parameters(json.as_bytes()).unwrap_err();
            assert!(error.contains(part), "`{part}` is not in: {error}");
        }
    }
}
