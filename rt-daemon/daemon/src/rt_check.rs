//! The proof of the real-time set-up: what every thread really has, against what the descriptor asks for.
//!
//! Nothing that a node says about itself is believed here except which thread is its main one; the rest is read
//! back from `/proc`. A step that the node reported as refused brings its own reason and fix, so the read-back
//! adds a problem only where no such report explains it. The daemon's real-time thread is checked like a node's.

use dora_protocol::{
    dataflow::{Dataflow, Node},
    log::LogLevel,
    rt::{RtSettings, SchedPolicy, SetupStep, WaitPolicy},
};
use rt_tuning::readback::{self, ProcessFacts, ThreadFacts};

use crate::{
    error::sentence,
    exit::Cause,
    node_state::Phase,
    options::{RtMode, RunEvent},
    report::{RtProblem, RtTable, RtThread},
    supervisor::Supervisor,
};

/// The daemon among the nodes of the table.
pub(crate) const OWN: &str = "dora";

impl Supervisor {
    /// Reads everything back; `false` when the run must not start.
    pub(crate) fn check_real_time(&mut self) -> bool {
        if self.options.rt == RtMode::Off {
            return true;
        }
        let mut table = RtTable::default();
        // Of the real-time thread first, then of the nodes: what refuses the start under strict.
        let mut asked = self.own_threads(&mut table.threads);
        let flow = self.dataflow.clone();
        for (node, state) in flow.nodes.iter().zip(&self.nodes) {
            let Some(pid) = state.speaker.or(state.pid).filter(|_| state.living.is_some()) else { continue };
            let wish = Wish::of_node(node, state.main_tid);
            match read_back(pid) {
                Ok((threads, process)) => {
                    asked.extend(missing(&wish, &state.setup, &threads, &process, &mut table.threads));
                }
                Err(e) => asked.push(problem(wish.who, "read-back", e.to_string(), None)),
            }
        }
        table.problems = [&self.own_problems[..], &asked[..]].concat();
        self.display.send(RunEvent::RtTable(table.clone()));
        self.rt_table = Some(table);
        self.warn_of_throttling();
        self.decide(asked)
    }

    /// Reads back a process that came when the dataflow was running. It is not refused any more: what it did not get is
    /// told, and the table shows it instead of the process before.
    pub(crate) fn check_late_comer(&mut self, node: usize) {
        let state = &self.nodes[node];
        let Some(pid) = state.speaker.or(state.pid).filter(|_| self.options.rt != RtMode::Off && state.late)
        else {
            return;
        };
        let description = &self.dataflow.nodes[node];
        let id = description.id.clone();
        let wish = Wish::of_node(description, state.main_tid);
        let mut rows = Vec::new();
        let problems = match read_back(pid) {
            Ok((threads, process)) => missing(&wish, &state.setup, &threads, &process, &mut rows),
            Err(e) => vec![problem(wish.who, "read-back", e.to_string(), None)],
        };
        for text in problems.iter().map(sentence).collect::<Vec<_>>() {
            self.display.system(LogLevel::Warn, Some(&id), text.clone());
            self.warnings.push(text);
        }
        if let Some(table) = &mut self.rt_table {
            table.threads.retain(|row| row.node != id.as_str());
            table.threads.extend(rows);
            table.problems.retain(|found| found.node != id.as_str());
            table.problems.extend(problems);
        }
    }

    /// The daemon's own threads. Only its real-time thread has a wish, and only its problems are returned.
    fn own_threads(&self, rows: &mut Vec<RtThread>) -> Vec<RtProblem> {
        let (threads, process) = match read_back(std::process::id()) {
            Ok(facts) => facts,
            Err(e) => return vec![problem(OWN, "read-back", e.to_string(), None)],
        };
        let placing = self.pool.as_ref().map(|pool| &pool.placing);
        let mut problems = Vec::new();
        for thread in threads {
            match placing.filter(|placing| placing.tid == Some(thread.tid)) {
                Some(placing) => {
                    let wish = Wish {
                        who: OWN,
                        cores: placing.cores.clone(),
                        rt: placing.rt.as_ref(),
                        main_tid: placing.tid,
                    };
                    problems.extend(missing(&wish, &placing.setup, &[thread], &process, rows));
                }
                None => rows.push(row(OWN, &thread, &process, None)),
            }
        }
        problems
    }

