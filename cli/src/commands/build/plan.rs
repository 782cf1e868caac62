//! What a build will do, and everything that can be said against it before it does anything.

use std::{collections::BTreeMap, path::PathBuf};

use dora_daemon::environment::{self, Env};
use dora_protocol::dataflow::{Dataflow, Node};

use super::{
    Options,
    lines::{Lane, Line, NodeLines},
    process,
    sources::{Fetch, What},
};
use crate::error::{CliError, CliResult};

/// Steps of a build.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) fetches: Vec<Fetch>,
    /// Independent of each other.
    pub(super) lanes: Vec<Lane>,
    pub(super) options: Options,
}

impl Plan {
    /// # Errors
    /// All mistakes at once; nothing has been done then.
    pub(super) fn new(dataflow: &Dataflow, fetches: Vec<Fetch>, options: Options) -> CliResult<Self> {
        let host = environment::of_host();
        let mut problems = Vec::new();
        let mut hints = Vec::new();
        let mut nodes = Vec::new();
        for node in &dataflow.nodes {
            match node_lines(node, dataflow, &host, options) {
                Ok(lines) => nodes.extend(lines),
                Err(more) => problems.extend(more),
            }
        }
        sources(&fetches, options, &host, &mut problems, &mut hints);
        programs(&nodes, options, &host, &mut problems, &mut hints);
        if problems.is_empty() {
            return Ok(Self { fetches, lanes: lanes(nodes, options), options });
        }
        hints.dedup();
        Err(hints.into_iter().fold(CliError::new(problems.join("\n")), CliError::hint))
    }

    /// Build lines that will be run.
    pub(super) fn commands(&self) -> usize {
        self.lanes.iter().flat_map(|lane| &lane.nodes).map(|node| node.lines.len()).sum()
    }

    /// For the progress line.
    pub(super) fn steps(&self) -> usize {
        self.fetches.len() + self.commands()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fetches.is_empty() && self.lanes.is_empty()
    }

    /// Does it write to places that another build would write to, too?
    pub(super) fn needs_lock(&self) -> bool {
        let environments = self.lanes.iter().flat_map(|lane| &lane.nodes).any(|node| node.managed.is_some());
        !self.fetches.is_empty() || environments
    }
}

/// The build lines of a node, or what is wrong with them; nothing for a node without.
fn node_lines(
    node: &Node,
    dataflow: &Dataflow,
    host: &Env,
    options: Options,
) -> Result<Option<NodeLines>, Vec<String>> {
    let mut lines = Vec::new();
    let mut problems = Vec::new();
    for text in &node.build {
        match shlex::split(text) {
            Some(words) if words.is_empty() => {}
            Some(words) => lines.push(Line { text: text.clone(), words }),
            None => problems.push(format!(
                "{}: node `{}`: build line `{text}` has an unbalanced quote",
                node.at, node.id
            )),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    if lines.is_empty() {
        return Ok(None);
    }
    let (env, warnings) = environment::additions(node, host);
    let managed = environment::managed_python(node, &dataflow.working_dir).filter(|_| options.uv);
    Ok(Some(NodeLines {
        node: node.id.to_string(),
        at: node.at.clone(),
        env,
        warnings,
        dir: node.working_dir.clone().unwrap_or_else(|| dataflow.working_dir.clone()),
        managed,
        lines,
    }))
}

/// Is there a way to fetch them?
fn sources(
    fetches: &[Fetch],
    options: Options,
    host: &Env,
    problems: &mut Vec<String>,
    hints: &mut Vec<String>,
) {
    let git: Vec<&Fetch> = fetches.iter().filter(|fetch| matches!(fetch.what, What::Git(_))).collect();
    if let Some(first) = git.first().filter(|_| process::find("git", host).is_none()) {
        problems.push(format!("{}: `git` is needed for {}, and is not in PATH", first.place(), first.text()));
        hints.push("install git".to_owned());
    }
    for fetch in fetches.iter().filter(|fetch| options.offline && !fetch.is_there()) {
        problems.push(format!("{}: {} has not been fetched before", fetch.place(), fetch.text()));
        hints.push("build once without `--offline`".to_owned());
    }
}

/// Programs that dora itself needs. Those of the lines are looked for when their turn comes: an earlier line may install
/// them.
fn programs(
    nodes: &[NodeLines],
    options: Options,
    host: &Env,
    problems: &mut Vec<String>,
    hints: &mut Vec<String>,
) {
    let needs_uv = |node: &&NodeLines| node.managed.is_some() || node.lines.iter().any(Line::is_pip);
    let without = |node: &&NodeLines| {
        let mut env = host.clone();
        env.extend(node.env.clone());
        process::find("uv", &env).is_none()
    };
    if let Some(node) = nodes.iter().filter(|_| options.uv).filter(needs_uv).find(without) {
        problems.push(format!("{}: node `{}`: `--uv` needs `uv`, which is not in PATH", node.at, node.node));
        hints.push("install uv, or build without `--uv`".to_owned());
    }
}

/// Nodes that share a folder come one after the other, in the order of the file: their tools (`cargo`, `cmake`, `pip`)
/// write to the same places.
fn lanes(nodes: Vec<NodeLines>, options: Options) -> Vec<Lane> {
    if options.parallel {
        return nodes.into_iter().map(|node| Lane { nodes: vec![node] }).collect();
    }
    let mut lanes: Vec<Lane> = Vec::new();
    let mut of_folder: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for node in nodes {
        let lane = *of_folder.entry(node.dir.clone()).or_insert_with(|| {
            lanes.push(Lane { nodes: Vec::new() });
            lanes.len() - 1
        });
        lanes[lane].nodes.push(node);
    }
    lanes
}
