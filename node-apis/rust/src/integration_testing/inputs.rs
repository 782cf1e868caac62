//! Events of a test: recorded ones at their times, or what the user types.

use std::{
    collections::VecDeque,
    path::Path,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use arrow_array::{ArrayRef, NullArray};
use dora_arrow_codec::internal;
use lockfree_ipc::clock;

use super::{
    IntegrationTestInput,
    integration_testing_format::{IncomingEvent, InputData},
    json,
    terminal::Terminal,
};
use crate::{Event, NodeError, NodeResult, StopCause, backend::Step, metadata::Metadata, timer};

/// The receiving half of a test.
#[derive(Debug)]
pub(crate) struct TestInputs {
    source: Source,
    stopped: bool,
    alarm: Option<timer::Alarm>,
}

#[derive(Debug)]
enum Source {
    /// Time since the start, CLOCK_MONOTONIC nanoseconds, and event.
    Recorded(VecDeque<(u64, Event)>),
    Terminal(Terminal),
}

impl TestInputs {
    pub(crate) fn terminal() -> Self {
        Self { source: Source::Terminal(Terminal::default()), stopped: false, alarm: None }
    }

    /// All data is made here, so that a test with a mistake fails before the node runs.
    pub(crate) fn recorded(input: &IntegrationTestInput, folder: &Path) -> NodeResult<Self> {
        let hlc = uhlc::HLC::default();
        let start = clock::monotonic_ns();
        let mut events = VecDeque::with_capacity(input.events.len());
        for (number, timed) in input.events.iter().enumerate() {
            let bad = |what: String| NodeError::Init(format!("event {number} of the test: {what}"));
            let offset = Duration::try_from_secs_f64(timed.time_offset_secs)
                .map_err(|_| bad(format!("{} is not a time in seconds", timed.time_offset_secs)))?;
            let event = event(&timed.event, folder, hlc.new_timestamp()).map_err(bad)?;
            events.push_back((start.saturating_add(offset.as_nanos() as u64), event));
        }
        Ok(Self { source: Source::Recorded(events), stopped: false, alarm: None })
    }

    /// When the next event is due; `None` when there will be none.
    fn next_due(&self) -> Option<u64> {
        match &self.source {
            _ if self.stopped => None,
            Source::Recorded(events) => events.front().map(|(due, _)| *due),
            Source::Terminal(_) => Some(0),
        }
    }

    fn take(&mut self) -> Step {
        let event = match &mut self.source {
            _ if self.stopped => None,
            Source::Recorded(events) => events.pop_front().map(|(_, event)| event),
            Source::Terminal(terminal) => Some(terminal.ask()),
        };
        self.stopped |= matches!(event, None | Some(Event::Stop(_)));
        event.map_or(Step::Closed, Step::Event)
    }

    /// At a terminal this waits for the user.
    pub(crate) fn poll(&mut self) -> Option<Step> {
        let due = self.next_due().is_none_or(|due| due <= clock::monotonic_ns());
        due.then(|| self.take())
    }

    pub(crate) fn wait(&mut self, deadline_ns: Option<u64>) -> Option<Step> {
        let due = self.next_due().unwrap_or(0);
        let until = deadline_ns.map_or(due, |deadline| deadline.min(due));
        let now = clock::monotonic_ns();
        if until > now {
            std::thread::sleep(Duration::from_nanos(until - now));
        }
        (due <= until).then(|| self.take())
    }

    pub(crate) fn poll_async(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let (due, now) = (self.next_due().unwrap_or(0), clock::monotonic_ns());
        if due <= now {
            self.alarm = None;
            return Poll::Ready(self.take());
        }
        self.alarm = Some(timer::wake_at(Instant::now() + Duration::from_nanos(due - now), cx.waker()));
        Poll::Pending
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.next_due().is_none_or(|due| due > clock::monotonic_ns())
    }
}

fn event(event: &IncomingEvent, folder: &Path, timestamp: uhlc::Timestamp) -> Result<Event, String> {
    Ok(match event {
        IncomingEvent::Stop => Event::Stop(StopCause::Manual),
        IncomingEvent::AllInputsClosed => Event::Stop(StopCause::AllInputsClosed),
        IncomingEvent::InputClosed { id } => Event::InputClosed { id: id.clone() },
        IncomingEvent::Input { id, metadata, data } => {
            let array = match data {
                Some(data) => payload(data, folder).map_err(|what| format!("input `{id}`: {what}"))?,
                None => std::sync::Arc::new(NullArray::new(0)),
            };
            let parameters = metadata.clone().unwrap_or_default();
            let metadata = Metadata::from_parameters(timestamp, parameters);
            Event::Input { id: id.clone(), metadata, data: internal::wrap(array) }
        }
    })
}

fn payload(data: &InputData, folder: &Path) -> Result<ArrayRef, String> {
    match data {
        InputData::JsonObject { data, data_type } => json::to_array(data, data_type.as_ref()),
        InputData::ArrowFile { path, batch_index, column } => {
            let path = folder.join(path);
            json::column(&path, *batch_index, column.as_deref())
                .map_err(|what| format!("{}: {what}", path.display()))
        }
    }
}
