//! `dora` is killed with SIGKILL, and a node has got out of the reach of everything that would kill it, too.
#![expect(unsafe_code, reason = "inherits orphans, to learn how they end")]

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use dora_node_api::{DoraNode, Event};
use rustix::process::{Pid, WaitOptions, waitpid};

use crate::{node as role, project, say};

/// Never looks at its events again.
pub(crate) fn node() -> eyre::Result<()> {
    let (_node, mut events) = DoraNode::init_from_env()?;
    match events.recv() {
        Some(Event::Input { .. }) => say(&format!("pid {}", std::process::id())),
        other => eyre::bail!("unexpected: {other:?}"),
    }
    loop {
        thread::park();
    }
}

#[test]
fn node_that_does_not_stop_after_its_daemon_was_killed_ends_itself_with_code_1() {
    // SAFETY: sets one flag of this process: orphans among its descendants become its children.
    let inherits = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    assert_eq!(inherits, 0);
    // In a session of its own, and not a child of the daemon: neither the kernel nor the guard ends it.
    let text = role("orphan", "orphan", "    inputs: { tick: dora/timer/millis/10 }\n");
    let (path, args) = ("    path: ", "    args: ");
    let program = text.lines().find_map(|line| line.strip_prefix(path)).expect("a path");
    let escaped = text.replace(&format!("{path}{program}"), &format!("{path}setsid"));
    let flow = project(&[escaped.replace(args, &format!("{args}--fork --wait {program} "))]);
    let mut command = flow.command(&["run", "flow.yml"]);
    let mut dora = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("dora starts");
    let lines = BufReader::new(dora.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let said = lines.filter_map(|line| line.split_once("says: pid ")?.1.parse().ok()).next();
    let pid = Pid::from_raw(said.expect("the node says its process id")).expect("not zero");
    let killed = Instant::now();
    dora.kill().expect("dora runs");
    dora.wait().expect("dora ends");
    // Not ours yet for a moment: until the process between is gone.
    let status = loop {
        match waitpid(Some(pid), WaitOptions::NOHANG) {
            Ok(Some((_, status))) => break status,
            Ok(None) | Err(rustix::io::Errno::CHILD) => {}
            Err(error) => panic!("{error}"),
        }
        assert!(killed.elapsed() < Duration::from_secs(120), "the node is still there");
        thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.exit_status(), Some(1), "{status:?}");
    assert!(killed.elapsed() >= Duration::from_secs(5), "it had {:?} to stop by itself", killed.elapsed());
}
