//! `dora start --attach` and `dora logs --follow`.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    thread,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{flow, node, pair::Pair, support::Ended, ticker_node};

#[test]
fn attached_start_shows_the_logs_and_ends_with_the_dataflow() {
    let pair = Pair::up(&format!("nodes:\n{}", ticker_node("ticker of three")));
    let ended = pair.dora(&["start", "flow.yml", "--attach", "--log-format", "json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines: Vec<serde_json::Value> =
        ended.out.lines().map(|line| serde_json::from_str(line).expect("nothing but JSON")).collect();
    assert!(lines.iter().any(|line| line["message"] == "ticker is up"), "{ended:?}");
    assert_eq!(pair.lines(&["list", "-f", "json"])[0]["status"], "Finished");
}

#[test]
fn attached_start_fails_when_a_node_fails_and_says_which() {
    let pair = Pair::up(&format!("nodes:\n{}", node("cam", "failing", "    outputs: [image]\n")));
    let ended = pair.dora(&["start", "flow.yml", "--attach"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("cam") && ended.err.contains("dora logs"), "{ended:?}");
    assert_eq!(pair.lines(&["list", "-f", "json"])[0]["status"], "Failed");
}

#[test]
fn control_c_stops_the_dataflow_and_is_success() {
    let pair = Pair::up(&flow());
    let mut child = pair.spawn(&["start", "flow.yml", "--attach"]);
    let mut out = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(out.by_ref().any(|line| line.contains("first of a")), "the node was heard");
    kill_process(Pid::from_child(&child), Signal::INT).expect("dora still runs");
    out.for_each(drop);
    let ended = Ended::from(child.wait_with_output().expect("dora ends"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(pair.good(&["list", "--quiet", "--status", "running"]), "");
}

#[test]
fn followed_logs_come_live_and_end_with_the_dataflow() {
    let pair = Pair::up(&flow());
    pair.good(&["start", "flow.yml", "--name", "robot", "--detach"]);
    let mut child = pair.spawn(&["logs", "robot", "--follow", "--log-format", "compact"]);
    let mut out = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(out.by_ref().any(|line| line.contains("listener: first of a")));
    pair.good(&["param", "set", "ticker", "gain", "2"]);
    assert!(out.by_ref().any(|line| line.contains("ticker: gain is 2")));
    pair.good(&["stop", "robot"]);
    let rest: Vec<String> = out.collect();
    assert!(!rest.iter().any(|line| line.contains("is up")), "a line was shown twice: {rest:?}");
    assert_eq!(child.wait().expect("dora ends").code(), Some(0));
}

#[test]
fn restart_is_told_once_in_the_log_of_the_node_live_and_afterwards() {
    let pair = Pair::up(&flow());
    pair.good(&["start", "flow.yml", "--name", "robot", "--detach"]);
    let mut child = pair.spawn(&["logs", "robot", "ticker", "--follow", "--log-format", "compact"]);
    let mut out = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(out.by_ref().any(|line| line.contains("ticker is up")));
    pair.good(&["node", "restart", "ticker"]);
    let told = " INFO [dora]: node `ticker` is started again, as requested (restart 1)";
    assert!(out.by_ref().any(|line| line.ends_with(told)));
    pair.good(&["stop", "robot"]);
    let rest: Vec<String> = out.collect();
    assert!(!rest.iter().any(|line| line.ends_with(told)), "told twice: {rest:?}");
    assert_eq!(child.wait().expect("dora ends").code(), Some(0));
    let kept = pair.good(&["logs", "robot", "ticker", "--level", "info", "--log-format", "compact"]);
    assert_eq!(kept.lines().filter(|line| line.ends_with(told)).count(), 1, "{kept}");
}

#[test]
fn operator_behind_a_url_is_downloaded_by_start_and_the_daemon_is_told_where_it_lies() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let request = BufReader::new(stream.try_clone().expect("a socket")).lines();
            drop(request.map_while(Result::ok).take_while(|line| !line.is_empty()).last());
            // A client that went away is the client's affair.
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\npass"));
        }
    });
    // An interpreter that only shows what it would run, in the environment that the operator asks for.
    let source = format!("{{ source: 'http://127.0.0.1:{port}/op.py', conda_env: ./conda }}");
    let pair = Pair::up(&format!("nodes: [{{ id: rt, operator: {{ python: {source} }} }}]\n"));
    let python = pair.project.path("conda/bin/python");
    fs::create_dir_all(python.parent().expect("a folder")).expect("a folder");
    fs::write(&python, "#!/bin/sh\necho \"$DORA_RUNTIME_CONFIG\"\n").expect("a script");
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).expect("a program");
    let mut start = pair.command(&["start", "flow.yml", "--attach"]);
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        start.env_remove(name);
    }
    let ended = Ended::from(start.output().expect("dora starts"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let built = fs::read_dir(pair.project.path("build")).expect("something was downloaded");
    let folder = built.flatten().next().expect("a folder").path();
    assert_eq!(fs::read_to_string(folder.join("op.py")).expect("the file"), "pass");
    let named = format!("{}/op.py\"", folder.file_name().expect("a name").display());
    assert!(ended.out.contains(&named), "the operator is not told where it lies: {ended:?}");
}
