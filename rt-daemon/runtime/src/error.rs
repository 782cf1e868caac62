//! Why a runtime cannot start, or ended.

use std::path::PathBuf;

use dora_node_api::NodeError;
use dora_protocol::operator::ENV_RUNTIME_CONFIG;
use dora_rt::{StartError, operators::FlowError};

/// Why a runtime cannot start, or ended. Reads well after "the runtime failed: ".
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// Not started by a dataflow.
    #[error(
        "`{ENV_RUNTIME_CONFIG}` is not set: `dora runtime` is started by a dataflow, for a node with `operators:`"
    )]
    NoConfig,
    /// Started by another version.
    #[error(
        "`{ENV_RUNTIME_CONFIG}` is not what this version understands ({0}); use one version of dora everywhere"
    )]
    BadConfig(serde_json::Error),
    /// A Python operator.
    #[error(
        "operator `{operator}` is a Python file, which `dora runtime` cannot run; the Python package does"
    )]
    Python {
        /// Which.
        operator: String,
    },
    /// The library is not there, or not one.
    #[error("{at}: operator `{operator}`: `{}` cannot be loaded: {why}", file.display())]
    Load {
        /// Where it stands in the descriptor.
        at: String,
        /// Which.
        operator: String,
        /// What.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// The library is no operator.
    #[error(
        "{at}: operator `{operator}`: `{}` has no `{symbol}`; an operator exports the functions of `operator_api.h` \
         (in Rust: `#[register_operator]`, in a crate of type `cdylib`)", file.display()
    )]
    NoSymbol {
        /// Where it stands in the descriptor.
        at: String,
        /// Which.
        operator: String,
        /// What.
        file: PathBuf,
        /// What is missing.
        symbol: &'static str,
    },
    /// It could not be made.
    #[error("operator `{operator}` could not be started: {why}")]
    Init {
        /// Which.
        operator: String,
        /// Its words.
        why: String,
    },
    /// It failed while it ran.
    #[error("operator `{operator}` failed: {why}")]
    Operator {
        /// Which.
        operator: String,
        /// Its words.
        why: String,
    },
    /// The node.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The plan.
    #[error("the operators cannot be connected: {0}")]
    Plan(#[from] FlowError),
    /// The threads.
    #[error(transparent)]
    Threads(#[from] StartError),
}
