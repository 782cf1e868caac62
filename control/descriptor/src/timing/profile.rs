//! Handler times and rates that were measured: the file of `dora run --profile`.
//!
//! ```json
//! { "version": 1, "dataflow": "flow", "seconds": 10.0, "rt": "strict",
//!   "nodes": { "plant": { "events": 5000, "p999_us": 60.5, "max_us": 88.1, "lost": 0,
//!                          "outputs": { "state": 5000 } } } }
//! ```
//!
//! A handler time is the time from one receive to the next, so time that others had the core is in it: too long rather than too
//! short. But what was measured is no bound. The worst case may not have come.
//!
//! A run that lost ticks or messages because nodes were too slow shows rates that are too low; they are not used then.

use std::collections::BTreeMap;

use serde_json::{Value, json};

const VERSION: u64 = 1;
/// An output with fewer messages has no rate.
const LEAST_MESSAGES: u64 = 20;

/// What a run has measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// Name of the dataflow.
    pub dataflow: String,
    /// How long it ran.
    pub seconds: f64,
    /// `off`, `strict` or `best-effort`.
    pub rt: String,
    /// By node id.
    pub nodes: BTreeMap<String, NodeProfile>,
}

/// Of one node. Times in microseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeProfile {
    /// Events handled.
    pub events: u64,
    /// 99.9 % of the handler times are at most this.
    pub p999_us: f64,
    /// The longest handler time.
    pub max_us: f64,
    /// Ticks that passed while it was busy, and messages for it that were dropped.
    pub lost: u64,
    /// Messages sent per output.
    pub outputs: BTreeMap<String, u64>,
}

impl Profile {
    /// The file.
    pub fn to_json(&self) -> Value {
        let node = |node: &NodeProfile| {
            json!({
                "events": node.events,
                "p999_us": node.p999_us,
                "max_us": node.max_us,
                "lost": node.lost,
                "outputs": node.outputs,
            })
        };
        let nodes: BTreeMap<&String, Value> = self.nodes.iter().map(|(id, n)| (id, node(n))).collect();
        json!({
            "version": VERSION, "dataflow": self.dataflow, "seconds": self.seconds, "rt": self.rt, "nodes": nodes,
        })
    }

    /// Reads the file.
    ///
    /// # Errors
    /// A sentence, when it is no such file.
    pub fn parse(text: &str) -> Result<Self, String> {
        let not_one = |what: &str| format!("not a file of `dora run --profile`: {what}");
        let json: Value = serde_json::from_str(text).map_err(|error| not_one(&error.to_string()))?;
        match json["version"].as_u64() {
            Some(VERSION) => {}
            Some(other) => return Err(not_one(&format!("version {other}, and this dora reads {VERSION}"))),
            None => return Err(not_one("it has no `version`")),
        }
        let positive = |value: &Value, what: &str| {
            let number = value.as_f64().filter(|n| n.is_finite() && *n >= 0.0);
            number.ok_or_else(|| not_one(&format!("`{what}` is not a number")))
        };
        let mut nodes = BTreeMap::new();
        let entries = json["nodes"].as_object().ok_or_else(|| not_one("it has no `nodes`"))?;
        for (id, node) in entries {
            let count = |value: &Value, what: &str| {
                value.as_u64().ok_or_else(|| not_one(&format!("`{what}` of `{id}` is not a number")))
            };
            let mut outputs = BTreeMap::new();
            for (name, sent) in node["outputs"].as_object().into_iter().flatten() {
                outputs.insert(name.clone(), count(sent, "outputs")?);
            }
            let profile = NodeProfile {
                events: count(&node["events"], "events")?,
                p999_us: positive(&node["p999_us"], "p999_us")?,
                max_us: positive(&node["max_us"], "max_us")?,
                lost: count(&node["lost"], "lost")?,
                outputs,
            };
            nodes.insert(id.clone(), profile);
        }
        Ok(Self {
            dataflow: json["dataflow"].as_str().unwrap_or_default().to_owned(),
            seconds: positive(&json["seconds"], "seconds")?,
            rt: json["rt"].as_str().unwrap_or_default().to_owned(),
            nodes,
        })
    }

    /// Longest handler time in nanoseconds, if the node handled anything.
    pub(crate) fn cost(&self, node: &str) -> Option<u64> {
        let node = self.nodes.get(node).filter(|node| node.events > 0)?;
        Some((node.max_us * 1000.0).ceil() as u64)
    }

    /// Nodes that lost more than one event in a hundred: the rates of such a run are not those of one that keeps up.
    pub(crate) fn losers(&self) -> impl Iterator<Item = (&str, u64)> {
        let slow = self.nodes.iter().filter(|(_, node)| node.lost > node.events / 100);
        slow.map(|(id, node)| (id.as_str(), node.lost))
    }

    /// Mean nanoseconds between two messages of an output, if it sent enough of them.
    pub(crate) fn mean_period(&self, node: &str, output: &str) -> Option<u64> {
        let sent = *self.nodes.get(node)?.outputs.get(output)?;
        let period = self.seconds * 1e9 / sent as f64;
        (sent >= LEAST_MESSAGES && period >= 1.0).then_some(period as u64)
    }

    /// Did the run see the node, and the output next to nothing?
    pub(crate) fn nearly_silent(&self, node: &str, output: &str) -> bool {
        let sent = self.nodes.get(node).and_then(|node| node.outputs.get(output));
        sent.is_some_and(|&sent| sent < LEAST_MESSAGES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let outputs = BTreeMap::from([("state".to_owned(), 5000)]);
        let node = NodeProfile { events: 5001, p999_us: 60.5, max_us: 88.125, lost: 3, outputs };
        let nodes = BTreeMap::from([("plant".to_owned(), node)]);
        let profile = Profile { dataflow: "flow".into(), seconds: 10.0, rt: "strict".into(), nodes };
        assert_eq!(Profile::parse(&profile.to_json().to_string()).as_ref(), Ok(&profile));
        assert_eq!(profile.cost("plant"), Some(88_125));
        assert_eq!(profile.mean_period("plant", "state"), Some(2_000_000));
        assert_eq!(profile.mean_period("plant", "pose"), None);
    }

    #[test]
    fn other_files_are_refused_with_a_reason() {
        for (text, why) in [
            ("", "EOF"),
            ("[]", "no `version`"),
            (r#"{"version": 2, "nodes": {}}"#, "version 2"),
            (r#"{"version": 1}"#, "no `nodes`"),
            (r#"{"version": 1, "nodes": {}}"#, "`seconds`"),
            (r#"{"version": 1, "seconds": 1, "nodes": {"a": {}}}"#, "`events` of `a`"),
            (
                r#"{"version": 1, "seconds": 1, "nodes": {"a": {"events": 1, "p999_us": 1, "max_us": -1}}}"#,
                "max_us",
            ),
        ] {
            let error = Profile::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
