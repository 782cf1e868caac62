//! Everything a node sends: slots, stamps, counters, and readers that went away.
//!
//! 1. A message inherits the logical time of the event that the node works on; a source stamps its own.
//! 2. Readers that came, went or were replaced are taken note of before a message is sent, at the cost of one load. They were
//!    mapped by the control thread, which also frees what is done with.
//!
//! Per message: one clock read, no allocation, no lock; the system call that wakes a sleeping reader.

use std::{collections::BTreeMap, sync::Arc};

use dora_protocol::{DataId, time::Tag};
use lockfree_ipc::{Header, Loan, LoanError, Origins, Publisher, SendReport, clock::monotonic_ns};

use crate::{
    control::{Change, Trash},
    error::{NodeError, NodeResult},
    link::{Link, Sending},
};

/// Changes and waste for which there is room without an allocation.
const SPARE: usize = 16;

/// The sending half of a node.
pub(crate) struct Outbox {
    link: Arc<Link>,
    names: BTreeMap<DataId, u32>,
    outputs: Vec<Output>,
    changes: Vec<Change>,
    trash: Vec<Trash>,
    /// The node has no inputs: sending is its only sign of life.
    is_source: bool,
}

struct Output {
    publisher: Publisher,
    /// Where a chain begins: noted before the message is sent.
    origins: Option<Origins>,
    closed: bool,
    unplanned: u64,
}

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendError {
    /// There is no such output.
    Unknown,
    /// The node closed it.
    Closed,
    /// No slot.
    Loan(LoanError),
}

impl Outbox {
    pub(crate) fn new(link: Arc<Link>, publishers: Vec<Sending>) -> Self {
        let outputs = &link.setup().outputs;
        let names = outputs.iter().zip(0..).map(|(output, index)| (output.id.clone(), index)).collect();
        let open =
            |Sending { publisher, origins }| Output { publisher, origins, closed: false, unplanned: 0 };
        Self {
            names,
            outputs: publishers.into_iter().map(open).collect(),
            changes: Vec::with_capacity(SPARE),
            trash: Vec::with_capacity(SPARE),
            is_source: link.setup().inputs.is_empty(),
            link,
        }
    }

    /// Number of an output; `None` when the descriptor does not declare it.
    pub(crate) fn index(&self, id: &DataId) -> Option<u32> {
        self.names.get(id.as_str()).copied()
    }

    /// The node has said that it sends no more here.
    pub(crate) fn is_closed(&self, output: u32) -> bool {
        self.outputs.get(output as usize).is_none_or(|o| o.closed)
    }

    /// The only output, when there is exactly one.
    pub(crate) fn sole_output(&self) -> Option<u32> {
        (self.outputs.len() == 1).then_some(0)
    }

    /// Sends no more on these outputs; their readers are told after what is queued.
    pub(crate) fn close(&mut self, outputs: &[u32]) {
        let mut newly = Vec::new();
        for &output in outputs {
            if let Some(o) = self.outputs.get_mut(output as usize)
                && !o.closed
            {
                o.closed = true;
                newly.push(output);
            }
        }
        self.link.outputs_closed(&newly);
    }

    /// A slot to write a message into.
    ///
    /// # Errors
    /// [`NodeError::Output`] that names node, output, size and the key of the descriptor that helps.
    pub(crate) fn loan(&mut self, output: u32, payload: usize, meta: usize) -> NodeResult<Loan> {
        let loan = self.try_loan(output, payload, meta);
        loan.map_err(|error| self.explain(output, error, payload.saturating_add(meta)))
    }

    /// As [`loan`](Self::loan), with an error that costs nothing.
    #[inline]
    pub(crate) fn try_loan(&mut self, output: u32, payload: usize, meta: usize) -> Result<Loan, SendError> {
        self.heed_readers();
        let Some(o) = self.outputs.get_mut(output as usize) else { return Err(SendError::Unknown) };
        if o.closed {
            return Err(SendError::Closed);
        }
        o.publisher.loan(payload, meta).map_err(|error| {
            let stats = self.link.status().output(output);
            match error {
                LoanError::TooLarge { .. } => stats.too_large(),
                LoanError::NoSlot => stats.no_slot(),
            }
            SendError::Loan(error)
        })
    }

    /// Sends a message. Waits when a `backpressure` reader is full.
    ///
    /// # Errors
    /// [`NodeError::Output`] when the output was closed.
    pub(crate) fn send(
        &mut self,
        output: u32,
        mut loan: Loan,
        type_id: u32,
        flags: u32,
        copied: bool,
    ) -> NodeResult<()> {
        let len = loan.payload().len();
        let sent = self.try_send(output, &mut loan, type_id, flags, copied);
        sent.map(drop).map_err(|error| self.explain(output, error, len))
    }

