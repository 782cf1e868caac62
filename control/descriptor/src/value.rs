//! A piece of YAML that is no whole descriptor: one node entry, a patch.

use crate::{
    error::{Errors, Report},
    yaml,
};

/// The text as JSON, with the rules that hold for descriptors: one document, no key twice, no aliases. What it means is not looked at.
///
/// # Errors
/// Every problem found, with its place in `file_name`.
pub fn value(file_name: &str, text: &str) -> Result<serde_json::Value, Errors> {
    let mut report = Report::new(file_name);
    match yaml::parse(text, &mut report) {
        Some(tree) if report.errors.is_empty() => Ok(tree.to_json()),
        _ => Err(report.into_errors()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_yaml_becomes_json_and_a_broken_one_says_where() {
        let node = value("n.yml", "id: a\ninputs:\n  t: dora/timer/millis/10\nargs: 1.10\n").unwrap();
        let expected =
            serde_json::json!({"id": "a", "inputs": {"t": "dora/timer/millis/10"}, "args": "1.10"});
        assert_eq!(node, expected);
        let error = value("n.yml", "id: a\nid: b\n").unwrap_err().to_string();
        assert!(error.starts_with("n.yml:2:"), "{error}");
    }
}
