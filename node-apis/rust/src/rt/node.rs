//! The node of the real-time API.

use std::{collections::VecDeque, marker::PhantomData};

use dora_protocol::{
    DataId, NodeId,
    node_link::{InputSource, InputWiring, NodeEnv},
    time::Tag,
    wire_type::{self, Primitive},
};
use lockfree_ipc::{LoanError, MAX_HELD};

use super::{Event, In, InputId, Loan, Notice, Out, RtError, StopCause, Tick, TickIn, View};
use crate::{
    error::{NodeError, NodeResult},
    inbox::{Inbox, Incoming},
    link::{self, Connected},
    outbox::{Outbox, SendError},
    sample::Received,
};

/// Slots that [`RtNode::output`] commits ahead: enough for short queues and a few held messages.
const PREFAULT_SLOTS: u32 = 32;
/// No more than this is committed ahead for one output, bytes.
const PREFAULT_BYTES: u64 = 64 << 20;

/// A node that never allocates between start and stop. One thread at a time.
pub struct RtNode {
    inbox: Inbox,
    outbox: Outbox,
    /// The message of the event given out last, until it is read.
    current: Option<Received>,
    notices: VecDeque<Notice>,
}

impl std::fmt::Debug for RtNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RtNode").field("node", self.id()).finish_non_exhaustive()
    }
}

/// Start: everything here may allocate and takes milliseconds.
impl RtNode {
    /// Joins the dataflow that started this process, and blocks until it starts. When the descriptor asks for real-time
    /// scheduling and the dataflow runs with `--rt`, the calling thread has it from here on.
    ///
    /// # Errors
    /// [`NodeError::Init`] when the process was not started by a dataflow, by another version, or was refused.
    pub fn init_from_env() -> NodeResult<Self> {
        Self::init_from_config(link::env_of_process()?)
    }

    /// Joins over a socket that this process already has; the node owns it from now on.
    ///
    /// # Errors
    /// As [`init_from_env`](Self::init_from_env).
    pub fn init_from_config(config: NodeEnv) -> NodeResult<Self> {
        Ok(Self::from_connected(link::connect(config)?))
    }

    pub(crate) fn from_connected(connected: Connected) -> Self {
        let Connected { inbox, outbox, .. } = connected;
        Self::from_parts(inbox, outbox)
    }

    /// For a node that was made by the familiar API.
    pub(crate) fn from_parts(inbox: Inbox, outbox: Outbox) -> Self {
        Self { inbox, outbox, current: None, notices: VecDeque::with_capacity(16) }
    }

    /// The node's name.
    pub fn id(&self) -> &NodeId {
        &self.inbox.link().setup().run.node_id
    }

    /// A handle for an input that another node feeds. The type is checked with each message.
    ///
    /// # Errors
    /// [`NodeError::Init`] when the node has no such input (the error lists those it has) or it is a timer.
    pub fn input<T: Primitive>(&self, name: &str) -> NodeResult<In<T>> {
        let (id, wiring) = self.find_input(name)?;
        match wiring.source {
            InputSource::Edge { .. } => Ok(In { id, of: PhantomData }),
            InputSource::Timer { .. } => {
                Err(self.unfit(format!("input `{name}` is a timer: take it with `timer(\"{name}\")`")))
            }
        }
    }

    /// A handle for a timer input.
    ///
    /// # Errors
    /// [`NodeError::Init`] when the node has no such input (the error lists those it has) or it is none.
    pub fn timer(&self, name: &str) -> NodeResult<TickIn> {
        let (id, wiring) = self.find_input(name)?;
        match wiring.source {
            InputSource::Timer { period_ns } => Ok(TickIn { id, period_ns }),
            InputSource::Edge { .. } => Err(self.unfit(format!(
                "input `{name}` is fed by a node, not by `dora/timer/…`: take it with `input(\"{name}\")`"
            ))),
        }
    }

    /// A handle for an output whose messages have at most `most` elements. Commits memory for some of them now.
    ///
    /// # Errors
    /// [`NodeError::Init`] when the node has no such output (the error lists those it has), or `most` elements are
    /// larger than the descriptor allows.
    pub fn output<T: Primitive>(&mut self, name: &str, most: usize) -> NodeResult<Out<T>> {
        let Some(index) = self.outbox.index(&DataId::from(name)) else {
            let known = self.inbox.link().setup().outputs.iter().map(|o| o.id.as_str());
            return Err(self.unfit(format!("there is no output `{name}`; {}", list("outputs", known))));
        };
        let bytes = (most as u64).saturating_mul(size_of::<T>() as u64);
        let max = self.inbox.link().setup().outputs[index as usize].max_message_bytes;
        if let Some(max) = max.filter(|max| bytes > *max) {
            return Err(self.unfit(format!(
                "output `{name}` shall carry {most} × {} = {bytes} bytes, but allows {max}; raise `output_layout: {{ \
                 {name}: {{ max_message_bytes: {bytes} }} }}`",
                T::NAME
            )));
        }
        let affordable = (PREFAULT_BYTES / bytes.max(64)).clamp(1, u64::from(PREFAULT_SLOTS)) as u32;
        self.outbox.prefault(index, bytes, affordable);
        Ok(Out { index, most, of: PhantomData })
    }

