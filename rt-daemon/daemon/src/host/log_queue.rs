//! Lines on their way to the coordinator: a queue with an end for each dataflow.
//!
//! Filled by the threads of the dataflows, emptied by the connection in turn, so that a dataflow that prints without pause
//! delays the lines of the others by one batch at most. When a queue is full its oldest lines go and are counted; the count
//! stands before the lines that follow. The result of a dataflow is the last thing in its queue, so no line comes after it.
//!
//! The lock is held for as long as it takes to move a line or a batch. Nothing here waits.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use dora_protocol::{DataflowId, control::DataflowResult, daemon_link::DaemonEvent, log::LogMessage};
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// Lines of one dataflow that may wait.
const LINES: usize = 10_000;
/// And their bytes.
const BYTES: usize = 4 << 20;
/// Lines of one frame.
const BATCH_LINES: usize = 512;
/// And about their bytes.
const BATCH_BYTES: usize = 256 << 10;

/// Shared by all who write and the one who reads.
#[derive(Clone, Debug, Default)]
pub(super) struct LogQueue {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    queues: Mutex<Queues>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Queues {
    flows: BTreeMap<DataflowId, Queue>,
    /// Who was served last.
    last: Option<DataflowId>,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<LogMessage>,
    bytes: usize,
    dropped: u64,
    result: Option<DataflowResult>,
}

/// About what a line takes in a frame.
fn weight(line: &LogMessage) -> usize {
    let fields = line.fields.iter().flatten().map(|(key, value)| key.len() + 2 * value.to_string().len());
    256 + line.message.len() + fields.sum::<usize>()
}

impl Queue {
    fn push(&mut self, line: LogMessage) {
        self.bytes += weight(&line);
        self.lines.push_back(line);
        while self.lines.len() > LINES || self.bytes > BYTES {
            if self.pop().is_none() {
                break;
            }
            self.dropped += 1;
        }
    }

    fn pop(&mut self) -> Option<LogMessage> {
        let line = self.lines.pop_front()?;
        self.bytes -= weight(&line);
        Some(line)
    }

    fn batch(&mut self) -> Vec<LogMessage> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH_LINES && bytes < BATCH_BYTES {
            let Some(line) = self.pop() else { break };
            bytes += weight(&line);
            batch.push(line);
        }
        batch
    }
}

impl LogQueue {
    /// A line that a node of `flow`, or dora about it, has printed.
    pub(super) fn push(&self, flow: DataflowId, line: LogMessage) {
        self.change(|queues| queues.flows.entry(flow).or_default().push(line));
    }

    /// `flow` has ended. Nothing may be pushed for it any more.
    pub(super) fn finish(&self, flow: DataflowId, result: DataflowResult) {
        self.change(|queues| queues.flows.entry(flow).or_default().result = Some(result));
    }

    /// The next frame; waits for one. Nothing is lost when the future is dropped.
    pub(super) async fn next(&self) -> DaemonEvent {
        loop {
            let filled = self.inner.filled.notified();
            if let Some(event) = self.take() {
                return event;
            }
            filled.await;
        }
    }

    /// Has everything been taken?
    pub(super) fn is_empty(&self) -> bool {
        self.inner.queues.lock().unwrap_or_else(PoisonError::into_inner).flows.is_empty()
    }

    fn change(&self, change: impl FnOnce(&mut Queues)) {
        // Whoever panicked with the lock has left whole lines in it.
        change(&mut self.inner.queues.lock().unwrap_or_else(PoisonError::into_inner));
        self.inner.filled.notify_one();
    }

