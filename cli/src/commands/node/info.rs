//! `dora node info`: one node, as the live descriptor and its metrics show it.

use std::collections::BTreeMap;

use dora_protocol::{
    control::{ControlReply, ControlRequest, DataflowInfo, NodeInfo, NodeState},
    dataflow::{Dataflow, Node, NodeKind, Source},
    policy::RestartPolicy,
};
use serde_json::{Value, json};

use super::{list, names_hint, node_id, place, status_word};
use crate::{
    args::{NodeInfoArgs, OutputFormat},
    client::{unexpected, with_coordinator},
    commands::select::Among,
    display::{
        numbers::{UNKNOWN, memory, percent},
        out::{json_document, print},
    },
    error::{CliError, CliResult},
};

/// Everything there is to say about a node.
struct About {
    dataflow: String,
    live: Dataflow,
    index: usize,
    state: Option<NodeState>,
    parameters: BTreeMap<String, Value>,
}

/// `dora node info`
pub(super) fn run(args: &NodeInfoArgs) -> CliResult {
    let id = node_id(&args.node)?;
    let about = with_coordinator(&args.place.coord, async |mut client| {
        let entry = place(&mut client, &args.place, Among::All).await?;
        let info = match client.ask(ControlRequest::Info { dataflow_uuid: entry.id.uuid }).await? {
            ControlReply::DataflowInfo(info) => info,
            other => return Err(unexpected(&other)),
        };
        let live = resolve(&info)?;
        let index = live.nodes.iter().position(|node| node.id == id).ok_or_else(|| {
            CliError::new(format!("node `{id}` not found in dataflow `{}`", entry_name(&info)))
                .hint(names_hint(&entry))
        })?;
        let of_node = |node: &NodeInfo| node.dataflow_id == entry.id.uuid && node.state.node_id == id;
        let state = list::all(&mut client).await?.into_iter().find(of_node).map(|node| node.state);
        let request = ControlRequest::GetParams { dataflow_id: entry.id.uuid, node_id: id.clone() };
        let parameters = match client.ask(request).await? {
            ControlReply::ParamList { params } => params,
            other => return Err(unexpected(&other)),
        };
        Ok(About { dataflow: entry_name(&info), live, index, state, parameters })
    })?;
    match args.format {
        OutputFormat::Table => print(&about.text()),
        OutputFormat::Json => json_document(&about.as_json()),
    }
}

fn entry_name(info: &DataflowInfo) -> String {
    info.entry.id.name.clone().unwrap_or_else(|| info.entry.id.uuid.to_string())
}

/// The coordinator keeps the text; what it means is found out here as it was there.
fn resolve(info: &DataflowInfo) -> CliResult<Dataflow> {
    let loaded =
        dora_descriptor::parse_str(&info.file, info.descriptor_text.as_str(), &info.working_dir, &[]);
    loaded.map(|loaded| loaded.dataflow).map_err(|errors| {
        CliError::new("the coordinator's descriptor cannot be read by this version of dora")
            .caused_by(&errors)
            .hint("are both of the same version? `dora down` and `dora up` start the one of this program")
    })
}

impl About {
    fn node(&self) -> &Node {
        &self.live.nodes[self.index]
    }

    /// Input, and everything that it reads.
    fn inputs(&self) -> Vec<(String, Vec<String>)> {
        let sources = |input: &dora_protocol::dataflow::Input| {
            input.sources().map(|source| source_name(&self.live, source)).collect()
        };
        self.node().inputs.iter().map(|input| (input.id.to_string(), sources(input))).collect()
    }

    /// Output, and every input that reads it.
    fn outputs(&self) -> Vec<(String, Vec<String>)> {
        let readers = |output: usize| {
            let reads = |source: &Source| matches!(source, Source::Output { node, output: o } if *node as usize == self.index && *o as usize == output);
            let nodes = self.live.nodes.iter();
            nodes
                .flat_map(|node| node.inputs.iter().map(move |input| (node, input)))
                .filter(|(_, input)| input.sources().any(reads))
                .map(|(node, input)| format!("{}/{}", node.id, input.id))
                .collect()
        };
        let outputs = self.node().outputs.iter().enumerate();
        outputs.map(|(index, output)| (output.id.to_string(), readers(index))).collect()
    }

