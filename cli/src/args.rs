//! The command line as typed. What a flag means is decided in `commands`; here it is only named and read.
//!
//! A flag wins over its environment variable, which wins over the default; a variable that cannot be read is an
//! error, never a silent default.

mod doctor;
mod prove;

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, builder::BoolishValueParser};
use dora_daemon::options::RtMode;
use dora_protocol::log::LogLevel;

use crate::{
    display::logs::{LogFormat, NodeLevels},
    duration,
};

pub(crate) use doctor::DoctorArgs;
pub(crate) use prove::ProveArgs;

/// Dataflows for robots: real time first.
#[derive(Debug, Parser)]
#[command(name = "dora", version, arg_required_else_help = true, subcommand_required = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run one dataflow on this machine until its nodes end or Ctrl-C
    Run(Box<RunArgs>),
    /// Fetch what a dataflow's nodes are made of, and run their `build:` lines
    Build(Box<BuildArgs>),
    /// Check a dataflow without building or starting anything
    Validate(ValidateArgs),
    /// Print a dataflow without its modules, or check a module by itself
    Expand(ExpandArgs),
    /// Draw a dataflow: an HTML page that needs no network, or Mermaid text
    Graph(GraphArgs),
    /// Make a folder with a dataflow or a node that builds, runs and passes its own test
    New(NewArgs),
    /// Check this machine; with --rt: is it fit for real time, and what would make it so
    Doctor(DoctorArgs),
    /// Run a dataflow and count allocations, page faults, system calls and locks per message
    Prove(Box<ProveArgs>),
}

/// `dora run`
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// The dataflow descriptor (YAML)
    pub(crate) path: PathBuf,
    /// Stop gracefully after this long: 30, 30s, 500ms, 5m, 1h30m
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) stop_after: Option<Duration>,
    /// Real-time scheduling for nodes with an `rt:` block. `strict` refuses to start when something is missing,
    /// `best-effort` reports it and goes on
    #[arg(long, value_name = "MODE", num_args = 0..=1, require_equals = true, default_missing_value = "strict")]
    pub(crate) rt: Option<RtArg>,
    /// Build first, as `dora build` does
    #[arg(long)]
    pub(crate) build: bool,
    /// Report at the end; `json` goes to stdout alone, and logs then go to stderr
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) report: ReportFormat,
    /// Write the longest handler time of each node to this file, for `dora validate --rt --profile`
    #[arg(long, value_name = "FILE")]
    pub(crate) profile: Option<PathBuf>,
    /// Run Python nodes through `uv`
    #[arg(long)]
    pub(crate) uv: bool,
    /// Let topics be inspected while the dataflow runs
    #[arg(long)]
    pub(crate) debug: bool,
    /// Start nodes with `path: shell`
    #[arg(long, env = "DORA_ALLOW_SHELL_NODES", value_parser = BoolishValueParser::new())]
    pub(crate) allow_shell_nodes: bool,
    /// Least severe level shown: error, warn, info, debug, trace, or stdout for everything
    #[arg(long, value_name = "LEVEL", env = "DORA_LOG_LEVEL", default_value = "stdout")]
    pub(crate) log_level: LogLevel,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", env = "DORA_LOG_FORMAT", value_enum, default_value_t)]
    pub(crate) log_format: LogFormat,
    /// Level per node, overriding --log-level: node1=debug,node2=warn
    #[arg(long, value_name = "FILTER", env = "DORA_LOG_FILTER")]
    pub(crate) log_filter: Option<NodeLevels>,
    /// End nodes when all their data inputs closed, though timers go on; overrides the descriptor
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) exit_when_nodes_finish: Option<bool>,
    /// Environment variable for all nodes; a node's own `env:` wins. May be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value, action = ArgAction::Append)]
    pub(crate) env: Vec<(String, String)>,
    /// Pinned sources.
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
}

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
    /// C; there is no node API for it yet
    C,
    /// C++; there is no node API for it yet
    Cxx,
}

/// Flags about where git and hub sources come from; shared by `run` and `build`.
#[derive(Args, Debug, Default)]
pub(crate) struct SourceArgs {
    /// Use exactly the sources pinned in the lockfile
    #[arg(long)]
    pub(crate) locked: bool,
    /// Pin the sources used in the lockfile
    #[arg(long)]
    pub(crate) write_lockfile: bool,
    /// The lockfile, instead of <STEM>.dora-lock.yaml
    #[arg(long, value_name = "PATH")]
    pub(crate) lockfile: Option<PathBuf>,
    /// Use a folder in place of a hub package. May be repeated
    #[arg(long, value_name = "PKG=PATH", value_parser = key_value, action = ArgAction::Append)]
    pub(crate) hub_override: Vec<(String, String)>,
}

impl SourceArgs {
    /// The flags that were given; none of them has an effect yet.
    pub(crate) fn given(&self) -> Vec<&'static str> {
        let flags = [
            (self.locked, "--locked"),
            (self.write_lockfile, "--write-lockfile"),
            (self.lockfile.is_some(), "--lockfile"),
            (!self.hub_override.is_empty(), "--hub-override"),
        ];
        given(&flags)
    }
}

