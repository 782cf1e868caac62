//! Receiving: what comes next, and looking at it in place.

use dora_protocol::{time::Tag, wire_type::Primitive};
use lockfree_ipc::{MAX_HELD, Sample};

use super::{Event, In, InputId, Notice, RtError, RtNode, StopCause, Tick, View, view};
use crate::inbox::{Incoming, Rare};

/// Receiving.
impl RtNode {
    /// The next event. An unread message of the one before goes back to its sender.
    ///
    /// # Real time
    /// No allocation, no lock. One clock read and no system call when something is there; otherwise waits by the
    /// node's `wait` policy: parking is one system call, spinning none.
    #[inline]
    pub fn wait(&mut self) -> Event {
        self.forget();
        loop {
            if let Some(incoming) = self.inbox.wait(None) {
                return self.event(incoming);
            }
        }
    }

    /// As [`wait`](Self::wait), but `None` when `deadline_ns` (CLOCK_MONOTONIC) passed without an event.
    #[inline]
    pub fn wait_until(&mut self, deadline_ns: u64) -> Option<Event> {
        self.forget();
        let incoming = self.inbox.wait(Some(deadline_ns))?;
        Some(self.event(incoming))
    }

    /// The next event if there is one now. Never sleeps.
    #[inline]
    pub fn try_next(&mut self) -> Option<Event> {
        self.forget();
        let incoming = self.inbox.poll()?;
        Some(self.event(incoming))
    }

    #[inline]
    fn event(&mut self, incoming: Incoming) -> Event {
        match incoming {
            Incoming::Message { input } => {
                self.unread = Some(input);
                Event::Input(InputId(input))
            }
            Incoming::Tick { input, count, nominal_ns, missed } => {
                let lateness_ns = self.inbox.taken_ns().saturating_sub(nominal_ns);
                Event::Tick(Tick { input: InputId(input), count, nominal_ns, missed, lateness_ns })
            }
            Incoming::InputClosed { input } => Event::InputClosed(InputId(input)),
            Incoming::InputTimedOut { input } => Event::InputTimedOut(InputId(input)),
            Incoming::InputRecovered { input } => Event::InputRecovered(InputId(input)),
            Incoming::Stop { all_inputs_closed: true } => Event::Stop(StopCause::AllInputsClosed),
            Incoming::Stop { all_inputs_closed: false } => Event::Stop(StopCause::Manual),
            Incoming::Closed => Event::Closed,
            Incoming::Rare => self.rare(),
        }
    }

    #[cold]
    fn rare(&mut self) -> Event {
        self.notices.extend(self.inbox.take_rare().map(|rare| match rare {
            Rare::NodeFailed { node, error, inputs } => {
                Notice::NodeFailed { node, error, inputs: inputs.into_iter().map(InputId).collect() }
            }
            Rare::NodeRestarted { node } => Notice::NodeRestarted { node },
            Rare::ParamUpdate { key, value } => Notice::ParamUpdate { key, value },
            Rare::ParamDeleted { key } => Notice::ParamDeleted { key },
            Rare::Reload { operator_id } => Notice::Reload { operator_id },
        }));
        Event::Notice
    }

    /// The message of the event before goes back to its sender, if nobody read it.
    #[inline]
    fn forget(&mut self) {
        if self.unread.take().is_some() {
            self.inbox.drop_sample();
        }
    }

    /// What an [`Event::Notice`] was about, oldest first. Freeing it is a deallocation.
    pub fn notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// The message of the event given out last, in place.
    ///
    /// # Errors
    /// [`RtError::NothingToRead`], [`RtError::WrongType`], [`RtError::NotFlat`], [`RtError::TooManyHeld`]. The message
    /// goes back to its sender then.
    ///
    /// # Real time
    /// No allocation, no copy, no system call: two compares.
    #[inline]
    pub fn read<T: Primitive>(&mut self, input: &In<T>) -> Result<View<T>, RtError> {
        let number = input.id.0;
        if self.unread != Some(number) {
            return Err(RtError::NothingToRead { input: number });
        }
        self.unread = None;
        if let Err(error) = self.fits::<T>(number, self.inbox.sample()) {
            self.inbox.drop_sample();
            return Err(error);
        }
        Ok(View::new(self.inbox.take_received(number)))
    }

    /// The newest message of an input; everything older that is queued is taken and dropped. `None` when there is
    /// none newer than what was read.
    ///
    /// # Errors
    /// As [`read`](Self::read), of the newest message.
    ///
    /// # Real time
    /// As [`read`](Self::read), once per queued message.
    #[inline]
    pub fn latest<T: Primitive>(&mut self, input: &In<T>) -> Result<Option<View<T>>, RtError> {
        let number = input.id.0;
        let mut newest = self.inbox.take_newest(number);
        if self.unread == Some(number) {
            self.unread = None;
            let unread = self.inbox.take_received(number);
            newest = newest.or(Some(unread));
        }
        let Some(newest) = newest else { return Ok(None) };
        self.fits::<T>(number, &newest.sample)?;
        Ok(Some(View::new(newest)))
    }

    /// May this message be looked at as a slice of `T`, and may the node hold one more?
    #[inline]
    fn fits<T: Primitive>(&self, input: u32, sample: &Sample) -> Result<(), RtError> {
        // The sender has slots for that many; one more would cost it a slot that it counts on.
        if sample.is_lent() && self.inbox.held(input) > MAX_HELD {
            return Err(RtError::TooManyHeld { input });
        }
        view::check::<T>(input, sample)
    }

    /// Logical time of the event given out last; outputs inherit it.
    pub fn tag(&self) -> Tag {
        self.inbox.current_tag()
    }

    /// A stop was announced, whether or not its event was given out. One relaxed load.
    pub fn is_stopping(&self) -> bool {
        self.inbox.link().is_stopping()
    }
}
