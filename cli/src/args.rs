//! The command line as typed. What a flag means is decided in `commands`; here it is only named and read.
//!
//! A flag wins over its environment variable, which wins over the default; a variable that cannot be read is an
//! error, never a silent default.

mod build;
mod coord;
mod descriptor;
mod doctor;
mod lifecycle;
mod logs;
mod monitor;
mod node;
mod prove;
mod run;
mod service;
mod tool;

use clap::{Parser, Subcommand};

pub(crate) use build::{BuildArgs, SourceArgs};
pub(crate) use coord::CoordArgs;
pub(crate) use descriptor::{ExpandArgs, GraphArgs, NewArgs, NewKind, NewLang, TimingArgs, ValidateArgs};
pub(crate) use doctor::DoctorArgs;
pub(crate) use lifecycle::{
    CleanArgs, EndArgs, ListArgs, OutputFormat, RestartArgs, SortBy, StartArgs, StatusFilter, StopArgs,
};
pub(crate) use logs::{LogShowArgs, LogsArgs};
pub(crate) use monitor::{InspectCommand, StatusArgs, SystemCommand, TopArgs};
pub(crate) use node::{
    InDataflow, NodeAddArgs, NodeApplyArgs, NodeCommand, NodeEdgeArgs, NodeGraceArgs, NodeInfoArgs,
    NodeListArgs, NodeReplaceArgs, ParamCommand, ParamKeyArgs, ParamListArgs, ParamSetArgs,
};
pub(crate) use prove::ProveArgs;
pub(crate) use run::{ReportFormat, RtArg, RunArgs};
pub(crate) use service::{CoordinatorArgs, DaemonArgs, DownArgs, UpArgs};
pub(crate) use tool::{CompletionArgs, SelfCommand, SelfUninstallArgs, SelfUpdateArgs};

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
    /// Host the operators of a node; a dataflow starts this
    #[command(hide = true)]
    Runtime,
    /// Start coordinator and daemon in the background
    Up(UpArgs),
    /// Stop all dataflows, then daemon and coordinator
    #[command(visible_alias = "destroy")]
    Down(DownArgs),
    /// Run the coordinator
    #[command(hide = true)]
    Coordinator(CoordinatorArgs),
    /// Run the daemon of this machine
    #[command(hide = true)]
    Daemon(Box<DaemonArgs>),
    /// Start a dataflow under a coordinator
    Start(Box<StartArgs>),
    /// Stop a dataflow
    Stop(StopArgs),
    /// Stop a dataflow and start it again
    Restart(RestartArgs),
    /// List dataflows
    #[command(visible_alias = "ps")]
    List(ListArgs),
    /// Show what nodes printed
    Logs(Box<LogsArgs>),
    /// Watch what the nodes use, live
    Top(TopArgs),
    /// Look at running dataflows
    #[command(subcommand, arg_required_else_help = true)]
    Inspect(InspectCommand),
    /// Look at the nodes of running dataflows, and change them
    #[command(subcommand, arg_required_else_help = true)]
    Node(NodeCommand),
    /// Look at the parameters of nodes, and change them
    #[command(subcommand, arg_required_else_help = true)]
    Param(ParamCommand),
    /// Forget dataflows that have ended
    Clean(CleanArgs),
    /// Say whether coordinator and daemon are there
    #[command(visible_alias = "check")]
    Status(StatusArgs),
    /// Look at coordinator and daemon
    #[command(subcommand, arg_required_else_help = true)]
    System(SystemCommand),
    /// Print what a shell needs to complete the words of this command
    Completion(CompletionArgs),
    /// Update or remove this program
    #[command(name = "self", subcommand, arg_required_else_help = true)]
    Oneself(SelfCommand),
}

/// The names of the flags that are set.
pub(crate) fn given(flags: &[(bool, &'static str)]) -> Vec<&'static str> {
    flags.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect()
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
    use std::time::Duration;

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
    fn source_flags_that_were_given_are_known() {
        let args = run(&["--locked", "--hub-override", "a/b=./b"]).unwrap();
        assert!(args.sources.locked && args.sources.hub_override.len() == 1, "{args:?}");
        assert!(!run(&[]).unwrap().sources.locked);
    }
}