    fn find_input(&self, name: &str) -> NodeResult<(InputId, &InputWiring)> {
        let inputs = &self.inbox.link().setup().inputs;
        let found = inputs.iter().zip(0..).find(|(input, _)| input.id == *name);
        found.map(|(wiring, index)| (InputId(index), wiring)).ok_or_else(|| {
            let known = list("inputs", inputs.iter().map(|i| i.id.as_str()));
            self.unfit(format!("there is no input `{name}`; {known}"))
        })
    }

    fn unfit(&self, what: String) -> NodeError {
        NodeError::Init(format!("node `{}`: {what}", self.id()))
    }
}

fn list<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|n| format!("`{n}`")).collect();
    if names.is_empty() {
        format!("it has no {what}")
    } else {
        format!("its {what} are {}", names.join(", "))
    }
}

/// Receiving.
impl RtNode {
    /// The next event. An unread message of the one before goes back to its sender.
    ///
    /// # Real time
    /// No allocation, no lock. One clock read and no system call when something is there; otherwise waits by the
    /// node's `wait` policy: parking is one system call, spinning none.
    #[inline]
    pub fn wait(&mut self) -> Event {
        self.current = None;
        loop {
            if let Some(incoming) = self.inbox.wait(None) {
                return self.event(incoming);
            }
        }
    }

    /// As [`wait`](Self::wait), but `None` when `deadline_ns` (CLOCK_MONOTONIC) passed without an event.
    #[inline]
    pub fn wait_until(&mut self, deadline_ns: u64) -> Option<Event> {
        self.current = None;
        let incoming = self.inbox.wait(Some(deadline_ns))?;
        Some(self.event(incoming))
    }

    /// The next event if there is one now. Never sleeps.
    #[inline]
    pub fn try_next(&mut self) -> Option<Event> {
        self.current = None;
        let incoming = self.inbox.poll()?;
        Some(self.event(incoming))
    }