    /// As [`send`](Self::send), with an error that costs nothing, and without moving the loan: it is empty afterwards.
    #[inline]
    pub(crate) fn try_send(
        &mut self,
        output: u32,
        loan: &mut Loan,
        type_id: u32,
        flags: u32,
        copied: bool,
    ) -> Result<SendReport, SendError> {
        self.heed_readers();
        let Some(o) = self.outputs.get_mut(output as usize) else { return Err(SendError::Unknown) };
        if o.closed {
            return Err(SendError::Closed);
        }
        let now = monotonic_ns();
        let tag = match self.link.tag() {
            Tag { time_ns: 0, .. } => Tag { time_ns: now, microstep: 0 },
            inherited => inherited,
        };
        let header = Header {
            send_ns: now,
            hlc: self.link.hlc().new_timestamp_at(now),
            tag_time: tag.time_ns,
            microstep: tag.microstep,
            type_id,
            flags,
            ..Header::default()
        };
        let bytes = loan.payload().len() as u64;
        if let Some(origins) = &mut o.origins {
            origins.note(tag.time_ns, now);
        }
        let report = o.publisher.send_in_place(loan, &header);
        let stats = self.link.status().output(output);
        stats.sent(bytes, copied);
        stats.progress(tag.time_ns, tag.microstep);
        let unplanned = o.publisher.unplanned_slots();
        if unplanned != o.unplanned {
            o.unplanned = unplanned;
            stats.set_unplanned(unplanned);
        }
        if report.blocked {
            stats.blocked();
        }
        self.link.status().alive(now);
        if self.is_source {
            self.link.status().waiting(now);
            self.link.status().handling(now);
        }
        if report.interrupted || report.broken.is_some() {
            self.after_trouble(output, &report);
        }
        Ok(report)
    }

    #[cold]
    fn after_trouble(&mut self, output: u32, report: &SendReport) {
        if let Some((edge, error)) = report.broken {
            self.link.edge_broken(None, Some((output, edge)), error.to_string());
        }
        self.heed_readers();
    }

    /// Some `backpressure` reader of this output is full now.
    #[inline]
    pub(crate) fn would_block(&mut self, output: u32) -> bool {
        self.heed_readers();
        self.outputs.get_mut(output as usize).is_some_and(|o| o.publisher.would_block())
    }

    /// Somebody reads this output now.
    #[inline]
    pub(crate) fn has_readers(&mut self, output: u32) -> bool {
        self.heed_readers();
        self.outputs.get(output as usize).is_some_and(|o| o.publisher.edge_numbers().next().is_some())
    }

    /// Waits until a send would not wait, or would give up waiting. False when `until_ns` (CLOCK_MONOTONIC) has passed or a signal
    /// handler has run.
    pub(crate) fn wait_for_room(&mut self, output: u32, until_ns: u64) -> bool {
        self.heed_readers();
        let mut blocked = false;
        let Some(o) = self.outputs.get_mut(output as usize) else { return true };
        let room = o.closed || o.publisher.wait_for_room(until_ns, &mut blocked);
        if blocked {
            self.link.status().output(output).blocked();
        }
        room
    }

    /// Number of a type record of this output; `None` when it must travel with the message.
    pub(crate) fn intern_type(&mut self, output: u32, record: &[u8]) -> Option<u32> {
        self.outputs.get_mut(output as usize)?.publisher.intern_type(record)
    }

    /// Commits slots for messages of `bytes` now, so that sending them causes no page fault.
    pub(crate) fn prefault(&mut self, output: u32, bytes: u64, count: u32) {
        if let Some(o) = self.outputs.get_mut(output as usize) {
            o.publisher.prefault(bytes, count);
        }
    }

    /// Takes note of readers that came, went or were replaced. One load when there is none.
    #[inline]
    fn heed_readers(&mut self) {
        self.link.shared().collect_changes(&mut self.changes);
        if !self.changes.is_empty() {
            self.change_readers();
        }
    }

    #[cold]
    fn change_readers(&mut self) {
        let Self { link, outputs, changes, trash, .. } = self;
        for change in changes.drain(..) {
            let (Change::Added { output, .. }
            | Change::Left { output, .. }
            | Change::Restarted { output, .. }
            | Change::Gone { output, .. }) = change;
            let Some(Output { publisher, .. }) = outputs.get_mut(output as usize) else {
                continue; // the control thread maps readers of outputs that there are, and no others
            };
            match change {
                Change::Added { reader, .. } => {
                    let number = reader.number();
                    if let Err(reader) = publisher.attach(reader) {
                        trash.push(Trash::Reader(reader));
                        link.edge_broken(None, Some((output, number)), "it belongs to another arena".into());
                    }
                }
                Change::Left { edge, .. } => {
                    publisher.leave(edge);
                }
                Change::Restarted { edge, head, .. } => {
                    if let Err(error) = publisher.reader_restarted(edge, head) {
                        link.edge_broken(None, Some((output, edge)), error.to_string());
                    }
                }
                Change::Gone { edge, .. } => trash.extend(publisher.detach(edge).map(Trash::Reader)),
            }
            while let Some(reader) = publisher.take_left() {
                trash.push(Trash::Reader(reader));
            }
        }
        link.shared().discard(trash);
    }

    /// The sentence for an error.
    pub(crate) fn explain(&self, output: u32, error: SendError, bytes: usize) -> NodeError {
        let setup = self.link.setup();
        let node = &setup.run.node_id;
        let Some(wiring) = setup.outputs.get(output as usize) else {
            return NodeError::Output(format!("node `{node}` has no output number {output}"));
        };
        let id = &wiring.id;
        NodeError::Output(match error {
            SendError::Unknown => format!("node `{node}` has no output number {output}"),
            SendError::Closed => format!("output `{id}` of node `{node}` was closed by the node"),
            SendError::Loan(LoanError::TooLarge { max }) => format!(
                "a message of {bytes} bytes is larger than the {max} bytes that output `{id}` of node `{node}` allows; \
                 raise `output_layout: {{ {id}: {{ max_message_bytes: {bytes} }} }}` of that node"
            ),
            SendError::Loan(LoanError::NoSlot) => format!(
                "the readers of output `{id}` of node `{node}` hold every slot for messages of {bytes} bytes; let them \
                 drop what they have read, or lower `queue_size` of their inputs"
            ),
        })
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let all: Vec<u32> = (0..self.outputs.len() as u32).collect();
        self.close(&all);
    }
}
