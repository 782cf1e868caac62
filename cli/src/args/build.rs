//! `dora build`: its flags, and those about sources that it shares with `dora run`.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::key_value;

/// `dora build`
#[derive(Args, Debug)]
pub(crate) struct BuildArgs {
    /// The dataflow descriptor (YAML)
    pub(crate) path: PathBuf,
    /// Run `pip` lines as `uv pip`, and give each Python node with `build:` lines an environment of its own
    #[arg(long)]
    pub(crate) uv: bool,
    /// Build on this machine (the only way there is so far)
    #[arg(long)]
    pub(crate) local: bool,
    /// Treat type warnings as errors
    #[arg(long)]
    pub(crate) strict_types: bool,
    /// Build nodes side by side though they share a folder
    #[arg(long)]
    pub(crate) parallel: bool,
    /// Use only what was fetched before
    #[arg(long)]
    pub(crate) offline: bool,
    /// Address of a coordinator that distributes the build
    #[arg(long, value_name = "IP", env = "DORA_COORDINATOR_ADDR")]
    pub(crate) coordinator_addr: Option<std::net::IpAddr>,
    /// Port of that coordinator
    #[arg(long, value_name = "PORT", env = "DORA_COORDINATOR_PORT")]
    pub(crate) coordinator_port: Option<u16>,
    /// Pinned sources.
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
}

/// Flags about where git and hub sources come from; shared by `run` and `build`.
#[derive(Args, Debug, Default)]
pub(crate) struct SourceArgs {
    /// Use exactly the sources pinned in the lockfile
    #[arg(long)]
    pub(crate) locked: bool,
    /// Pin the sources used in the lockfile
    #[arg(long, conflicts_with = "locked")]
    pub(crate) write_lockfile: bool,
    /// The lockfile, instead of <STEM>.dora-lock.yaml
    #[arg(long, value_name = "PATH")]
    pub(crate) lockfile: Option<PathBuf>,
    /// Use a folder in place of a hub package. May be repeated
    #[arg(long, value_name = "PKG=PATH", value_parser = key_value, action = ArgAction::Append)]
    pub(crate) hub_override: Vec<(String, String)>,
}
