//! `dora top --once`: a node as JSON. Metrics are there twice: flat, for `jq '.[].cpu_usage'`, and nested in `metrics`, for scripts
//! written against other versions.

use dora_protocol::control::NodeInfo;
use serde_json::{Value, json};

use crate::display::numbers::mega;

/// One element of the array.
pub(super) fn of(node: &NodeInfo) -> Value {
    let state = &node.state;
    let metrics = state.metrics;
    let nested = json!({
        "pid": state.pid,
        "cpu_usage": metrics.map(|metrics| metrics.cpu_usage),
        "memory_mb": metrics.map(|metrics| mega(metrics.memory_bytes)),
        "disk_read_mb_s": metrics.and_then(|metrics| metrics.disk_read_mb_s),
        "disk_write_mb_s": metrics.and_then(|metrics| metrics.disk_write_mb_s),
        "status": state.status,
        "restart_count": state.restart_count,
        "broken_inputs": state.broken_inputs,
        "pending_messages": state.pending_messages,
    });
    let mut value = json!({
        "dataflow_id": node.dataflow_id,
        "dataflow_name": node.dataflow_name,
        "node_id": state.node_id,
        "daemon_id": node.daemon_id,
    });
    if let (Some(value), Some(nested)) = (value.as_object_mut(), nested.as_object()) {
        value.extend(nested.clone());
    }
    value["messages_taken"] = json!(metrics.map(|metrics| metrics.messages_taken));
    value["messages_sent"] = json!(metrics.map(|metrics| metrics.messages_sent));
    value["error"] = json!(state.error);
    value["network"] = json!(state.network);
    value["metrics"] = nested;
    value
}

#[cfg(test)]
mod tests {
    use dora_protocol::control::{DaemonId, NetworkMetrics, NodeStatus};

    use super::*;
    use crate::commands::node::list_tests::node;

    #[test]
    fn metrics_are_flat_and_nested_with_the_documented_keys() {
        let mut info = node("cam", NodeStatus::Degraded, Some((101.5, 78_500_000)));
        info.daemon_id = Some(DaemonId { machine_id: None, uuid: uuid::Uuid::from_u128(1) });
        info.state.network = Some(NetworkMetrics { bytes_sent: 9, ..NetworkMetrics::default() });
        let value = of(&info);
        for (key, expected) in [
            ("cpu_usage", json!(101.5)),
            ("memory_mb", json!(78.5)),
            ("pid", json!(4711)),
            ("disk_read_mb_s", json!(0.25)),
            ("disk_write_mb_s", Value::Null),
            ("status", json!("degraded")),
            ("restart_count", json!(2)),
            ("broken_inputs", json!(["image"])),
            ("pending_messages", json!(5)),
        ] {
            assert_eq!(value[key], expected, "{key}");
            assert_eq!(value["metrics"][key], expected, "metrics.{key}");
        }
        assert_eq!((&value["node_id"], &value["dataflow_name"]), (&json!("cam"), &json!("arm")));
        assert!(value["dataflow_id"].is_string() && value["daemon_id"]["uuid"].is_string());
        assert!(value["daemon_id"]["machine_id"].is_null());
        let network =
            ["bytes_sent", "bytes_received", "messages_sent", "messages_received", "publish_failures"];
        assert!(network.iter().all(|key| value["network"][key].is_number()), "{value}");
    }

    #[test]
    fn what_is_not_known_is_null_and_never_zero() {
        let value = of(&node("cam", NodeStatus::Stopped, None));
        for key in ["pid", "cpu_usage", "memory_mb", "network"] {
            assert!(value[key].is_null(), "{key}: {value}");
        }
    }
}