    fn text(&self) -> String {
        let node = self.node();
        let restart = &node.restart;
        let max = if restart.max_restarts == 0 {
            "0 (no limit)".to_owned()
        } else {
            restart.max_restarts.to_string()
        };
        let mut text = format!(
            "Node: {}\nDataflow: {}\nPath: {}\n\nRestart Policy:\n  Policy: {}\n  Max restarts: {max}\n",
            node.id,
            self.dataflow,
            path(node),
            policy(restart.policy)
        );
        text += "\nInputs:\n";
        text += &ports(&self.inputs(), "<-", "nothing");
        text += "\nOutputs:\n";
        text += &ports(&self.outputs(), "->", "nobody");
        if !self.parameters.is_empty() {
            text += "\nParameters:\n";
            text.extend(self.parameters.iter().map(|(key, value)| format!("  {key} = {value}\n")));
        }
        text += "\nRuntime Metrics:\n";
        text + &self.state.as_ref().map_or_else(|| "  the dataflow is not running\n".to_owned(), metrics_text)
    }

    fn as_json(&self) -> Value {
        let node = self.node();
        let joined = |sources: Vec<String>| match sources.len() {
            1 => json!(sources[0]),
            _ => json!(sources),
        };
        let inputs: Vec<Value> = self
            .inputs()
            .into_iter()
            .map(|(id, sources)| json!({ "id": id, "source": joined(sources) }))
            .collect();
        let outputs: Vec<Value> = self
            .outputs()
            .into_iter()
            .map(|(id, readers)| json!({ "id": id, "subscribers": readers }))
            .collect();
        json!({
            "node_id": node.id,
            "dataflow": self.dataflow,
            "path": path(node),
            "inputs": inputs,
            "outputs": outputs,
            "restart_policy": policy(node.restart.policy),
            "max_restarts": node.restart.max_restarts,
            "parameters": self.parameters,
            "metrics": self.state.as_ref().map(metrics_json),
        })
    }
}

fn source_name(live: &Dataflow, source: &Source) -> String {
    match source {
        Source::Timer { period_ns } => timer(*period_ns),
        Source::Output { node, output } => {
            let sender = &live.nodes[*node as usize];
            format!("{}/{}", sender.id, sender.outputs[*output as usize].id)
        }
        Source::Logs { level, node: None } => format!("dora/logs/{level}"),
        Source::Logs { level, node: Some(node) } => format!("dora/logs/{level}/{node}"),
    }
}

/// In the largest unit that needs no fraction.
fn timer(period_ns: u64) -> String {
    let (unit, name) = [(1_000_000_000, "secs"), (1_000_000, "millis"), (1_000, "micros")]
        .into_iter()
        .find(|(unit, _)| period_ns.is_multiple_of(*unit))
        .unwrap_or((1, "nanos"));
    format!("dora/timer/{name}/{}", period_ns / unit)
}

fn path(node: &Node) -> String {
    match &node.kind {
        NodeKind::Executable { path, .. } => path.clone(),
        NodeKind::Shell { command } => format!("shell: {command}"),
        NodeKind::Dynamic => "dynamic".to_owned(),
        NodeKind::Runtime { operators } => {
            operators.iter().map(|operator| operator.source.path()).collect::<Vec<_>>().join(", ")
        }
    }
}

fn policy(policy: RestartPolicy) -> &'static str {
    match policy {
        RestartPolicy::Never => "Never",
        RestartPolicy::OnFailure => "OnFailure",
        RestartPolicy::Always => "Always",
    }
}

fn ports(ports: &[(String, Vec<String>)], arrow: &str, nothing: &str) -> String {
    if ports.is_empty() {
        return "  none\n".to_owned();
    }
    let width = ports.iter().map(|(id, _)| id.chars().count()).max().unwrap_or(0);
    let others = |others: &[String]| if others.is_empty() { nothing.to_owned() } else { others.join(", ") };
    ports.iter().map(|(id, to)| format!("  {id:width$} {arrow} {}\n", others(to))).collect()
}

