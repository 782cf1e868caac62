//! `dora start`: hands a dataflow to the coordinator, and stays with it or not.
//!
//! ```text
//!   read, check, expand modules, fetch sources ─► Start ─► detached: wait until every node is ready
//!                                                     └──► attached: show logs until the end; Ctrl-C stops, again kills
//! ```
//!
//! Nodes get the environment of the daemon, not of this process; `--env` adds to it.

mod attach;
mod reload;

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal},
    path::PathBuf,
};

use dora_descriptor::Loaded;
use dora_protocol::{
    DataflowId, NodeId,
    control::{ControlReply, ControlRequest, Prepared, StartRequest},
    dataflow::{Dataflow, Node, NodeKind},
};

use super::{build, load_to_use, restart::wait_until_up};
use crate::{
    args::StartArgs,
    client::{Client, unexpected, with_coordinator},
    display::{logs::LogFormat, out::print, rt_table},
    error::{CliError, CliResult},
};

/// `dora start`
pub(crate) fn run(args: &StartArgs) -> CliResult {
    let attach = stays(args, io::stdout().is_terminal());
    let loaded = load_to_use(&args.path, &args.env)?;
    let request = request(args, &loaded)?;
    let watched = if args.hot_reload { reload::operators(&loaded.dataflow) } else { Vec::new() };
    if args.hot_reload && watched.is_empty() {
        eprintln!("warning: --hot-reload has nothing to watch: the dataflow has no operator in Python");
    }
    with_coordinator(&args.coord, async |mut client| {
        let dataflow = trigger(&mut client, request).await?;
        announce(args, attach, &format!("dataflow start triggered: {dataflow}\n"))?;
        if attach {
            return attach::stay(client, dataflow, args, watched).await;
        }
        up(&mut client, dataflow, args, false).await?;
        print(&format!("dataflow started: {dataflow}\n"))
    })
}

/// Who sits at a terminal wants to see what happens.
fn stays(args: &StartArgs, terminal: bool) -> bool {
    args.attach || args.hot_reload || (terminal && !args.detach)
}

/// Steps go to stdout, unless that carries JSON.
fn announce(args: &StartArgs, attached: bool, text: &str) -> CliResult {
    if attached && args.logs.log_format == LogFormat::Json {
        eprint!("{text}");
        return Ok(());
    }
    print(text)
}

/// Waits until every node is ready; with `--rt`, shows what the real-time set-up came to, also when it is why there is no start.
async fn up(client: &mut Client, dataflow: DataflowId, args: &StartArgs, attached: bool) -> CliResult {
    let outcome = wait_until_up(client, dataflow).await;
    if args.rt.is_some() {
        // What there is to say of the start itself is more important than a table that cannot be had.
        let info = client.ask(ControlRequest::Info { dataflow_uuid: dataflow }).await;
        if let Ok(ControlReply::DataflowInfo(info)) = info
            && let Some(table) = &info.rt_table
        {
            announce(args, attached, &format!("\n{}\n", rt_table::render(table)))?;
        }
    }
    outcome
}

async fn trigger(client: &mut Client, request: StartRequest) -> CliResult<DataflowId> {
    match client.ask(ControlRequest::Start(Box::new(request))).await? {
        // The warnings are those that were shown when the file was read here.
        ControlReply::DataflowStartTriggered { uuid, warnings: _ } => Ok(uuid),
        other => Err(unexpected(&other)),
    }
}

fn request(args: &StartArgs, loaded: &Loaded) -> CliResult<StartRequest> {
    let mut placed = loaded.dataflow.clone();
    build::prepare(&mut placed)?;
    Ok(StartRequest {
        dataflow: loaded.flat_yaml(),
        file: args.path.display().to_string(),
        local_working_dir: absolute(&loaded.dataflow.working_dir)?,
        name: args.name.clone(),
        uv: args.uv,
        debug: args.debug,
        rt: args.rt.map(Into::into),
        exit_when_nodes_finish: args.exit_when_nodes_finish,
        env: args.env.clone(),
        prepared: prepared(&loaded.dataflow, &placed),
    })
}

fn absolute(folder: &std::path::Path) -> CliResult<PathBuf> {
    std::path::absolute(folder).map_err(|error| {
        CliError::new(format!("cannot find the folder {}", folder.display())).caused_by(&error)
    })
}

/// What fetching changed: folders of clones, and programs in the place of URLs.
fn prepared(before: &Dataflow, after: &Dataflow) -> BTreeMap<NodeId, Prepared> {
    let path = |node: &Node| match &node.kind {
        NodeKind::Executable { path, .. } => Some(path.clone()),
        _ => None,
    };
    let operators = |before: &Node, after: &Node| match (&before.kind, &after.kind) {
        (NodeKind::Runtime { operators: before }, NodeKind::Runtime { operators: after }) => before
            .iter()
            .zip(after)
            .filter(|(before, after)| before.source != after.source)
            .map(|(_, after)| (after.id.clone(), after.source.path().to_owned()))
            .collect(),
        _ => BTreeMap::new(),
    };
    let changed = |(before, after): (&Node, &Node)| {
        let prepared = Prepared {
            working_dir: after.working_dir.clone().filter(|_| before.working_dir != after.working_dir),
            path: path(after).filter(|_| path(before) != path(after)),
            operators: operators(before, after),
        };
        (prepared != Prepared::default()).then(|| (after.id.clone(), prepared))
    };
    before.nodes.iter().zip(&after.nodes).filter_map(changed).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn args(flags: &[&str]) -> StartArgs {
        let all = ["dora", "start", "flow.yml"].iter().chain(flags);
        let Command::Start(args) = Cli::try_parse_from(all).unwrap().command else { panic!("not start") };
        *args
    }

    #[test]
    fn terminal_decides_unless_a_flag_does() {
        for (flags, terminal, expected) in [
            (&[][..], true, true),
            (&[], false, false),
            (&["--attach"], false, true),
            (&["--detach"], true, false),
            (&["--hot-reload"], false, true),
        ] {
            assert_eq!(stays(&args(flags), terminal), expected, "{flags:?} {terminal}");
        }
    }

    #[test]
    fn only_what_fetching_changed_is_sent_along() {
        let yaml = "nodes:\n  - id: a\n    path: https://example.org/a\n  - id: b\n    path: b\n  - id: c\n    operators:\n    \
                    - { id: one, python: https://example.org/one.py }\n    - { id: two, python: two.py }\n";
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("flow.yml"), yaml).unwrap();
        let before = dora_descriptor::load(&dir.path().join("flow.yml"), &[]).unwrap().dataflow;
        let mut after = before.clone();
        assert!(prepared(&before, &after).is_empty());
        after.nodes[0].kind = NodeKind::Executable { path: "/w/build/a".into(), args: vec![] };
        after.nodes[1].working_dir = Some("/w/.dora/git/b".into());
        let NodeKind::Runtime { operators } = &mut after.nodes[2].kind else { panic!("operators") };
        *operators[0].source.path_mut() = "/w/build/one.py".into();
        let found = prepared(&before, &after);
        assert_eq!(found.len(), 3);
        let one = [("one".parse().unwrap(), "/w/build/one.py".to_owned())];
        assert_eq!(found[&before.nodes[2].id].operators, one.into());
        assert_eq!(
            found[&before.nodes[0].id],
            Prepared { path: Some("/w/build/a".into()), ..Prepared::default() }
        );
        assert_eq!(found[&before.nodes[1].id].working_dir, Some("/w/.dora/git/b".into()));
    }
}