    #[inline]
    fn event(&mut self, incoming: Incoming) -> Event {
        match incoming {
            Incoming::Message { input, sample } => {
                let latency_ns = self.inbox.taken_ns().saturating_sub(sample.header().send_ns);
                self.current = Some(Received { input, sample, latency_ns });
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
            rare => self.rare(rare),
        }
    }

    #[cold]
    fn rare(&mut self, incoming: Incoming) -> Event {
        self.notices.extend(match incoming {
            Incoming::NodeFailed { node, error, inputs } => {
                let inputs = inputs.into_iter().map(InputId).collect();
                Some(Notice::NodeFailed { node, error, inputs })
            }
            Incoming::NodeRestarted { node } => Some(Notice::NodeRestarted { node }),
            Incoming::ParamUpdate { key, value } => Some(Notice::ParamUpdate { key, value }),
            Incoming::ParamDeleted { key } => Some(Notice::ParamDeleted { key }),
            Incoming::Reload { operator_id } => Some(Notice::Reload { operator_id }),
            _ => None,
        });
        Event::Notice
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
        match self.current.take() {
            Some(received) if received.input == number => self.view(received),
            other => {
                self.current = other;
                Err(RtError::NothingToRead { input: number })
            }
        }
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
        if self.current.as_ref().is_some_and(|c| c.input == number) {
            let unread = self.current.take();
            newest = newest.or(unread);
        }
        newest.map(|received| self.view(received)).transpose()
    }

    #[inline]
    fn view<T: Primitive>(&self, received: Received) -> Result<View<T>, RtError> {
        let input = received.input;
        // The sender has slots for that many; one more would cost it a slot that it counts on.
        if self.inbox.held(input) > MAX_HELD {
            return Err(RtError::TooManyHeld { input });
        }
        View::new(received)
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

/// Sending.
impl RtNode {
    /// Sends a copy of `values`: one copy into the slot. Waits while a `backpressure` reader is full.
    ///
    /// # Errors
    /// [`RtError::TooLarge`], [`RtError::NoSlot`], [`RtError::Closed`]; nothing is sent then.
    ///
    /// # Real time
    /// No allocation, no lock; one system call per reader that sleeps.
    #[inline]
    pub fn send<T: Primitive>(&mut self, output: &Out<T>, values: &[T]) -> Result<(), RtError> {
        let mut loan = self.loan(output, values.len())?;
        loan.copy_from_slice(values);
        self.hand_over(loan, true)
    }

    /// As [`send`](Self::send), but [`RtError::WouldBlock`] instead of waiting.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`RtError::WouldBlock`].
    #[inline]
    pub fn try_send<T: Primitive>(&mut self, output: &Out<T>, values: &[T]) -> Result<(), RtError> {
        if self.outbox.would_block(output.index) {
            return Err(RtError::WouldBlock { output: output.index });
        }
        self.send(output, values)
    }

    /// Sends `len` elements that `write` puts in place: no copy.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[inline]
    pub fn send_with<T: Primitive>(
        &mut self,
        output: &Out<T>,
        len: usize,
        write: impl FnOnce(&mut [T]),
    ) -> Result<(), RtError> {
        let mut loan = self.loan(output, len)?;
        write(&mut loan);
        self.hand_over(loan, false)
    }

    /// A slot to write `len` elements into; [`publish`](Self::publish) sends it, dropping it does not.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Real time
    /// No allocation, no lock, no system call.
    #[inline]
    pub fn loan<T: Primitive>(&mut self, output: &Out<T>, len: usize) -> Result<Loan<T>, RtError> {
        if len > output.most {
            return Err(RtError::TooLarge { output: output.index });
        }
        let loan = self.outbox.try_loan(output.index, len * size_of::<T>(), 0);
        loan.map(|inner| Loan::new(inner, output.index)).map_err(|e| small(output.index, e))
    }

    /// Sends a loan. Waits while a `backpressure` reader is full.
    ///
    /// # Errors
    /// [`RtError::Closed`].
    ///
    /// # Real time
    /// As [`send`](Self::send); the payload is not touched, so the cost does not depend on its size.
    #[inline]
    pub fn publish<T: Primitive>(&mut self, loan: Loan<T>) -> Result<(), RtError> {
        self.hand_over(loan, false)
    }

    /// As [`publish`](Self::publish), but gives the loan back instead of waiting.
    ///
    /// # Errors
    /// [`RtError::WouldBlock`] or [`RtError::Closed`], with the loan.
    #[inline]
    pub fn try_publish<T: Primitive>(&mut self, loan: Loan<T>) -> Result<(), (RtError, Loan<T>)> {
        let output = loan.output;
        if self.outbox.is_closed(output) {
            return Err((RtError::Closed { output }, loan));
        }
        if self.outbox.would_block(output) {
            return Err((RtError::WouldBlock { output }, loan));
        }
        let sent = self.hand_over(loan, false);
        debug_assert!(sent.is_ok(), "an open output of a loan takes it");
        Ok(())
    }

    #[inline]
    fn hand_over<T: Primitive>(&mut self, loan: Loan<T>, copied: bool) -> Result<(), RtError> {
        let output = loan.output;
        let sent = self.outbox.try_send(output, loan.inner, T::TYPE_ID, 0, copied);
        sent.map(drop).map_err(|e| small(output, e))
    }

    /// Sends no more on this output; its readers are told after what is queued. Talks to the daemon.
    pub fn close<T>(&mut self, output: Out<T>) {
        self.outbox.close(&[output.index]);
    }

    /// The sentence for an error: names node, input or output, and types. Allocates.
    pub fn describe(&self, error: RtError) -> String {
        let setup = self.inbox.link().setup();
        let input = |i: u32| setup.inputs.get(i as usize).map_or("?", |w| w.id.as_str());
        let output = |o: u32| setup.outputs.get(o as usize).map_or("?", |w| w.id.as_str());
        let what = match error {
            RtError::NothingToRead { input: i } => format!(
                "input `{}` has nothing to read: the event given out last was not its message, or it was read before",
                input(i)
            ),
            RtError::WrongType { input: i, expected, found } => format!(
                "input `{}` is read as {}, but its message is {}",
                input(i),
                wire_type::name(expected),
                wire_type::name(found)
            ),
            RtError::NotFlat { input: i } => {
                format!(
                    "input `{}` got an array with nulls or nesting; read it with the familiar API",
                    input(i)
                )
            }
            RtError::TooManyHeld { input: i } => {
                format!("{MAX_HELD} views of input `{}` are held; drop older ones", input(i))
            }
            RtError::TooLarge { output: o } => format!(
                "the message is larger than output `{}` was opened for; raise the number of elements in `output(…)` \
                 or `max_message_bytes` in `output_layout`",
                output(o)
            ),
            RtError::NoSlot { output: o } => {
                format!(
                    "the readers of output `{}` hold every slot; let them drop what they have read",
                    output(o)
                )
            }
            RtError::Closed { output: o } => format!("output `{}` was closed", output(o)),
            RtError::WouldBlock { output: o } => format!("a reader of output `{}` is full", output(o)),
        };
        format!("node `{}`: {what}", self.id())
    }
}

#[inline]
fn small(output: u32, error: SendError) -> RtError {
    match error {
        SendError::Loan(LoanError::TooLarge { .. }) => RtError::TooLarge { output },
        SendError::Loan(LoanError::NoSlot) => RtError::NoSlot { output },
        SendError::Closed | SendError::Unknown => RtError::Closed { output },
    }
}