    /// What the daemon's ordinary threads did not get is worth a warning, but nothing depends on it.
    fn decide(&mut self, asked: Vec<RtProblem>) -> bool {
        let refuse = self.options.rt == RtMode::Strict && !asked.is_empty();
        for problem in self.own_problems.iter().chain(asked.iter().filter(|_| !refuse)) {
            let text = sentence(problem);
            self.display.system(LogLevel::Warn, None, text.clone());
            self.warnings.push(text);
        }
        if !refuse {
            return true;
        }
        self.refused = Some(asked);
        for node in 0..self.nodes.len() {
            let (phase, connected) = (self.nodes[node].phase, self.nodes[node].connected);
            if phase < Phase::Ended && connected {
                let reason = "the real-time set-up of this dataflow is incomplete (--rt)".to_owned();
                self.refuse(node, reason, Cause::NotStarted);
            } else {
                self.stop_node(node);
            }
        }
        false
    }

    fn warn_of_throttling(&mut self) {
        let Ok((Some(runtime_ns), period_ns)) = rt_tuning::throttle::runtime_ns_period_ns() else { return };
        let away_ms = period_ns.saturating_sub(runtime_ns) / 1_000_000;
        for node in self.dataflow.nodes.iter().filter(|n| spins_under_fifo(n)) {
            let text = throttling_warning(node.id.as_str(), away_ms, period_ns / 1_000_000);
            self.display.system(LogLevel::Warn, Some(&node.id), text.clone());
            self.warnings.push(text);
        }
    }
}

fn spins_under_fifo(node: &Node) -> bool {
    node.rt.as_ref().is_some_and(|rt| {
        rt.wait == WaitPolicy::Spin && matches!(rt.policy, SchedPolicy::Fifo | SchedPolicy::Rr)
    })
}

fn throttling_warning(node: &str, away_ms: u64, period_ms: u64) -> String {
    format!(
        "node `{node}` spins under a real-time policy, and this kernel may take its core away for {away_ms} ms of every \
         {period_ms} ms (from Linux 6.12 only while an ordinary thread waits for that core): use `wait: spin 50us`, or \
         isolate the core and, on older kernels, `sysctl kernel.sched_rt_runtime_us=-1`; see docs/realtime.md"
    )
}

/// What was asked for the threads of one process.
struct Wish<'a> {
    /// Node id, or [`OWN`].
    who: &'a str,
    /// For all threads; empty = any.
    cores: Vec<usize>,
    /// For the main thread.
    rt: Option<&'a RtSettings>,
    main_tid: Option<u32>,
}

impl<'a> Wish<'a> {
    fn of_node(node: &'a Node, main_tid: Option<u32>) -> Self {
        let cores = node.cpu_affinity.iter().map(|c| *c as usize).collect();
        Self { who: node.id.as_str(), cores, rt: node.rt.as_ref(), main_tid }
    }
}

fn read_back(pid: u32) -> std::io::Result<(Vec<ThreadFacts>, ProcessFacts)> {
    Ok((readback::threads(pid)?, readback::process(pid)?))
}

/// Refused steps of `setup`, and what the read-back shows beyond them; adds a row per thread.
fn missing(
    wish: &Wish<'_>,
    setup: &[SetupStep],
    threads: &[ThreadFacts],
    process: &ProcessFacts,
    rows: &mut Vec<RtThread>,
) -> Vec<RtProblem> {
    let mut problems: Vec<_> = setup.iter().filter_map(|step| refused_step(wish.who, step)).collect();
    let found = compare(wish, threads, process, rows);
    problems.extend(found.into_iter().filter(|p| !explained(p, setup)));
    problems
}

