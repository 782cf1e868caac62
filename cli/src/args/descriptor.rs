//! Commands that only read a descriptor: `expand`, `validate`, `graph`; and `new`, which writes one.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

/// `dora expand`
#[derive(Args, Debug)]
pub(crate) struct ExpandArgs {
    /// The dataflow descriptor or, with --module, the module file (YAML)
    pub(crate) path: PathBuf,
    /// Check a module file by itself: header, ports, wiring, nested modules
    #[arg(long)]
    pub(crate) module: bool,
}

/// `dora validate`
#[derive(Args, Debug)]
pub(crate) struct ValidateArgs {
    /// The dataflow descriptor (YAML)
    pub(crate) path: PathBuf,
    /// Treat type warnings as errors
    #[arg(long)]
    pub(crate) strict_types: bool,
    /// Check against the manifest of a node package
    #[arg(long, value_name = "PATH")]
    pub(crate) node_manifest: Option<PathBuf>,
    /// Use only what was fetched before
    #[arg(long)]
    pub(crate) offline: bool,
    /// Timing.
    #[command(flatten)]
    pub(crate) timing: TimingArgs,
}

/// Flags of `dora validate --rt`.
#[derive(Args, Debug)]
pub(crate) struct TimingArgs {
    /// Compute response times, and say which deadline or chain cannot hold
    #[arg(long)]
    pub(crate) rt: bool,
    /// Handler times and rates measured by `dora run --profile`, for what the descriptor does not declare
    #[arg(long, value_name = "FILE", requires = "rt")]
    pub(crate) profile: Option<PathBuf>,
    /// Propose priorities and cores
    #[arg(long, requires = "rt")]
    pub(crate) suggest: bool,
    /// How many cores the proposal may use; core 0 stays free where there are several. Default: those of this machine
    #[arg(long, value_name = "N", requires = "suggest")]
    pub(crate) cores: Option<std::num::NonZeroU16>,
    /// Longest time from a send or a tick until its node could run: `dora doctor --rt` measures it
    #[arg(long, value_name = "DURATION", value_parser = dora_descriptor::duration, default_value = "50us", requires = "rt")]
    pub(crate) hop: Duration,
    /// Longest time that the kernel keeps a core from the node that should have it
    #[arg(long, value_name = "DURATION", value_parser = dora_descriptor::duration, default_value = "100us", requires = "rt")]
    pub(crate) blocking: Duration,
}

/// `dora graph`
#[derive(Args, Debug)]
pub(crate) struct GraphArgs {
    /// The dataflow descriptor (YAML)
    pub(crate) path: PathBuf,
    /// Print Mermaid text instead of writing an HTML page
    #[arg(long, conflicts_with_all = ["open", "output"])]
    pub(crate) mermaid: bool,
    /// Show the page in the browser
    #[arg(long)]
    pub(crate) open: bool,
    /// Where the page goes, instead of <STEM>-graph.html in the working directory
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// `dora new`
#[derive(Args, Debug)]
pub(crate) struct NewArgs {
    /// Name of the folder, and of what is in it
    pub(crate) name: String,
    /// What to make
    #[arg(long, value_enum, default_value_t)]
    pub(crate) kind: NewKind,
    /// The language of the nodes
    #[arg(long, value_enum, default_value_t)]
    pub(crate) lang: NewLang,
    /// Take the node API from this checkout of dora instead of the published version
    #[arg(long, value_name = "PATH", env = "DORA_CHECKOUT")]
    pub(crate) path: Option<PathBuf>,
}

/// `dora new --kind`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum NewKind {
    /// Two talkers and a listener
    #[default]
    Dataflow,
    /// One node, with a dataflow to try it out
    Node,
}

/// `dora new --lang`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum NewLang {
    /// Rust
    #[default]
    Rust,
    /// Python
    Python,
    /// C
    C,
    /// C++
    Cxx,
}
