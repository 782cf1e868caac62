//! `dora prove`: runs a dataflow and counts, per thread and message, what has no place on a hot path.
//!
//! ```text
//!   preload ──► every process counts its calls to the allocator in a shared page ──┐
//!   /proc   ──► page faults, context switches ─────────────────────────────────────┤
//!   perf    ──► system calls by name, locks that slept ────────────────────────────┤
//!                                                                                  ▼
//!   run ──node started──► observe: looks at all of it every 100 ms ──► window ──► verdict ──► text, json
//!    ▲                       │ enough
//!    └───────────────────────┘
//! ```
//!
//! No node needs to be built for this, and none is asked anything. What cannot be counted is said and never shown as 0.
//! Why it is done this way: `docs/decisions/0006-prove.md`.

mod json;
mod names;
mod observe;
mod page;
mod perf;
mod preload;
mod sample;
mod text;
mod verdict;
mod window;

use std::{
    io::{self, Write},
    sync::Arc,
    thread,
    time::Duration,
};

use dora_protocol::dataflow::Dataflow;
use tokio::sync::{mpsc, oneshot};

use super::{
    load_to_use,
    run::{Watching, run_to_the_end},
};
use crate::{
    args::{ProveArgs, ReportFormat, RunArgs, SourceArgs},
    display::report,
    error::{CliError, CliResult},
};
use observe::{Observed, Plan};
use perf::Probe;
use sample::Counters;
use verdict::{Case, Outcome, Verdict, judge};
use window::{Measured, ThreadCounts};

/// The daemon among the nodes.
const OWN: &str = "dora";

/// `dora prove`
pub(crate) fn run(args: &ProveArgs) -> CliResult {
    // First of all: it may start this program anew.
    let page = preload::page()?;
    let dataflow = load_to_use(&args.path, &args.env)?.dataflow;
    let judged = judged(&dataflow, &args.node)?;
    let counters = Counters { page, probe: Probe::find().map(Arc::new) };
    let plan = Plan {
        warm_up: args.warm_up,
        at_most: args.at_most,
        messages: args.messages.get(),
        judged: judged.clone(),
    };
    let logs = dataflow.working_dir.join("out");
    let (observer, started) = mpsc::unbounded_channel();
    let (enough, stop) = oneshot::channel();
    let looking = thread::Builder::new()
        .name("dora-prove".to_owned())
        .spawn(move || observe::observe(plan, counters, started, enough))
        .map_err(|error| CliError::new("failed to start the observer").caused_by(&error))?;
    let run = run_to_the_end(&as_run(args), dataflow.clone(), Some(Watching { observer, enough: stop }));
    let observed = looking.join();
    let run = run?;
    let observed =
        observed.map_err(|_| CliError::new("the observer has failed; this is a defect of dora"))?;
    let account = Account::new(args, &dataflow, &judged, observed);
    show(args, &account)?;
    if run.failure().is_some() {
        let folder = logs.join(&run.dataflow_id);
        return Err(CliError::new(report::failures(&run))
            .hint(format!("everything the nodes printed is in {}", folder.display())));
    }
    account.result(args.strict)
}

/// Positions of the nodes that promise a clean hot path: those with an `rt:` block, and those named by `--node`.
fn judged(dataflow: &Dataflow, named: &[String]) -> CliResult<Vec<usize>> {
    for name in named {
        if !dataflow.nodes.iter().any(|node| node.id == name.as_str()) {
            let known: Vec<_> = dataflow.nodes.iter().map(|node| node.id.as_str()).collect();
            return Err(CliError::new(format!(
                "the dataflow has no node `{name}`; it has {}",
                known.join(", ")
            )));
        }
    }
    let is_judged = |node: &dora_protocol::dataflow::Node| {
        node.rt.is_some() || named.iter().any(|name| node.id == name.as_str())
    };
    Ok((0..dataflow.nodes.len()).filter(|position| is_judged(&dataflow.nodes[*position])).collect())
}

/// The run behind the proof. What nodes print goes to stderr: stdout has the verdicts.
fn as_run(args: &ProveArgs) -> RunArgs {
    RunArgs {
        path: args.path.clone(),
        stop_after: None,
        rt: Some(args.rt),
        build: false,
        report: ReportFormat::Json,
        profile: None,
        uv: args.uv,
        debug: false,
        allow_shell_nodes: args.allow_shell_nodes,
        quiet: false,
        log_level: args.log_level,
        log_format: args.log_format,
        log_filter: None,
        exit_when_nodes_finish: None,
        env: args.env.clone(),
        sources: SourceArgs::default(),
    }
}

