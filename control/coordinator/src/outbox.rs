//! What waits to be sent to one client: answers, which are never dropped, and log lines, which are when there are too many.
//!
//! The owner of the state puts things in and never waits. The connection takes them out. A client that reads slowly holds up nobody:
//! its log lines are dropped and counted, and it may have only so many unanswered requests.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use dora_protocol::{
    DataflowId,
    control::{ControlReply, Event, MAX_PENDING},
};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::state::weight;

/// Log lines that may wait, and their bytes.
const MAX_LINES: usize = 16_384;
const MAX_BYTES: usize = 16 << 20;

/// Something to be sent.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "almost every item is a log line, so a box would cost each of them"
)]
pub(crate) enum Item {
    Reply(Uuid, Box<Result<ControlReply, String>>),
    Event(Event),
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Item>,
    lines: usize,
    bytes: usize,
    dropped: BTreeMap<DataflowId, u64>,
    closed: bool,
}

/// One per connection.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    filled: Notify,
    unanswered: AtomicUsize,
}

impl Outbox {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing in here panics half-way.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more request of this client; `false` when it has too many already.
    pub(crate) fn begin(&self) -> bool {
        // Relaxed: only the connection's own task counts up.
        self.unanswered.fetch_update(Relaxed, Relaxed, |n| (n < MAX_PENDING).then_some(n + 1)).is_ok()
    }

    pub(crate) fn reply(&self, id: Uuid, result: Box<Result<ControlReply, String>>) {
        self.queue().items.push_back(Item::Reply(id, result));
        self.filled.notify_one();
    }

    pub(crate) fn event(&self, dataflow: DataflowId, event: Event) {
        let mut queue = self.queue();
        if let Event::Log(line) = &event {
            let bytes = weight(line);
            if queue.lines >= MAX_LINES || queue.bytes + bytes > MAX_BYTES {
                *queue.dropped.entry(dataflow).or_default() += 1;
                return;
            }
            queue.lines += 1;
            queue.bytes += bytes;
        }
        if let Some(count) = queue.dropped.remove(&dataflow) {
            queue.items.push_back(Item::Event(Event::Dropped { dataflow_id: dataflow, count }));
        }
        queue.items.push_back(Item::Event(event));
        drop(queue);
        self.filled.notify_one();
    }

    /// Nothing more comes; what is there is still sent.
    pub(crate) fn close(&self) {
        self.queue().closed = true;
        self.filled.notify_one();
    }

    /// The next thing to send; `None` after the last one. May be given up and called again.
    pub(crate) async fn next(&self) -> Option<Item> {
        loop {
            {
                let mut queue = self.queue();
                if let Some(item) = queue.items.pop_front() {
                    match &item {
                        Item::Reply(..) => drop(self.unanswered.fetch_sub(1, Relaxed)),
                        Item::Event(Event::Log(line)) => {
                            queue.lines -= 1;
                            queue.bytes -= weight(line);
                        }
                        Item::Event(_) => {}
                    }
                    return Some(item);
                }
                if let Some((dataflow_id, count)) = queue.dropped.pop_first() {
                    return Some(Item::Event(Event::Dropped { dataflow_id, count }));
                }
                if queue.closed {
                    return None;
                }
            }
            self.filled.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use dora_protocol::log::LogMessage;

    use super::*;

    fn line(text: &str) -> Event {
        let json = serde_json::json!({
            "build_id": null, "dataflow_id": null, "node_id": null, "daemon_id": null, "level": "INFO", "target": null,
            "module_path": null, "file": null, "line": null, "message": text, "timestamp": "", "fields": null,
        });
        Event::Log(serde_json::from_value::<LogMessage>(json).unwrap())
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_loses_log_lines_and_is_told_how_many_but_no_answer() {
        let outbox = Outbox::default();
        let id = DataflowId::nil();
        assert!(outbox.begin());
        for n in 0..MAX_LINES + 7 {
            outbox.event(id, line(&n.to_string()));
        }
        outbox.reply(Uuid::nil(), Box::new(Ok(ControlReply::DestroyOk)));
        outbox.close();
        let (mut lines, mut dropped, mut replies) = (0, 0, 0);
        while let Some(item) = outbox.next().await {
            match item {
                Item::Reply(..) => replies += 1,
                Item::Event(Event::Log(_)) => lines += 1,
                Item::Event(Event::Dropped { count, .. }) => dropped += count,
                Item::Event(other) => panic!("{other:?}"),
            }
        }
        assert_eq!((lines, dropped, replies), (MAX_LINES, 7, 1));
    }

    #[test]
    fn long_lines_are_bounded_by_their_bytes() {
        let outbox = Outbox::default();
        for _ in 0..100 {
            outbox.event(DataflowId::nil(), line(&"x".repeat(1 << 20)));
        }
        assert!(outbox.queue().bytes <= MAX_BYTES);
    }

    #[test]
    fn a_client_may_have_so_many_unanswered_requests_and_no_more() {
        let outbox = Outbox::default();
        assert!((0..MAX_PENDING).all(|_| outbox.begin()));
        assert!(!outbox.begin());
    }
}