fn refused_step(who: &str, step: &SetupStep) -> Option<RtProblem> {
    let reason = step.failed.clone()?;
    Some(RtProblem { node: who.to_owned(), what: step.what.clone(), reason, fix: step.fix.clone() })
}

/// Was the refusal that the read-back shows reported where it happened?
fn explained(problem: &RtProblem, setup: &[SetupStep]) -> bool {
    let topic = problem.what.split(' ').next().unwrap_or_default();
    setup.iter().any(|step| step.failed.is_some() && step.what.starts_with(topic))
}

fn problem(node: &str, what: impl Into<String>, reason: impl Into<String>, fix: Option<&str>) -> RtProblem {
    RtProblem { node: node.to_owned(), what: what.into(), reason: reason.into(), fix: fix.map(str::to_owned) }
}

/// Compares the threads of one process with its wish; adds a row per thread and returns what is missing.
fn compare(
    wish: &Wish<'_>,
    threads: &[ThreadFacts],
    process: &ProcessFacts,
    rows: &mut Vec<RtThread>,
) -> Vec<RtProblem> {
    let id = wish.who;
    let mut problems = Vec::new();
    let mut wanted_cores = wish.cores.clone();
    wanted_cores.sort_unstable();
    wanted_cores.dedup();
    for thread in threads {
        let is_main = Some(thread.tid) == wish.main_tid;
        let mut ok = None;
        if !wish.cores.is_empty() {
            let granted = readback::core_list(&thread.cpus) == wanted_cores;
            ok = Some(granted);
            if !granted && is_main {
                let what = format!("affinity {:?}", wish.cores);
                let reason = format!("thread `{}` may run on {}", thread.name, thread.cpus);
                problems.push(problem(
                    id,
                    what,
                    reason,
                    Some("name cores that exist and that this process may use"),
                ));
            }
        }
        if let Some(rt) = wish.rt.filter(|_| is_main) {
            let granted = has_policy(rt, thread);
            ok = Some(granted && ok.unwrap_or(true));
            if !granted {
                let reason = format!("thread `{}` has {} {}", thread.name, thread.policy, thread.priority);
                problems.push(problem(
                    id,
                    policy_text(rt),
                    reason,
                    Some("grant CAP_SYS_NICE or raise RLIMIT_RTPRIO"),
                ));
            }
        }
        rows.push(row(id, thread, process, ok));
    }
    if wish.rt.is_some() && wish.main_tid.is_none_or(|tid| threads.iter().all(|t| t.tid != tid)) {
        problems.push(problem(id, "scheduling", "the node did not say which thread is its main one", None));
    }
    if wish.rt.is_some_and(|rt| rt.lock_memory) && process.vm_lck_kb == 0 {
        problems.push(problem(
            id,
            "memory lock",
            "VmLck is 0",
            Some("grant CAP_IPC_LOCK or `ulimit -l unlimited`"),
        ));
    }
    problems
}

fn has_policy(rt: &RtSettings, thread: &ThreadFacts) -> bool {
    let policy = policy_name(rt.policy);
    let priority = match rt.policy {
        SchedPolicy::Fifo | SchedPolicy::Rr => rt.priority.map(u32::from),
        SchedPolicy::Deadline | SchedPolicy::Other => None,
    };
    thread.policy.trim_start_matches("SCHED_").eq_ignore_ascii_case(policy)
        && priority.is_none_or(|p| p == thread.priority)
}

fn policy_name(policy: SchedPolicy) -> &'static str {
    match policy {
        SchedPolicy::Fifo => "FIFO",
        SchedPolicy::Rr => "RR",
        SchedPolicy::Deadline => "DEADLINE",
        SchedPolicy::Other => "OTHER",
    }
}

fn policy_text(rt: &RtSettings) -> String {
    let name = policy_name(rt.policy).to_lowercase();
    rt.priority.map(|p| format!("scheduling {name} {p}")).unwrap_or_else(|| format!("scheduling {name}"))
}