/// Everything that is shown.
pub(crate) struct Account {
    name: String,
    warm_up: Duration,
    at_most: Duration,
    messages: u64,
    rows: Vec<Row>,
}

/// One node, or the daemon's real-time thread.
struct Row {
    name: String,
    judged: bool,
    pid: Option<u32>,
    main_tid: Option<u32>,
    measured: Option<Measured>,
    verdict: Verdict,
    notes: Vec<String>,
}

impl Row {
    fn new(name: String, pid: Option<u32>, case: &Case<'_>) -> Self {
        Self {
            name,
            judged: case.judged,
            pid,
            main_tid: case.main_tid,
            measured: case.measured.cloned(),
            verdict: judge(case),
            notes: Vec::new(),
        }
    }

    fn main(&self) -> Option<&ThreadCounts> {
        self.measured.as_ref()?.threads.iter().find(|thread| Some(thread.tid) == self.main_tid)
    }

    /// `data` for the thread that handles messages, `dora` for those of the library, `other` for the node's own.
    fn role(&self, thread: &ThreadCounts) -> &'static str {
        match thread.name.as_str() {
            _ if Some(thread.tid) == self.main_tid => "data",
            name if name.starts_with("dora-") => "dora",
            _ => "other",
        }
    }
}

impl Account {
    fn new(args: &ProveArgs, dataflow: &Dataflow, judged: &[usize], observed: Observed) -> Self {
        let mut rows = Vec::new();
        for (position, node) in dataflow.nodes.iter().enumerate() {
            let seen = observed.nodes.get(&position);
            let ends_chain = dataflow.chains.iter().any(|chain| chain.to.0 as usize == position);
            let case = Case {
                judged: judged.contains(&position),
                measured: seen.and_then(|seen| seen.measured.as_ref()),
                main_tid: seen.and_then(|seen| seen.main_tid),
                deadlines: ends_chain || node.inputs.iter().any(|input| input.deadline.is_some()),
                may_rest: false,
            };
            let mut row = Row::new(node.id.to_string(), seen.map(|seen| seen.pid), &case);
            if let Some(seen) = seen.filter(|seen| seen.starts > 1) {
                row.notes.push(format!("it was started {} times; this is its last life", seen.starts));
            }
            rows.push(row);
        }
        if let Some(measured) = &observed.real_time {
            let main_tid = measured.threads.first().map(|thread| thread.tid);
            let case =
                Case { judged: true, measured: Some(measured), main_tid, deadlines: false, may_rest: true };
            let mut row = Row::new(OWN.to_owned(), Some(std::process::id()), &case);
            row.notes.push("its real-time thread, per message of all nodes".to_owned());
            rows.push(row);
        }
        Self {
            name: dataflow.name.clone(),
            warm_up: args.warm_up,
            at_most: args.at_most,
            messages: args.messages.get(),
            rows,
        }
    }

    fn named(&self, outcome: Outcome) -> Vec<&str> {
        let rows = self.rows.iter().filter(|row| row.verdict.outcome == outcome);
        rows.map(|row| row.name.as_str()).collect()
    }

    fn sentence(&self) -> String {
        let (broken, unproved) = (self.named(Outcome::Broken), self.named(Outcome::Unproved));
        let clean = self.named(Outcome::Clean);
        let nodes = self.rows.iter().any(|row| row.judged && row.name != OWN);
        match (&broken[..], &unproved[..]) {
            ([], []) if !nodes => {
                "no node has an `rt:` block, so none was judged; name one with --node to judge it".to_owned()
            }
            ([], []) => format!("hot path clean: {}", clean.join(", ")),
            ([], _) => format!("not proved, because not everything was counted: {}", unproved.join(", ")),
            _ => format!("hot path NOT clean: {}", broken.join(", ")),
        }
    }

    fn result(&self, strict: bool) -> CliResult {
        let broken = !self.named(Outcome::Broken).is_empty();
        let unproved = strict && !self.named(Outcome::Unproved).is_empty();
        if broken || unproved { Err(CliError::new(self.sentence())) } else { Ok(()) }
    }
}

fn show(args: &ProveArgs, account: &Account) -> CliResult {
    let text = if args.json { json::render(account)? } else { text::render(account) };
    let written = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
    written.map_err(|error| CliError::new("failed to write to stdout").caused_by(&error))
}
