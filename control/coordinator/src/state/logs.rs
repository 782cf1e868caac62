//! Lines that nodes printed before anybody asked for them.

use std::collections::VecDeque;

use dora_protocol::{
    DataflowId,
    control::{ControlReply, Event, MAX_SUBSCRIPTIONS},
    log::{LogLevel, LogMessage},
};

use super::{ClientId, Effect, State, Waiter};

/// Lines kept until the first subscriber.
const MAX_LINES: usize = 10_000;
/// And their bytes, so that long lines do not fill the memory.
const MAX_BYTES: usize = 8 << 20;

/// The latest lines, until the first subscriber has taken them.
#[derive(Debug, Default)]
pub(super) struct LogBuffer {
    lines: VecDeque<LogMessage>,
    bytes: usize,
    dropped: u64,
    taken: bool,
}

/// Roughly what a line needs.
pub(crate) fn weight(message: &LogMessage) -> usize {
    let fields = message.fields.as_ref().map_or(0, |fields| {
        fields.iter().map(|(key, value)| key.len() + value.as_str().map_or(16, str::len) + 32).sum()
    });
    message.message.len() + fields + 256
}

impl LogBuffer {
    /// Keeps a line, and lets the oldest go when there are too many.
    pub(super) fn push(&mut self, message: LogMessage) {
        self.bytes += weight(&message);
        self.lines.push_back(message);
        while self.lines.len() > MAX_LINES || (self.bytes > MAX_BYTES && self.lines.len() > 1) {
            if let Some(oldest) = self.lines.pop_front() {
                self.bytes -= weight(&oldest);
                self.dropped += 1;
            }
        }
    }

    fn take(&mut self) -> (VecDeque<LogMessage>, u64) {
        self.taken = true;
        self.bytes = 0;
        (std::mem::take(&mut self.lines), std::mem::take(&mut self.dropped))
    }
}

/// The level of a line for filters; one that nobody knows counts as printed text.
fn level_of(message: &LogMessage) -> LogLevel {
    message.level.parse().unwrap_or(LogLevel::Stdout)
}

impl State {
    pub(super) fn log_subscribe(&mut self, waiter: Waiter, id: DataflowId, level: LogLevel) {
        if let Err(error) = self.known(id) {
            return self.reply(waiter, Err(error));
        }
        let client = waiter.client;
        let of_client = |flow: &super::Flow| flow.subscribers.iter().filter(|(c, _)| *c == client).count();
        if self.flows.values().map(of_client).sum::<usize>() >= MAX_SUBSCRIPTIONS {
            let message =
                format!("a connection may have {MAX_SUBSCRIPTIONS} log subscriptions; open another one");
            return self.reply(waiter, Err(message));
        }
        self.reply(waiter, Ok(ControlReply::LogSubscribed { dataflow_id: id }));
        let Some(flow) = self.flows.get_mut(&id) else { return };
        let (lines, dropped) = flow.logs.take();
        if dropped > 0 {
            self.effects.push_back(Effect::Event(client, Event::Dropped { dataflow_id: id, count: dropped }));
        }
        for line in lines.into_iter().filter(|line| level.passes(level_of(line))) {
            self.effects.push_back(Effect::Event(client, Event::Log(line)));
        }
        match &flow.result {
            Some(result) => {
                let event = Event::Finished { dataflow_id: id, result: result.clone() };
                self.effects.push_back(Effect::Event(client, event));
            }
            None => flow.subscribers.push((client, level)),
        }
    }

    /// Lines from a daemon: to the subscribers, or kept for the first one.
    pub(super) fn log_lines(&mut self, id: DataflowId, lines: Vec<LogMessage>, dropped: u64) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        let to = |client: ClientId, event: Event| Effect::Event(client, event);
        if dropped > 0 {
            flow.logs.dropped += if flow.logs.taken { 0 } else { dropped };
            let lost = |(client, _): &(ClientId, LogLevel)| {
                to(*client, Event::Dropped { dataflow_id: id, count: dropped })
            };
            self.effects.extend(flow.subscribers.iter().map(lost));
        }
        for mut line in lines {
            line.dataflow_id = Some(id.to_string());
            let level = level_of(&line);
            for (client, _) in flow.subscribers.iter().filter(|(_, filter)| filter.passes(level)) {
                self.effects.push_back(to(*client, Event::Log(line.clone())));
            }
            if !flow.logs.taken {
                flow.logs.push(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> LogMessage {
        LogMessage {
            build_id: None,
            dataflow_id: None,
            node_id: None,
            daemon_id: None,
            level: "INFO".into(),
            target: None,
            module_path: None,
            file: None,
            line: None,
            message: text.into(),
            timestamp: String::new(),
            fields: None,
        }
    }

    #[test]
    fn ten_thousand_lines_are_kept_the_newest_and_the_rest_is_counted() {
        let mut buffer = LogBuffer::default();
        for n in 0..MAX_LINES + 5 {
            buffer.push(line(&n.to_string()));
        }
        let (lines, dropped) = buffer.take();
        assert_eq!((lines.len(), dropped), (MAX_LINES, 5));
        assert_eq!(lines[0].message, "5");
    }

    #[test]
    fn long_lines_are_bounded_by_their_bytes_but_the_last_one_stays() {
        let mut buffer = LogBuffer::default();
        for _ in 0..30 {
            buffer.push(line(&"x".repeat(1 << 20)));
        }
        assert!(buffer.lines.len() < 9 && buffer.bytes <= MAX_BYTES, "{}", buffer.lines.len());
        buffer.push(line(&"x".repeat(MAX_BYTES * 2)));
        assert_eq!(buffer.lines.len(), 1);
    }
}