fn row(node: &str, thread: &ThreadFacts, process: &ProcessFacts, ok: Option<bool>) -> RtThread {
    RtThread {
        node: node.to_owned(),
        tid: thread.tid,
        name: thread.name.clone(),
        policy: thread.policy.clone(),
        priority: thread.priority,
        cpus: thread.cpus.clone(),
        memory_locked: process.vm_lck_kb > 0,
        thp: process.thp_enabled.unwrap_or(true),
        timer_slack_ns: thread.timer_slack_ns,
        ok,
    }
}

/// Does any node ask for anything?
pub(crate) fn has_wishes(dataflow: &Dataflow) -> bool {
    dataflow.nodes.iter().any(|n| n.rt.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::node;

    fn thread(tid: u32, policy: &str, priority: u32, cpus: &str) -> ThreadFacts {
        ThreadFacts {
            tid,
            name: format!("t{tid}"),
            policy: policy.into(),
            priority,
            cpus: cpus.into(),
            minflt: 0,
            majflt: 0,
            voluntary: 0,
            involuntary: 0,
            timer_slack_ns: Some(1),
        }
    }

    fn controller() -> Node {
        let mut n = node("controller", "x");
        n.cpu_affinity = vec![1];
        n.rt = Some(RtSettings {
            policy: SchedPolicy::Fifo,
            priority: Some(80),
            lock_memory: true,
            ..RtSettings::default()
        });
        n
    }

    fn check(threads: &[ThreadFacts], vm_lck_kb: u64) -> (Vec<String>, Vec<Option<bool>>) {
        let mut rows = Vec::new();
        let process = ProcessFacts { vm_lck_kb, vm_rss_kb: 1, thp_enabled: Some(false) };
        let problems = compare(&Wish::of_node(&controller(), Some(5)), threads, &process, &mut rows);
        (problems.into_iter().map(|p| p.what).collect(), rows.into_iter().map(|r| r.ok).collect())
    }

    #[test]
    fn a_node_that_got_everything_has_no_problem_and_its_helpers_may_be_ordinary() {
        let threads = [thread(5, "FIFO", 80, "1"), thread(6, "OTHER", 0, "1")];
        assert_eq!(check(&threads, 100), (vec![], vec![Some(true), Some(true)]));
    }

    #[test]
    fn everything_that_is_missing_is_named() {
        let (problems, ok) = check(&[thread(5, "OTHER", 0, "0-1")], 0);
        assert_eq!(problems, ["affinity [1]", "scheduling fifo 80", "memory lock"]);
        assert_eq!(ok, [Some(false)]);
        assert_eq!(check(&[thread(5, "FIFO", 79, "1")], 1).0, ["scheduling fifo 80"]);
        assert_eq!(check(&[thread(7, "FIFO", 80, "1")], 1).0, ["scheduling"]);
    }

    #[test]
    fn a_refusal_that_the_node_reported_is_told_once_and_in_its_words() {
        let step = |what: &str, failed: bool| SetupStep {
            what: what.into(),
            failed: failed.then(|| "EPERM".into()),
            fix: None,
        };
        let found = problem("a", "scheduling fifo 80", "thread has OTHER", None);
        assert!(explained(&found, &[step("scheduling fifo 80", true)]));
        assert!(!explained(&found, &[step("scheduling fifo 80", false), step("memory lock", true)]));
        assert!(refused_step("controller", &step("memory lock", false)).is_none());
    }

    #[test]
    fn spinning_under_fifo_is_what_the_kernel_throttles() {
        let mut n = controller();
        assert!(!spins_under_fifo(&n));
        n.rt.as_mut().unwrap().wait = WaitPolicy::Spin;
        assert!(spins_under_fifo(&n));
        n.rt.as_mut().unwrap().policy = SchedPolicy::Other;
        assert!(!spins_under_fifo(&n));
        assert!(throttling_warning("a", 50, 1000).contains("50 ms of every 1000 ms"));
    }
}