/// The names of the flags that are set.
pub(crate) fn given(flags: &[(bool, &'static str)]) -> Vec<&'static str> {
    flags.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect()
}

/// `--rt` with or without a mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RtArg {
    /// Refuse to start when something that was asked for cannot be had.
    Strict,
    /// Report it and go on.
    BestEffort,
}

impl From<RtArg> for RtMode {
    fn from(arg: RtArg) -> Self {
        match arg {
            RtArg::Strict => RtMode::Strict,
            RtArg::BestEffort => RtMode::BestEffort,
        }
    }
}

/// `--report`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// Tables.
    #[default]
    Text,
    /// One JSON document, alone on stdout.
    Json,
    /// No report.
    None,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && !key.contains([' ', '\t', '\n', '\0']) => {
            Ok((key.to_owned(), value.to_owned()))
        }
        _ => Err("write it as KEY=VALUE, without blanks in KEY".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, error::ErrorKind};

    use super::*;

    fn run(flags: &[&str]) -> Result<RunArgs, clap::Error> {
        let all = ["dora", "run", "flow.yml"].iter().chain(flags);
        Cli::try_parse_from(all).map(|cli| match cli.command {
            Command::Run(args) => *args,
            other => panic!("not run: {other:?}"),
        })
    }

    #[test]
    fn definition_of_the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn rt_alone_is_strict_and_takes_its_mode_only_after_an_equals_sign() {
        assert_eq!(run(&[]).unwrap().rt, None);
        assert_eq!(run(&["--rt"]).unwrap().rt, Some(RtArg::Strict));
        assert_eq!(run(&["--rt=best-effort"]).unwrap().rt, Some(RtArg::BestEffort));
        assert!(run(&["--rt=maybe"]).is_err());
        let before = Cli::try_parse_from(["dora", "run", "--rt", "flow.yml"]);
        assert!(before.is_ok(), "the path after a bare --rt is not its mode");
    }

    #[test]
    fn exit_when_nodes_finish_can_be_switched_both_ways() {
        assert_eq!(run(&[]).unwrap().exit_when_nodes_finish, None);
        assert_eq!(run(&["--exit-when-nodes-finish"]).unwrap().exit_when_nodes_finish, Some(true));
        assert_eq!(run(&["--exit-when-nodes-finish=false"]).unwrap().exit_when_nodes_finish, Some(false));
    }

    #[test]
    fn env_is_repeatable_and_the_value_may_contain_anything() {
        let args = run(&["--env", "A=1", "--env", "B=x=y z"]).unwrap();
        assert_eq!(args.env, [("A".into(), "1".into()), ("B".into(), "x=y z".into())]);
        for bad in ["A", "=1", "A B=1"] {
            assert!(run(&["--env", bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn malformed_values_are_usage_errors_that_name_the_flag() {
        for (flag, value) in [
            ("--stop-after", "soon"),
            ("--log-level", "loud"),
            ("--log-format", "xml"),
            ("--log-filter", "cam"),
            ("--report", "pdf"),
        ] {
            let error = run(&[flag, value]).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{flag}");
            assert!(error.to_string().contains(flag), "{error}");
        }
    }

    fn doctor(flags: &[&str]) -> Result<DoctorArgs, clap::Error> {
        let all = ["dora", "doctor"].iter().chain(flags);
        Cli::try_parse_from(all).map(|cli| match cli.command {
            Command::Doctor(args) => args,
            other => panic!("not doctor: {other:?}"),
        })
    }

    #[test]
    fn flags_of_the_measurement_need_rt() {
        assert_eq!(doctor(&["--rt"]).unwrap().duration, Duration::from_secs(5));
        assert!(doctor(&[]).is_ok() && doctor(&["--json"]).is_ok());
        for flags in [&["--duration", "1s"][..], &["--cores", "1"], &["--fix-plan"]] {
            let error = doctor(flags).unwrap_err();
            assert_eq!(
                (error.kind(), error.exit_code()),
                (ErrorKind::MissingRequiredArgument, 2),
                "{flags:?}"
            );
        }
        assert!(doctor(&["--rt", "--fix-plan", "--json"]).is_err(), "a script is no JSON");
    }

    #[test]
    fn cores_are_numbers_and_ranges_and_nothing_else() {
        let cores = |text| doctor(&["--rt", "--cores", text]).map(|args| args.cores.unwrap().0);
        assert_eq!(cores("2").unwrap(), [2]);
        assert_eq!(cores("0-2,5").unwrap(), [0, 1, 2, 5]);
        for bad in ["", "a", "3-1", "1,", "1;2", "99999999", "-1"] {
            assert!(cores(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn unknown_command_is_a_usage_error_and_no_command_shows_help() {
        let error = Cli::try_parse_from(["dora", "fly"]).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (ErrorKind::InvalidSubcommand, 2));
        let error = Cli::try_parse_from(["dora"]).unwrap_err();
        assert_eq!(
            (error.kind(), error.exit_code()),
            (ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand, 2)
        );
    }

    #[test]
    fn source_flags_that_were_given_are_listed() {
        let args = run(&["--locked", "--hub-override", "a/b=./b"]).unwrap();
        assert_eq!(args.sources.given(), ["--locked", "--hub-override"]);
        assert_eq!(run(&[]).unwrap().sources.given(), Vec::<&str>::new());
    }
}
