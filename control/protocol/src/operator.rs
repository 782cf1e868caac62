//! Operators of a runtime node: what to load, and which edges stay inside the process.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    DataId, NodeId, OperatorId,
    dataflow::{Location, Node, NodeKind},
    policy::QueuePolicy,
};

/// Name of the environment variable that holds a [`RuntimeConfig`] as JSON.
pub const ENV_RUNTIME_CONFIG: &str = "DORA_RUNTIME_CONFIG";

/// Name space of the request by which a runtime asks for the end of its dataflow; the payload names the operator.
pub const STOP_ALL: &str = "dora/stop-all";

/// One operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// Its name; `op` for a single operator without one.
    pub id: OperatorId,
    /// Where it stands in the file.
    pub at: Location,
    /// What to load.
    pub source: OperatorSource,
    /// SHA-256 that the file has to have, in lower-case hexadecimal digits; only where it comes from a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// In the order of the file.
    pub inputs: Vec<OperatorInput>,
    /// In the order of the file.
    pub outputs: Vec<OperatorOutput>,
    /// An invocation that takes longer is an overrun, nanoseconds: the tightest period or deadline of its inputs.
    pub budget_ns: Option<u64>,
}

/// What to load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorSource {
    /// A Python file with a class `Operator`.
    Python {
        /// As written.
        source: String,
        /// The conda environment that it runs in: its name, or its folder.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        conda_env: Option<String>,
    },
    /// A library with the symbols of `operator_api.h`.
    SharedLibrary {
        /// As written; the prefix `lib` and the extension may be missing.
        path: String,
    },
}

/// One input of an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorInput {
    /// As the operator knows it.
    pub id: DataId,
    /// Index into the inputs of the node; `None` when only operators of the same process feed it.
    pub outside: Option<u32>,
    /// Indices into the outputs of the node: operators of the same process that feed it.
    pub inside: Vec<u32>,
    /// It has an `input_timeout`: when it is closed, it may be opened again.
    pub can_recover: bool,
    /// Messages buffered per feeding operator.
    pub queue_size: u32,
    /// What happens when they are more.
    pub policy: QueuePolicy,
}

/// One output of an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorOutput {
    /// As the operator knows it.
    pub id: DataId,
    /// Index into the outputs of the node.
    pub output: u32,
    /// Largest payload, where the descriptor says so.
    pub max_message_bytes: Option<u64>,
}

/// Content of `DORA_RUNTIME_CONFIG`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RuntimeConfig {
    /// The node.
    pub node_id: NodeId,
    /// What it hosts.
    pub operators: Vec<Operator>,
    /// Names of the node's inputs.
    pub inputs: Vec<DataId>,
    /// Names of the node's outputs.
    pub outputs: Vec<DataId>,
    /// One thread per core, as far as operators can run side by side; empty = one thread, on any core.
    pub cores: Vec<u32>,
    /// How threads wait for each other.
    pub wait: crate::rt::WaitPolicy,
}

impl RuntimeConfig {
    /// That of a node; `None` when it hosts no operators.
    pub fn of(node: &Node) -> Option<Self> {
        let NodeKind::Runtime { operators } = &node.kind else { return None };
        Some(Self {
            node_id: node.id.clone(),
            operators: operators.clone(),
            inputs: node.inputs.iter().map(|input| input.id.clone()).collect(),
            outputs: node.outputs.iter().map(|output| output.id.clone()).collect(),
            cores: node.cpu_affinity.clone(),
            wait: node.rt.as_ref().map(|rt| rt.wait).unwrap_or_default(),
        })
    }
}

impl OperatorSource {
    /// The file as written, or the URL that it is behind.
    pub fn path(&self) -> &str {
        let (Self::Python { source: path, .. } | Self::SharedLibrary { path }) = self;
        path
    }

    /// The same, to be put elsewhere.
    pub fn path_mut(&mut self) -> &mut String {
        let (Self::Python { source: path, .. } | Self::SharedLibrary { path }) = self;
        path
    }

    /// The files that it may mean, best first, under `working_dir`.
    pub fn candidates(&self, working_dir: &Path) -> Vec<PathBuf> {
        match self {
            OperatorSource::Python { source, .. } => vec![working_dir.join(source)],
            OperatorSource::SharedLibrary { path } => {
                let written = working_dir.join(path);
                let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
                let name = written.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let named = |name: String| written.with_file_name(name);
                let full = named(format!("{prefix}{name}{suffix}"));
                vec![full, named(format!("{name}{suffix}")), written]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_may_be_named_with_or_without_prefix_and_extension() {
        let source = OperatorSource::SharedLibrary { path: "build/filter.v2".into() };
        let found = source.candidates(Path::new("/w"));
        let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        assert_eq!(found[0], Path::new("/w/build").join(format!("{prefix}filter.v2{suffix}")));
        assert_eq!(found[2], Path::new("/w/build/filter.v2"));
    }
}