fn metrics_text(state: &NodeState) -> String {
    let mut text = format!(
        "  Status:        {}\n  PID:           {}\n  CPU:           {}\n  Memory:        {}\n  Restarts:      {}\n  Pending msgs:  {}\n",
        status_word(state.status),
        state.pid.map_or_else(|| UNKNOWN.to_owned(), |pid| pid.to_string()),
        percent(state.metrics.map(|metrics| metrics.cpu_usage)),
        memory(state.metrics.map(|metrics| metrics.memory_bytes)),
        state.restart_count,
        state.pending_messages,
    );
    if let Some(metrics) = state.metrics {
        text +=
            &format!("  Messages:      {} taken, {} sent\n", metrics.messages_taken, metrics.messages_sent);
    }
    if !state.broken_inputs.is_empty() {
        text += &format!("  Timed out:     {}\n", state.broken_inputs.join(", "));
    }
    if let Some(error) = &state.error {
        text += &format!("  Error:         {error}\n");
    }
    text
}

fn metrics_json(state: &NodeState) -> Value {
    json!({
        "status": status_word(state.status),
        "pid": state.pid,
        "cpu": percent(state.metrics.map(|metrics| metrics.cpu_usage)),
        "memory": memory(state.metrics.map(|metrics| metrics.memory_bytes)),
        "restart_count": state.restart_count,
        "pending_messages": state.pending_messages,
        "broken_inputs": state.broken_inputs,
        "messages_taken": state.metrics.map(|metrics| metrics.messages_taken),
        "messages_sent": state.metrics.map(|metrics| metrics.messages_sent),
        "error": state.error,
    })
}

#[cfg(test)]
mod tests {
    use dora_protocol::control::NodeStatus;

    use super::*;

    const FLOW: &str = "\
nodes:
  - id: s
    path: s.py
    restart_policy: on-failure
    max_restarts: 3
    inputs: { tick: dora/timer/millis/200 }
    outputs: [o, unused]
  - id: r
    path: r.py
    inputs: { i: s/o }
";

    fn about(node: &str) -> About {
        let live =
            dora_descriptor::parse_str("f.yml", FLOW, std::path::Path::new("/w"), &[]).unwrap().dataflow;
        let index = live.nodes.iter().position(|n| n.id == node).unwrap();
        let state = list::tests::node(node, NodeStatus::Degraded, Some((0.5, 82_000_000))).state;
        let parameters = BTreeMap::from([("gain".to_owned(), json!(0.5))]);
        About { dataflow: "foo".into(), live, index, state: Some(state), parameters }
    }

    #[test]
    fn json_has_the_documented_keys_and_the_wiring_of_the_live_dataflow() {
        let value = about("s").as_json();
        assert_eq!(value["inputs"], json!([{ "id": "tick", "source": "dora/timer/millis/200" }]));
        assert_eq!(
            value["outputs"],
            json!([{ "id": "o", "subscribers": ["r/i"] }, { "id": "unused", "subscribers": [] }])
        );
        for (key, expected) in [
            ("node_id", json!("s")),
            ("dataflow", json!("foo")),
            ("path", json!("s.py")),
            ("restart_policy", json!("OnFailure")),
            ("max_restarts", json!(3)),
            ("parameters", json!({ "gain": 0.5 })),
        ] {
            assert_eq!(value[key], expected, "{key}");
        }
        let metrics = &value["metrics"];
        assert_eq!((&metrics["status"], &metrics["pid"]), (&json!("Degraded"), &json!(4711)));
        assert_eq!((&metrics["cpu"], &metrics["memory"]), (&json!("0.5%"), &json!("82 MB")));
        assert_eq!((&metrics["restart_count"], &metrics["pending_messages"]), (&json!(2), &json!(5)));
        assert_eq!(about("r").as_json()["inputs"], json!([{ "id": "i", "source": "s/o" }]));
    }

    #[test]
    fn text_shows_arrows_in_the_direction_of_the_messages() {
        let text = about("s").text();
        for line in [
            "Node: s\n",
            "  Policy: OnFailure\n  Max restarts: 3\n",
            "  tick <- dora/timer/millis/200\n",
            "  o      -> r/i\n",
            "  unused -> nobody\n",
            "  gain = 0.5\n",
            "  Timed out:     image\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        let mut ended = about("r");
        ended.state = None;
        let text = ended.text();
        assert!(text.contains("Outputs:\n  none\n") && text.contains("not running"), "{text}");
    }

    #[test]
    fn timers_are_written_in_the_largest_unit_that_fits() {
        for (ns, expected) in [
            (2_000_000_000, "dora/timer/secs/2"),
            (1_500_000_000, "dora/timer/millis/1500"),
            (250_000, "dora/timer/micros/250"),
            (1, "dora/timer/nanos/1"),
        ] {
            assert_eq!(timer(ns), expected);
        }
    }
}
