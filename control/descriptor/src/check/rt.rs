//! Rules about the `rt` block, and its resolved form.

use std::time::Duration;

use dora_protocol::rt::{RtSettings, SchedPolicy, WaitPolicy};

use crate::{
    error::{About, At, Report},
    raw::{RawNode, RawRt},
    schema::POLICIES,
    suggest::shown,
    values,
};

/// SCHED_DEADLINE refuses a smaller run time (2^10 ns).
const LEAST_RUNTIME: Duration = Duration::from_nanos(1024);

/// Reports what is wrong, and what is likely not meant.
pub(crate) fn check(node: &RawNode<'_>, about: About<'_>, report: &mut Report) {
    let Some(At { pos, value: rt }) = &node.rt else { return };
    let path = node.path.as_ref().map(|path| path.value.as_str());
    if path == Some("shell") {
        let hint = "`rt` is applied by the node library; give the program itself as `path`".to_owned();
        report.error(
            *pos,
            about.field("rt"),
            "a shell is not a dora node, so nobody would apply it",
            &[hint],
        );
    }
    // A word that is no policy has been reported; what would follow from the default has not been meant.
    if rt.policy.as_deref().is_some_and(|policy| !POLICIES.contains(&policy)) {
        return;
    }
    let policy = policy(rt);
    match policy {
        SchedPolicy::Fifo | SchedPolicy::Rr if rt.priority.is_none() => {
            let message = format!("policy `{}` needs a `priority` from 1 to 99", name(policy));
            report.error(*pos, about.field("rt"), message, &[]);
        }
        SchedPolicy::Deadline => deadline(rt, node, *pos, about, report),
        _ => {}
    }
    unused(rt, policy, about, report);
    let wait = match &rt.wait {
        None => WaitPolicy::Park,
        Some(text) => match wait(&text.value) {
            Ok(wait) => wait,
            Err(why) => {
                report.error(text.pos, about.field("rt.wait"), why, &[]);
                return;
            }
        },
    };
    let real_time = matches!(policy, SchedPolicy::Fifo | SchedPolicy::Rr);
    let pinned = node.yaml.get("cpu_affinity").is_some_and(|cores| !cores.list().is_empty());
    if wait == WaitPolicy::Spin && real_time && !pinned {
        let message = format!("spins under `{}` without `cpu_affinity`", name(policy));
        let hint = "the kernel throttles real-time threads that never sleep (50 ms in every second by \
                    default); pin the node to an isolated core, or use `spin 50us`"
            .to_owned();
        report.warn(*pos, about.field("rt.wait"), message, &[hint]);
    }
}

fn deadline(rt: &RawRt, node: &RawNode<'_>, pos: crate::error::Pos, about: About<'_>, report: &mut Report) {
    let (Some(runtime), Some(period)) = (&rt.runtime, &rt.period) else {
        let hint = "for example `rt: { policy: deadline, runtime: 200us, period: 1ms }`".to_owned();
        report.error(pos, about.field("rt"), "policy `deadline` needs `runtime` and `period`", &[hint]);
        return;
    };
    let deadline = rt.deadline.as_ref().unwrap_or(period);
    if runtime.value > deadline.value || deadline.value > period.value {
        let message = format!(
            "needs runtime <= deadline <= period, found {:?}, {:?}, {:?}",
            runtime.value, deadline.value, period.value
        );
        report.error(runtime.pos, about.field("rt"), message, &[]);
    } else if runtime.value < LEAST_RUNTIME {
        report.error(runtime.pos, about.field("rt.runtime"), "the kernel accepts no less than 1024ns", &[]);
    }
    if let Some((key, _)) = node.yaml.entry("cpu_affinity") {
        let message = "the kernel refuses policy `deadline` for a node that is pinned to some of the cores";
        let hint = "remove `cpu_affinity`, or put the cores into an exclusive cpuset".to_owned();
        report.warn(key.pos, about.field("cpu_affinity"), message, &[hint]);
    }
}

/// Numbers that the policy does not look at.
fn unused(rt: &RawRt, policy: SchedPolicy, about: About<'_>, report: &mut Report) {
    if let Some(priority) = &rt.priority
        && !matches!(policy, SchedPolicy::Fifo | SchedPolicy::Rr)
    {
        let message = format!("has no meaning under policy `{}`", name(policy));
        let hint = "priorities are for `policy: fifo` and `policy: rr`".to_owned();
        report.error(priority.pos, about.field("rt.priority"), message, &[hint]);
    }
    if policy != SchedPolicy::Deadline {
        let times = [("rt.runtime", &rt.runtime), ("rt.deadline", &rt.deadline), ("rt.period", &rt.period)];
        for (field, time) in times {
            if let Some(time) = time {
                let message = format!("has no meaning under policy `{}`", name(policy));
                report.error(time.pos, about.field(field), message, &["use `policy: deadline`".to_owned()]);
            }
        }
    }
}

/// The block with its defaults. Reads what [`check`] accepts.
pub(crate) fn resolve(rt: &RawRt) -> RtSettings {
    let policy = policy(rt);
    let ns = |time: &Option<At<Duration>>| {
        time.as_ref().map(|time| u64::try_from(time.value.as_nanos()).unwrap_or(u64::MAX))
    };
    let deadline = policy == SchedPolicy::Deadline;
    RtSettings {
        policy,
        priority: rt.priority.as_ref().and_then(|priority| u8::try_from(priority.value).ok()),
        wait: rt.wait.as_ref().and_then(|text| wait(&text.value).ok()).unwrap_or_default(),
        runtime_ns: ns(&rt.runtime),
        deadline_ns: ns(&rt.deadline).or(ns(&rt.period)).filter(|_| deadline),
        period_ns: ns(&rt.period),
        lock_memory: rt.lock_memory.unwrap_or(true),
    }
}

fn policy(rt: &RawRt) -> SchedPolicy {
    match rt.policy.as_deref() {
        Some("fifo") => SchedPolicy::Fifo,
        Some("rr") => SchedPolicy::Rr,
        Some("deadline") => SchedPolicy::Deadline,
        _ => SchedPolicy::Other,
    }
}

fn name(policy: SchedPolicy) -> &'static str {
    match policy {
        SchedPolicy::Fifo => "fifo",
        SchedPolicy::Rr => "rr",
        SchedPolicy::Deadline => "deadline",
        SchedPolicy::Other => "other",
    }
}

/// `park`, `spin`, `spin 50us`.
fn wait(text: &str) -> Result<WaitPolicy, String> {
    let mut words = text.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some("park"), None, _) => Ok(WaitPolicy::Park),
        (Some("spin"), None, _) => Ok(WaitPolicy::Spin),
        (Some("spin"), Some(time), None) => match values::duration(time) {
            Ok(time) if !time.is_zero() => {
                Ok(WaitPolicy::SpinThenPark { spin_ns: u64::try_from(time.as_nanos()).unwrap_or(u64::MAX) })
            }
            Ok(_) => Err("spinning for no time is `park`".to_owned()),
            Err(why) => Err(why),
        },
        _ => Err(format!("expected `park`, `spin` or `spin 50us`, found `{}`", shown(text))),
    }
}