    fn take(&self) -> Option<DaemonEvent> {
        let mut queues = self.inner.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let first = queues.flows.keys().next().copied()?;
        let after = |last: DataflowId| queues.flows.keys().find(|flow| **flow > last).copied();
        let flow = queues.last.and_then(after).unwrap_or(first);
        queues.last = Some(flow);
        let queue = queues.flows.get_mut(&flow)?;
        let dropped = std::mem::take(&mut queue.dropped);
        let messages = queue.batch();
        if messages.is_empty() && dropped == 0 {
            let result = queues.flows.remove(&flow)?.result;
            return result.map(|result| DaemonEvent::AllNodesFinished { dataflow_id: flow, result });
        }
        if queue.lines.is_empty() && queue.result.is_none() {
            queues.flows.remove(&flow);
        }
        Some(DaemonEvent::Log { dataflow_id: flow, messages, dropped })
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::log_line::{Origin, parse};

    fn line(text: &str) -> LogMessage {
        let origin = Origin { dataflow: "d", node: "cam" };
        parse(text, &origin, DateTime::from_timestamp_millis(0).unwrap()).message
    }

    fn flow(number: u128) -> DataflowId {
        DataflowId::from_u128(number)
    }

    /// What a frame says, in short.
    fn said(event: Option<DaemonEvent>) -> String {
        match event {
            None => "nothing".to_owned(),
            Some(DaemonEvent::Log { dataflow_id, messages, dropped }) => {
                let texts: Vec<_> = messages.iter().map(|line| line.message.as_str()).collect();
                format!("{}: {dropped} {}", dataflow_id.as_u128(), texts.join(","))
            }
            Some(DaemonEvent::AllNodesFinished { dataflow_id, .. }) => {
                format!("{}: end", dataflow_id.as_u128())
            }
            Some(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_result_of_a_dataflow_comes_after_its_last_line() {
        let queue = LogQueue::default();
        queue.push(flow(1), line("a"));
        queue.push(flow(1), line("b"));
        queue.finish(flow(1), DataflowResult::default());
        assert_eq!(said(queue.take()), "1: 0 a,b");
        assert!(!queue.is_empty());
        assert_eq!(said(queue.take()), "1: end");
        assert!(queue.is_empty());
        assert_eq!(said(queue.take()), "nothing");
    }

    #[test]
    fn of_too_many_lines_the_newest_are_kept_and_the_others_counted() {
        let queue = LogQueue::default();
        for n in 0..LINES + 3 {
            queue.push(flow(1), line(&n.to_string()));
        }
        let Some(DaemonEvent::Log { messages, dropped, .. }) = queue.take() else { panic!("no lines") };
        assert_eq!((dropped, messages[0].message.as_str(), messages.len()), (3, "3", BATCH_LINES));
        let mut kept = messages.len();
        while let Some(DaemonEvent::Log { messages, dropped, .. }) = queue.take() {
            kept += messages.len();
            assert_eq!(dropped, 0);
        }
        assert_eq!(kept, LINES);
    }

    #[test]
    fn long_lines_are_limited_by_their_bytes() {
        let queue = LogQueue::default();
        let long = "x".repeat(1 << 20);
        for _ in 0..10 {
            queue.push(flow(1), line(&long));
        }
        let Some(DaemonEvent::Log { messages, dropped, .. }) = queue.take() else { panic!("no lines") };
        assert_eq!((messages.len(), dropped), (1, 7));
    }

    #[test]
    fn dataflows_take_turns() {
        let queue = LogQueue::default();
        for n in 0..BATCH_LINES + 1 {
            queue.push(flow(1), line(&n.to_string()));
        }
        queue.push(flow(2), line("quiet"));
        assert!(said(queue.take()).starts_with("1: 0 0,1,2,"));
        assert_eq!(said(queue.take()), "2: 0 quiet");
        assert_eq!(said(queue.take()), format!("1: 0 {BATCH_LINES}"));
        assert_eq!(said(queue.take()), "nothing");
    }

    #[tokio::test]
    async fn who_waits_for_a_line_gets_it() {
        let queue = LogQueue::default();
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { said(Some(queue.next().await)) }
        });
        tokio::task::yield_now().await;
        queue.push(flow(1), line("a"));
        assert_eq!(waiting.await.unwrap(), "1: 0 a");
    }
}
