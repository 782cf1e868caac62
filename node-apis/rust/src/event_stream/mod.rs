//! The events of a node, one after another.
//!
//! 1. Events that are not messages come first, then the input that was served longest ago; inside an input the order
//!    of sending holds.
//! 2. An input is reported closed when its queue is empty, not before.
//! 3. After [`Event::Stop`] only what was already queued comes, then the stream ends for good.
//! 4. What was seen while waiting for a reply is kept, and comes before everything newer.

use std::{
    collections::{HashMap, VecDeque},
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use dora_protocol::DataId;
use futures::Stream;
use lockfree_ipc::clock;

use crate::{
    backend::{Inputs, Step},
    timer,
};

mod event;
pub mod extensions;
pub mod input_tracker;
pub mod merged;
mod recorder;
mod wait;

pub use event::{Event, StopCause};
pub(crate) use recorder::Recorder;

/// The events of a node.
///
/// One thread at a time may use it; it can be moved to another. What it delivers may outlive it.
#[derive(Debug)]
pub struct EventStream {
    inputs: Inputs,
    /// Seen while waiting for a reply.
    kept: VecDeque<Event>,
    recorder: Option<Recorder>,
    closed: bool,
}

/// Why there is no event now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TryRecvError {
    /// Nothing has happened.
    #[error("no event is waiting")]
    Empty,
    /// Nothing will ever happen.
    #[error("the event stream has ended")]
    Closed,
}

fn timed_out(limit: Duration) -> Event {
    Event::Error(format!("no event came within {limit:?}"))
}

impl EventStream {
    pub(crate) fn new(inputs: Inputs, recorder: Option<Recorder>) -> Self {
        Self { inputs, kept: VecDeque::new(), recorder, closed: false }
    }

    /// Notes what came from below. `None` at the end.
    fn note(&mut self, step: Step) -> Option<Event> {
        match step {
            Step::Event(event) => {
                if let Some(recorder) = &mut self.recorder {
                    recorder.event(&event);
                }
                Some(event)
            }
            Step::Closed => {
                self.closed = true;
                self.recorder = None;
                None
            }
        }
    }

    /// The next event that is there now, the end, or nothing.
    fn poll_now(&mut self) -> Result<Event, TryRecvError> {
        if let Some(event) = self.kept.pop_front() {
            return Ok(event);
        }
        if self.closed {
            return Err(TryRecvError::Closed);
        }
        let step = self.inputs.poll().ok_or(TryRecvError::Empty)?;
        self.note(step).ok_or(TryRecvError::Closed)
    }

    /// A new event, never a kept one.
    fn poll_new(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if self.closed {
            return Poll::Ready(None);
        }
        let step = ready!(self.inputs.poll_async(cx));
        Poll::Ready(self.note(step))
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        match self.kept.pop_front() {
            Some(event) => Poll::Ready(Some(event)),
            None => self.poll_new(cx),
        }
    }

    /// Waits for the next event. `None` at the end of the stream.
    pub fn recv(&mut self) -> Option<Event> {
        match self.poll_now() {
            Ok(event) => return Some(event),
            Err(TryRecvError::Closed) => return None,
            Err(TryRecvError::Empty) => {}
        }
        loop {
            if let Some(step) = self.inputs.wait(None) {
                return self.note(step);
            }
        }
    }

    /// Waits for the next event, at most this long: then the event is an [`Event::Error`] that says so. `None` at the
    /// end of the stream.
    pub fn recv_timeout(&mut self, dur: Duration) -> Option<Event> {
        match self.poll_now() {
            Ok(event) => return Some(event),
            Err(TryRecvError::Closed) => return None,
            Err(TryRecvError::Empty) => {}
        }
        let limit = u64::try_from(dur.as_nanos()).unwrap_or(u64::MAX);
        match self.inputs.wait(Some(clock::monotonic_ns().saturating_add(limit))) {
            Some(step) => self.note(step),
            None => Some(timed_out(dur)),
        }
    }

    /// Waits for the next event, at most this long. Returns early, with nothing, when a signal handler has run.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] when none came, [`TryRecvError::Closed`] at the end of the stream.
    pub fn recv_within(&mut self, dur: Duration) -> Result<Event, TryRecvError> {
        match self.poll_now() {
            Err(TryRecvError::Empty) => {}
            found => return found,
        }
        let limit = u64::try_from(dur.as_nanos()).unwrap_or(u64::MAX);
        let deadline = clock::monotonic_ns().saturating_add(limit);
        let step = self.inputs.wait_or_signal(deadline).ok_or(TryRecvError::Empty)?;
        self.note(step).ok_or(TryRecvError::Closed)
    }

    /// As [`recv`](Self::recv), in any executor.
    pub async fn recv_async(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// As [`recv_timeout`](Self::recv_timeout), in any executor.
    pub async fn recv_async_timeout(&mut self, dur: Duration) -> Option<Event> {
        if let Some(event) = self.kept.pop_front() {
            return Some(event);
        }
        let Some(deadline) = Instant::now().checked_add(dur) else { return self.recv_async().await };
        self.new_before(deadline).await.unwrap_or_else(|| Some(timed_out(dur)))
    }

    /// A new event, or the end. Outer `None` when the deadline passed.
    async fn new_before(&mut self, deadline: Instant) -> Option<Option<Event>> {
        let mut alarm = None;
        poll_fn(|cx| {
            if let Poll::Ready(event) = self.poll_new(cx) {
                return Poll::Ready(Some(event));
            }
            if Instant::now() >= deadline {
                return Poll::Ready(None);
            }
            // Set anew each time: the task may have moved to another waker.
            alarm = Some(timer::wake_at(deadline, cx.waker()));
            Poll::Pending
        })
        .await
    }

    /// The next event if there is one now.
    ///
    /// # Errors
    /// [`TryRecvError`] when there is none now, or none ever.
    pub fn try_recv(&mut self) -> Result<Event, TryRecvError> {
        self.poll_now()
    }

    /// All events that are there now, perhaps none. `None` when the stream has ended.
    pub fn drain(&mut self) -> Option<Vec<Event>> {
        let mut events = Vec::new();
        loop {
            match self.poll_now() {
                Ok(event) => events.push(event),
                Err(TryRecvError::Empty) => return Some(events),
                Err(TryRecvError::Closed) if events.is_empty() => return None,
                Err(TryRecvError::Closed) => return Some(events),
            }
        }
    }

    /// True when there is no event now.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty() && (self.closed || self.inputs.is_empty())
    }

    /// Messages lost per input since the last call: its queue was full, or flushed. Inputs that lost none are
    /// left out.
    pub fn drain_drop_counts(&mut self) -> HashMap<DataId, u64> {
        self.inputs.take_drop_counts().into_iter().filter(|(_, count)| *count > 0).collect()
    }
}

impl Stream for EventStream {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.get_mut().poll_event(cx)
    }
}
