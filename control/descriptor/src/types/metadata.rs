//! Metadata keys: those that an output says it carries, and those that its type or its reader counts on.

use std::collections::BTreeSet;

use crate::{raw::RawPorts, yaml::Yaml};

/// Keys that a pattern puts on messages by itself.
pub(super) fn of_pattern(pattern: Option<&str>) -> &'static [&'static str] {
    match pattern {
        Some("service-server" | "service-client") => &["request_id"],
        Some("action-server") => &["goal_id", "goal_status"],
        Some("action-client") => &["goal_id"],
        _ => &[],
    }
}

/// The keys that an output says it carries; `None` when it says nothing.
pub(super) fn of_output(
    ports: &RawPorts<'_>,
    output: &str,
    pattern: Option<&str>,
) -> Option<BTreeSet<String>> {
    let (_, list) = ports.output_metadata.iter().find(|(name, _)| name.value == output)?;
    let written = list.list().iter().filter_map(Yaml::text);
    Some(written.chain(of_pattern(pattern).iter().copied()).map(str::to_owned).collect())
}

/// What of `wanted` is not there.
pub(super) fn missing<'a>(wanted: &'a [String], given: &BTreeSet<String>) -> Option<&'a str> {
    wanted.iter().find(|key| !given.contains(*key)).map(String::as_str)
}
