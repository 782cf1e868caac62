//! Rules about `ros2` blocks: one form, well-formed names, the ports that the form needs.

use crate::{
    error::{About, At, Report},
    raw::{self, RawNode},
    suggest::shown,
    yaml::Yaml,
};

const FORMS: [&str; 4] = ["topic", "topics", "service", "action"];
const MOST_TOPICS: usize = 64;

/// Applies the rules.
pub(crate) fn check(node: &RawNode<'_>, about: About<'_>, report: &mut Report) {
    let Some(block) = node.yaml.get("ros2").filter(|block| !block.map().is_empty()) else { return };
    let forms: Vec<&str> = FORMS.into_iter().filter(|form| block.get(form).is_some()).collect();
    let [form] = forms.as_slice() else {
        let message = "a bridge has exactly one of `topic`, `topics`, `service`, `action`";
        return report.error(block.pos, about.field("ros2"), message, &[]);
    };
    match *form {
        "topic" => topic(block, about, report),
        "topics" => topics(block, about, report),
        form => call(block, form, about, report),
    }
    for key in ["topic", "service", "action", "namespace"] {
        if let Some(name) = raw::text(block, key) {
            ros_name(&name, key == "namespace", about.field(key), report);
        }
    }
    needed_ports(node, block, form, about, report);
    let qos = block.get("qos").into_iter().chain(
        block.get("topics").map(Yaml::list).unwrap_or_default().iter().filter_map(|topic| topic.get("qos")),
    );
    for qos in qos {
        if raw::flag(qos, "keep_all") == Some(true) && qos.get("keep_last").is_some() {
            report.error(qos.pos, about.field("qos"), "`keep_all` and `keep_last` exclude each other", &[]);
        }
    }
    if let Some(transport) = block.get("transport") {
        let dds = raw::text(transport, "kind").is_some_and(|kind| kind.value == "dds");
        for key in
            ["compatibility", "config_uri"].into_iter().filter(|key| dds && transport.get(key).is_some())
        {
            let message = format!("`{key}` is for `kind: zenoh`");
            report.error(transport.pos, about.field("transport"), message, &[]);
        }
    }
}

fn topic(block: &Yaml, about: About<'_>, report: &mut Report) {
    match raw::text(block, "message_type") {
        Some(kind) => ros_type(&kind, about.field("message_type"), report),
        None => report.error(block.pos, about.field("ros2"), "`topic` needs `message_type`", &[]),
    }
}

fn topics(block: &Yaml, about: About<'_>, report: &mut Report) {
    let topics = block.get("topics").map(Yaml::list).unwrap_or_default();
    if topics.is_empty() || topics.len() > MOST_TOPICS {
        let message = format!("expected 1 to {MOST_TOPICS} topics, found {}", topics.len());
        report.error(block.pos, about.field("topics"), message, &[]);
    }
    for topic in topics {
        if let Some(name) = raw::text(topic, "topic") {
            ros_name(&name, false, about.field("topic"), report);
        }
        if let Some(kind) = raw::text(topic, "message_type") {
            ros_type(&kind, about.field("message_type"), report);
        }
        let wrong = if publishes(topic) { "output" } else { "input" };
        if let Some((key, _)) = topic.entry(wrong) {
            let message = format!("`{wrong}` does not fit the direction of this topic");
            report.error(key.pos, about.field("topics"), message, &[]);
        }
    }
}

fn call(block: &Yaml, form: &str, about: About<'_>, report: &mut Report) {
    let type_key = if form == "service" { "service_type" } else { "action_type" };
    match raw::text(block, type_key) {
        Some(kind) => ros_type(&kind, about.field(type_key), report),
        None => report.error(block.pos, about.field("ros2"), format!("`{form}` needs `{type_key}`"), &[]),
    }
    if block.get("role").is_none() {
        let message = format!("`{form}` needs `role: client` or `role: server`");
        report.error(block.pos, about.field("ros2"), message, &[]);
    }
}

fn publishes(topic: &Yaml) -> bool {
    raw::text(topic, "direction").is_some_and(|direction| direction.value == "publish")
}

/// Subscribing fills outputs, publishing empties inputs, calls do both.
fn needed_ports(node: &RawNode<'_>, block: &Yaml, form: &str, about: About<'_>, report: &mut Report) {
    let topics = block.get("topics").map(Yaml::list).unwrap_or_default();
    let (input, output) = match form {
        "topic" => (publishes(block), !publishes(block)),
        "topics" => (topics.iter().any(publishes), !topics.iter().all(publishes)),
        _ => (true, true),
    };
    for (needed, empty, key) in
        [(input, node.ports.inputs.is_empty(), "inputs"), (output, node.ports.outputs.is_empty(), "outputs")]
    {
        if needed && empty {
            report.error(block.pos, about, format!("this bridge needs at least one of `{key}`"), &[]);
        }
    }
}

/// Names of topics and services: tokens of letters, digits and `_`, separated by single `/`.
fn ros_name(name: &At<String>, may_be_root: bool, about: About<'_>, report: &mut Report) {
    let text = name.value.as_str();
    if may_be_root && text == "/" {
        return;
    }
    let token = |token: &str| {
        let word = token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        word && token.bytes().next().is_some_and(|first| !first.is_ascii_digit())
    };
    if !text.strip_prefix('/').unwrap_or(text).split('/').all(token) {
        let message = format!("`{}` is not a ROS 2 name", shown(text));
        let hint = "letters, digits and `_`, in parts separated by single `/`, none starting with a digit";
        report.error(name.pos, about, message, &[hint.to_owned()]);
    }
}

/// `package/Type`.
fn ros_type(kind: &At<String>, about: About<'_>, report: &mut Report) {
    let word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !kind.value.split_once('/').is_some_and(|(package, name)| word(package) && word(name)) {
        let message =
            format!("`{}`: expected `package/Type`, such as `sensor_msgs/Image`", shown(&kind.value));
        report.error(kind.pos, about, message, &[]);
    }
}
