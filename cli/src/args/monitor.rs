//! `dora top`, `dora status`: how the machine and the nodes are.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{CoordArgs, OutputFormat};

/// `dora inspect …`
#[derive(Debug, Subcommand)]
pub(crate) enum InspectCommand {
    /// Watch what the nodes use, live
    Top(TopArgs),
}

/// `dora top`
#[derive(Args, Debug)]
pub(crate) struct TopArgs {
    /// Time between two looks, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) refresh_interval: u64,
    /// Print one look as JSON and end; needs no terminal
    #[arg(long)]
    pub(crate) once: bool,
    /// Whom to ask.
    #[command(flatten)]
    pub(crate) coord: CoordArgs,
}

/// `dora system …`
#[derive(Debug, Subcommand)]
pub(crate) enum SystemCommand {
    /// The same as `dora status`
    Status(StatusArgs),
}

/// `dora status`
#[derive(Args, Debug)]
pub(crate) struct StatusArgs {
    /// Check this dataflow as well
    #[arg(long, value_name = "PATH")]
    pub(crate) dataflow: Option<PathBuf>,
    /// Lines for people, or one JSON document
    #[arg(long, short, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) format: OutputFormat,
    /// Whom to ask.
    #[command(flatten)]
    pub(crate) coord: CoordArgs,
}
