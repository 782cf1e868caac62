//! Rules about inputs and outputs, and about the maps whose keys must be one of them.

use std::collections::BTreeSet;

use dora_protocol::DataId;

use crate::{
    error::{About, At, Report},
    raw::{RawNode, RawPorts},
    schema::MAX_BACKPRESSURE_QUEUE,
    suggest::{did_you_mean, listed, shown},
};

/// Checks the ports of a node and of its operators.
pub(crate) fn check(node: &RawNode<'_>, strict_types: bool, about: About<'_>, report: &mut Report) {
    one(&node.ports, strict_types, about, report);
    for operator in &node.operators {
        one(&operator.ports, strict_types, about, report);
    }
}

fn one(ports: &RawPorts<'_>, strict_types: bool, about: About<'_>, report: &mut Report) {
    names(ports, about, report);
    for input in &ports.inputs {
        let limit = MAX_BACKPRESSURE_QUEUE;
        let backpressure = input.queue_policy.as_ref().is_some_and(|policy| policy.value == "backpressure");
        if let Some(size) = input.queue_size.as_ref().filter(|size| backpressure && size.value > limit) {
            let message = format!(
                "`{}`: with `backpressure` at most {limit}: the ring holds ten times as many",
                size.value
            );
            report.error(size.pos, about.field("queue_size"), message, &[]);
        }
    }
    let outputs: BTreeSet<&str> = ports.outputs.iter().map(|output| output.value.as_str()).collect();
    for (name, layout) in &ports.layout {
        declared(name, &outputs, about.field("output_layout"), report);
        let total = layout.max_message_bytes.unwrap_or(0).checked_mul(layout.depth.unwrap_or(1));
        // More would not fit any address space.
        if total.is_none_or(|bytes| bytes > 1 << 46) {
            let message = "`max_message_bytes` times `depth` is more than any machine can lock";
            report.error(name.pos, about.field("output_layout"), message, &[]);
        }
    }
    for (name, _) in &ports.framing {
        declared(name, &outputs, about.field("output_framing"), report);
    }
    types(ports, &outputs, strict_types, about, report);
    for (key, target) in [("send_stdout_as", &ports.stdout_as), ("send_logs_as", &ports.logs_as)] {
        let Some(target) = target else { continue };
        if let Err(error) = target.value.parse::<DataId>() {
            report.error(target.pos, about.field(key), super::refused(&error), &[]);
        } else if !outputs.contains(target.value.as_str()) {
            let message = format!("`{}` is not in `outputs`, so nobody can subscribe to it", target.value);
            report.warn(target.pos, about.field(key), message, &[]);
        }
    }
}

fn names(ports: &RawPorts<'_>, about: About<'_>, report: &mut Report) {
    let mut seen = BTreeSet::new();
    for (field, name) in ports
        .inputs
        .iter()
        .map(|input| ("inputs", &input.name))
        .chain(ports.outputs.iter().map(|output| ("outputs", output)))
    {
        if let Err(error) = name.value.parse::<DataId>() {
            let message = super::refused(&error);
            report.error(name.pos, about.field(field), message, &[]);
        }
        if !seen.insert((field, name.value.as_str())) {
            let message = format!("`{}` is listed twice", shown(&name.value));
            report.error(name.pos, about.field(field), message, &[]);
        }
    }
}

/// The key must be an output.
fn declared(name: &At<String>, outputs: &BTreeSet<&str>, about: About<'_>, report: &mut Report) {
    if !outputs.contains(name.value.as_str()) {
        let message = format!("`{}` is not an output of the node", shown(&name.value));
        let hints =
            if report.suggests() { hints(&name.value, outputs, "outputs").to_vec() } else { Vec::new() };
        report.error(name.pos, about, message, &hints);
    }
}

/// What was probably meant, and what there is.
pub(crate) fn hints(typed: &str, known: &BTreeSet<&str>, noun: &str) -> [String; 2] {
    let all = if known.is_empty() {
        format!("it declares no {noun}")
    } else {
        format!("its {noun} are {}", listed(known.iter().copied().take(20)))
    };
    [did_you_mean(typed, known.iter().copied()), all]
}

fn types(
    ports: &RawPorts<'_>,
    outputs: &BTreeSet<&str>,
    strict: bool,
    about: About<'_>,
    report: &mut Report,
) {
    let inputs: BTreeSet<&str> = ports.inputs.iter().map(|input| input.name.value.as_str()).collect();
    for (field, entries, known, list) in [
        ("output_types", ports.output_types, outputs, "outputs"),
        ("input_types", ports.input_types, &inputs, "inputs"),
        ("output_metadata", ports.output_metadata, outputs, "outputs"),
    ] {
        for (name, _) in entries {
            if !known.contains(name.value.as_str()) {
                let message = format!("{field} key `{}` not found in {list} list", shown(&name.value));
                let hints =
                    if report.suggests() { hints(&name.value, known, list).to_vec() } else { Vec::new() };
                report.type_problem(strict, name.pos, about, message, &hints);
            }
        }
    }
}
