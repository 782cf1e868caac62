//! Drives a running dataflow: waits for what nodes print, asks the daemon for things.

use std::{future::Future, time::Duration};

use dora_daemon::{
    control::{Control, NodeSnapshot, Reply, Snapshot},
    options::{RunEvent, RunOptions},
};
use dora_protocol::dataflow::{Dataflow, Node};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::{mpsc, oneshot};

use super::{Outcome, dataflow};

/// Nothing in a test takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A test's hold on a running dataflow.
pub struct Driver {
    pub control: mpsc::UnboundedSender<Control>,
    events: mpsc::Receiver<RunEvent>,
    pub seen: Vec<RunEvent>,
    pub flow: Dataflow,
}

impl Driver {
    /// The next event, also those of the past from `from` on.
    async fn event(&mut self, from: &mut usize) -> RunEvent {
        if *from == self.seen.len() {
            let event = tokio::time::timeout(PATIENCE, self.events.recv()).await;
            let event = event.unwrap_or_else(|_| panic!("nothing happened: {:#?}", self.tail()));
            self.seen.push(event.expect("the run has ended"));
        }
        *from += 1;
        self.seen[*from - 1].clone()
    }

    fn tail(&self) -> &[RunEvent] {
        &self.seen[self.seen.len().saturating_sub(30)..]
    }

    /// Waits for the first line of a node from `from` on that `is` wants; returns it and moves `from` behind it.
    pub async fn line(&mut self, from: &mut usize, node: &str, is: impl Fn(&str) -> bool) -> String {
        loop {
            if let RunEvent::Log { message, .. } = self.event(from).await
                && message.node_id.as_deref() == Some(node)
                && is(&message.message)
            {
                return message.message;
            }
        }
    }

    /// As [`line`](Self::line), from now on.
    pub async fn next_line(&mut self, node: &str, is: impl Fn(&str) -> bool) -> String {
        let mut from = self.seen.len();
        self.line(&mut from, node, is).await
    }

    /// The process id that a node prints when it is up, for the `n`th time (from 0).
    pub async fn pid(&mut self, node: &str, n: usize) -> Pid {
        let mut from = 0;
        let mut text = String::new();
        for _ in 0..=n {
            text = self.line(&mut from, node, |line| line.starts_with("pid ")).await;
        }
        self.line(&mut from, node, |line| line.starts_with("up ")).await;
        Pid::from_raw(text["pid ".len()..].parse().unwrap()).unwrap()
    }

    pub async fn kill(&mut self, node: &str, n: usize) {
        let pid = self.pid(node, n).await;
        kill_process(pid, Signal::KILL).unwrap();
    }

    /// Asks, and looks at what happens meanwhile.
    pub async fn ask<T>(&mut self, request: impl FnOnce(Reply<T>) -> Control) -> Result<T, String> {
        let (reply, mut answer) = oneshot::channel();
        self.control.send(request(reply)).unwrap();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            tokio::select! {
                answer = &mut answer => return answer.expect("the request was dropped"),
                Some(event) = self.events.recv() => self.seen.push(event),
                () = tokio::time::sleep_until(deadline) => panic!("no answer: {:#?}", self.tail()),
            }
        }
    }

    pub async fn apply(&mut self, flow: Dataflow, replace: &[&str]) -> Result<Vec<String>, String> {
        let replace = replace.iter().map(|id| id.parse().unwrap()).collect();
        let dataflow = Box::new(flow.clone());
        let result = self.ask(|reply| Control::Apply { dataflow, replace, grace: None, reply }).await;
        if result.is_ok() {
            self.flow = flow;
        }
        result
    }

    pub async fn restart(&mut self, node: &str) -> Result<(), String> {
        let node = node.parse().unwrap();
        self.ask(|reply| Control::RestartNode { node, grace: None, reply }).await
    }

    pub async fn stop_node(&mut self, node: &str) -> Result<bool, String> {
        let node = node.parse().unwrap();
        self.ask(|reply| Control::StopNode { node, grace: None, reply }).await
    }

    pub async fn snapshot(&mut self) -> Snapshot {
        let (reply, answer) = oneshot::channel();
        self.control.send(Control::Snapshot { reply }).unwrap();
        answer.await.unwrap()
    }

    pub async fn node(&mut self, id: &str) -> NodeSnapshot {
        self.snapshot().await.nodes.into_iter().find(|node| node.node == *id).unwrap()
    }

    pub fn stop(&self) {
        self.control.send(Control::Stop { grace: None }).unwrap();
    }
}

/// Runs nodes while `script` drives them; ends when both have ended.
pub fn drive<F, Fut>(nodes: Vec<Node>, options: RunOptions, script: F) -> Outcome
where
    F: FnOnce(Driver) -> Fut,
    Fut: Future<Output = Driver>,
{
    let folder = tempfile::tempdir().unwrap();
    let flow = dataflow(nodes, folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (result, events) = runtime.block_on(drive_here(flow, options, script));
    Outcome { result, events, folder }
}

/// As [`drive`], in the runtime of the caller.
pub async fn drive_here<F, Fut>(
    flow: Dataflow,
    options: RunOptions,
    script: F,
) -> (Result<dora_daemon::report::RunReport, dora_daemon::DaemonError>, Vec<RunEvent>)
where
    F: FnOnce(Driver) -> Fut,
    Fut: Future<Output = Driver>,
{
    let (control, requests) = mpsc::unbounded_channel();
    let (sender, events) = mpsc::channel(100_000);
    let driver = Driver { control, events, seen: Vec::new(), flow: flow.clone() };
    let run = dora_daemon::run(flow, options, requests, sender);
    let (result, mut driver) = tokio::join!(tokio::time::timeout(2 * PATIENCE, run), script(driver));
    let result = result.unwrap_or_else(|_| panic!("the run does not end: {:#?}", driver.tail()));
    while let Ok(event) = driver.events.try_recv() {
        driver.seen.push(event);
    }
    (result, driver.seen)
}
