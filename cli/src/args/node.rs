//! `dora node …` and `dora param …`: one node of a running dataflow.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

use super::{CoordArgs, OutputFormat};
use crate::duration;

/// Which dataflow, and whom to ask.
#[derive(Args, Clone, Debug)]
pub(crate) struct InDataflow {
    /// The dataflow: UUID or name. Default: the only one that runs
    #[arg(long, short, value_name = "DATAFLOW")]
    pub(crate) dataflow: Option<String>,
    /// Whom to ask.
    #[command(flatten)]
    pub(crate) coord: CoordArgs,
}

/// `dora node …`
#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// List the nodes of running dataflows
    List(NodeListArgs),
    /// Show one node: inputs, outputs, restart policy, metrics
    Info(NodeInfoArgs),
    /// Add a node to a running dataflow
    Add(NodeAddArgs),
    /// Stop a node and take it out of its dataflow
    Remove(NodeGraceArgs),
    /// Put another node in the place of one that runs; the new one is up before the old one ends
    Replace(NodeReplaceArgs),
    /// Lead an output to an input
    Connect(NodeEdgeArgs),
    /// Take away the way from an output to an input
    Disconnect(NodeEdgeArgs),
    /// Make several changes at once: all of them or none
    Apply(NodeApplyArgs),
    /// Stop a node and start it again, whatever its restart policy
    Restart(NodeGraceArgs),
    /// Stop a node for good; it stays in the dataflow
    Stop(NodeGraceArgs),
}

/// `dora node list`
#[derive(Args, Debug)]
pub(crate) struct NodeListArgs {
    /// A table, or one JSON object per line
    #[arg(long, short, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) format: OutputFormat,
    /// Print names and nothing else
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Only nodes of this dataflow: UUID or name
    #[arg(long, short, value_name = "DATAFLOW")]
    pub(crate) dataflow: Option<String>,
    /// Whom to ask.
    #[command(flatten)]
    pub(crate) coord: CoordArgs,
}

/// `dora node info`
#[derive(Args, Debug)]
pub(crate) struct NodeInfoArgs {
    /// The node
    pub(crate) node: String,
    /// Lines for people, or one JSON document
    #[arg(long, short, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) format: OutputFormat,
    /// Where it is.
    #[command(flatten)]
    pub(crate) place: InDataflow,
}

/// `dora node add`
#[derive(Args, Debug)]
pub(crate) struct NodeAddArgs {
    /// A file with one node, written as under `nodes:` in a descriptor
    #[arg(long, value_name = "FILE")]
    pub(crate) from_yaml: PathBuf,
    /// Where to.
    #[command(flatten)]
    pub(crate) place: InDataflow,
}

/// `dora node replace`
#[derive(Args, Debug)]
pub(crate) struct NodeReplaceArgs {
    /// The node whose place is taken
    pub(crate) node: String,
    /// A file with one node of the same id, written as under `nodes:` in a descriptor
    #[arg(long, value_name = "FILE")]
    pub(crate) from_yaml: PathBuf,
    /// For the old node: from the request to end to SIGTERM
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) grace: Option<Duration>,
    /// Where it is.
    #[command(flatten)]
    pub(crate) place: InDataflow,
}

/// `dora node remove`, `restart` and `stop`
#[derive(Args, Debug)]
pub(crate) struct NodeGraceArgs {
    /// The node
    pub(crate) node: String,
    /// From the request to end to SIGTERM; half of it later SIGKILL
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) grace: Option<Duration>,
    /// Where it is.
    #[command(flatten)]
    pub(crate) place: InDataflow,
}

/// `dora node connect` and `disconnect`
#[derive(Args, Debug)]
pub(crate) struct NodeEdgeArgs {
    /// The output: NODE/OUTPUT
    #[arg(value_name = "SRC/OUT", value_parser = port)]
    pub(crate) source: Port,
    /// The input: NODE/INPUT
    #[arg(value_name = "DST/IN", value_parser = port)]
    pub(crate) target: Port,
    /// Where they are.
    #[command(flatten)]
    pub(crate) place: InDataflow,
}

/// `dora node apply`
#[derive(Args, Debug)]
pub(crate) struct NodeApplyArgs {
    /// The changes: lists `add:`, `remove:`, `replace:`, `connect:`, `disconnect:`
    #[arg(value_name = "PATCH")]
    pub(crate) file: PathBuf,
    /// For nodes that go: from the request to end to SIGTERM
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) grace: Option<Duration>,
    /// Where.
    #[command(flatten)]
    pub(crate) place: InDataflow,
}

/// An output or an input of a node. The part behind the first slash may have slashes itself: `op/image`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    /// Whose.
    pub(crate) node: String,
    /// Which.
    pub(crate) id: String,
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.node, self.id)
    }
}

/// Reads `node/port`.
pub(crate) fn port(text: &str) -> Result<Port, String> {
    match text.split_once('/') {
        Some((node, id)) if !node.is_empty() && !id.is_empty() => {
            Ok(Port { node: node.to_owned(), id: id.to_owned() })
        }
        _ => Err("write it as NODE/PORT, like `camera/image`".to_owned()),
    }
}

/// `dora param …`
#[derive(Debug, Subcommand)]
pub(crate) enum ParamCommand {
    /// List the parameters of a node
    List(ParamListArgs),
    /// Print one parameter as JSON
    Get(ParamKeyArgs),
    /// Set a parameter; a node that runs is told
    Set(ParamSetArgs),
    /// Delete a parameter; a node that runs is told
    Delete(ParamKeyArgs),
}

/// `dora param list`
#[derive(Args, Debug)]
pub(crate) struct ParamListArgs {
    /// The node
    pub(crate) node: String,
    /// A table, or one JSON document
    #[arg(long, short, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) format: OutputFormat,
    /// Where it is.
    #[command(flatten)]
    pub(crate) place: InDataflow,
}

/// `dora param get` and `delete`
#[derive(Args, Debug)]
pub(crate) struct ParamKeyArgs {
    /// The node
    pub(crate) node: String,
    /// The parameter
    pub(crate) key: String,
    /// Where it is.
    #[command(flatten)]
    pub(crate) place: InDataflow,
}

/// `dora param set`
#[derive(Args, Debug)]
pub(crate) struct ParamSetArgs {
    /// The node
    pub(crate) node: String,
    /// The parameter, at most 256 bytes
    pub(crate) key: String,
    /// The value as JSON, at most 64 KB: 42, '"1080p"', '{"nms": 0.5}'
    #[arg(allow_hyphen_values = true)]
    pub(crate) value: String,
    /// Where it is.
    #[command(flatten)]
    pub(crate) place: InDataflow,
}
