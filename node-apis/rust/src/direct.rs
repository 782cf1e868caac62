//! A node in its dataflow: arrays into slots, slots into arrays, everything else into events.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use arrow_array::{UInt64Array, make_array};
use dora_arrow_codec::{CodecError, Numbered, Plan, TypeNumbers, TypeRef, internal};
use dora_protocol::{
    DataId, NodeId,
    metadata::MetadataParameters,
    node_link::{ExtensionCall, InputWiring},
};
use lockfree_ipc::clock;

use crate::{
    Event, NodeError, NodeResult, StopCause,
    backend::Step,
    inbox::{Inbox, Incoming, Rare},
    link::Link,
    message::{Extra, Receiving},
    metadata::{self, Metadata},
    node::{DataSample, EncodedSample, Place, log},
    outbox::Outbox,
    type_check::Expected,
};

/// Bytes for parameters that a loaned buffer comes with; more of them cost a copy.
const SPARE_FOR_PARAMS: usize = 256;

/// The sending half.
pub(crate) struct DirectOutputs {
    link: Arc<Link>,
    outbox: Outbox,
    outputs: Vec<Output>,
}

struct Output {
    types: TypeNumbers,
    max_message_bytes: Option<u64>,
}

impl std::fmt::Debug for DirectOutputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DirectOutputs").finish_non_exhaustive()
    }
}

fn bad_array(error: CodecError) -> NodeError {
    NodeError::Data(error.to_string())
}

impl DirectOutputs {
    pub(crate) fn new(link: Arc<Link>, outbox: Outbox) -> Self {
        let wiring = &link.setup().outputs;
        let output = |max_message_bytes| Output { types: TypeNumbers::new(), max_message_bytes };
        let outputs = wiring.iter().map(|wiring| output(wiring.max_message_bytes)).collect();
        Self { link, outbox, outputs }
    }

    pub(crate) fn index(&self, id: &DataId) -> Option<u32> {
        self.outbox.index(id)
    }

    pub(crate) fn is_closed(&self, output: u32) -> bool {
        self.outbox.is_closed(output)
    }

    pub(crate) fn close(&mut self, closing: &[u32]) {
        self.outbox.close(closing);
    }

    pub(crate) fn close_all(&mut self) {
        let open = (0..self.outputs.len() as u32).filter(|output| !self.outbox.is_closed(*output));
        let open: Vec<u32> = open.collect();
        self.outbox.close(&open);
    }

    pub(crate) fn send(&mut self, output: u32, params: &MetadataParameters, plan: &Plan) -> NodeResult<()> {
        let outbox = &mut self.outbox;
        let types = &mut self.outputs[output as usize].types;
        let numbered = types.number(plan, |record| outbox.intern_type(output, record)).map_err(bad_array)?;
        let (type_id, inline_type) = match &numbered {
            Numbered::Id(id) => (*id, &[][..]),
            Numbered::Inline(record) => (dora_protocol::wire_type::FIRST_DYNAMIC, &record[..]),
        };
        let extra = Extra { layout: plan.layout(), inline_type, ..Extra::params(params) };
        self.fill_and_send(output, type_id, plan.payload_len(), &extra, true, |to| plan.write(to))
    }

    pub(crate) fn send_with(
        &mut self,
        output: u32,
        params: &MetadataParameters,
        (type_id, len): (u32, usize),
        write: impl FnOnce(&mut [u8]),
    ) -> NodeResult<()> {
        self.fill_and_send(output, type_id, len, &Extra::params(params), false, write)
    }

    pub(crate) fn send_copy(
        &mut self,
        output: u32,
        params: &MetadataParameters,
        type_id: u32,
        values: &[u8],
    ) -> NodeResult<()> {
        let extra = Extra::params(params);
        self.fill_and_send(output, type_id, values.len(), &extra, true, |to| to.copy_from_slice(values))
    }

    pub(crate) fn has_readers(&mut self, output: u32) -> bool {
        self.outbox.has_readers(output)
    }

    pub(crate) fn wait_for_room(&mut self, output: u32, until_ns: u64) -> bool {
        self.outbox.wait_for_room(output, until_ns)
    }

    pub(crate) fn send_sample(
        &mut self,
        output: u32,
        params: &MetadataParameters,
        type_id: u32,
        sample: DataSample,
    ) -> NodeResult<()> {
        let extra = Extra::params(params);
        match sample.0 {
            Place::Loaned { output: loaned_from, mut loan, spare }
                if loaned_from == output && spare >= extra.len() =>
            {
                let payload_len = loan.payload().len();
                loan.shrink(payload_len, extra.len());
                extra.write(loan.meta_mut())?;
                self.outbox.send(output, loan, type_id, extra.flags(), false)
            }
            place => {
                let sample = DataSample(place);
                self.fill_and_send(output, type_id, sample.len(), &extra, true, |to| {
                    to.copy_from_slice(&sample)
                })
            }
        }
    }

    pub(crate) fn send_encoded(
        &mut self,
        output: u32,
        params: &MetadataParameters,
        encoded: &EncodedSample,
    ) -> NodeResult<()> {
        let (type_id, inline_type) = match &encoded.type_ref {
            TypeRef::WellKnown(id) => (*id, &[][..]),
            TypeRef::Record(record) => match self.outbox.intern_type(output, record) {
                Some(id) => (id, &[][..]),
                None => (dora_protocol::wire_type::FIRST_DYNAMIC, &record[..]),
            },
        };
        let extra = Extra { layout: &encoded.layout, inline_type, ..Extra::params(params) };
        let bytes = encoded.as_bytes();
        self.fill_and_send(output, type_id, bytes.len(), &extra, true, |to| to.copy_from_slice(bytes))
    }

    fn fill_and_send(
        &mut self,
        output: u32,
        type_id: u32,
        len: usize,
        extra: &Extra<'_>,
        copied: bool,
        write: impl FnOnce(&mut [u8]),
    ) -> NodeResult<()> {
        let mut loan = self.outbox.loan(output, len, extra.len())?;
        write(loan.payload_mut());
        extra.write(loan.meta_mut())?;
        self.outbox.send(output, loan, type_id, extra.flags(), copied)
    }

    pub(crate) fn allocate(&mut self, output: Option<u32>, len: usize) -> NodeResult<DataSample> {
        let Some(output) = output.or_else(|| self.outbox.sole_output()) else {
            return Ok(DataSample::heap(len));
        };
        let declared = self.outputs[output as usize].max_message_bytes;
        let spare = declared.map_or(SPARE_FOR_PARAMS, |max| {
            SPARE_FOR_PARAMS.min(usize::try_from(max.saturating_sub(len as u64)).unwrap_or(SPARE_FOR_PARAMS))
        });
        let loan = self.outbox.loan(output, len, spare)?;
        Ok(DataSample(Place::Loaned { output, loan, spare }))
    }

    pub(crate) fn timestamp(&self) -> uhlc::Timestamp {
        let hlc = self.link.hlc();
        uhlc::Timestamp::new(uhlc::NTP64(hlc.new_timestamp()), hlc.id())
    }

    pub(crate) fn extension(&self, call: ExtensionCall) -> NodeResult<Option<Vec<u8>>> {
        self.link.extension(call)
    }
}

/// The receiving half.
pub(crate) struct DirectInputs {
    link: Arc<Link>,
    inbox: Inbox,
    inputs: Vec<Input>,
    /// The wiring that `inputs` reflects.
    rewired: u64,
}

struct Input {
    id: DataId,
    /// Those that send here, or sent last.
    senders: Vec<NodeId>,
    open: bool,
    receiving: Receiving,
    expected: Expected,
}

impl std::fmt::Debug for DirectInputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DirectInputs").finish_non_exhaustive()
    }
}

impl DirectInputs {
    pub(crate) fn new(link: Arc<Link>, inbox: Inbox) -> Self {
        let mut inputs = Self { link, inputs: Vec::new(), rewired: inbox.rewired(), inbox };
        inputs.follow_wiring();
        inputs
    }

    /// Takes note of inputs and edges that were added.
    #[cold]
    fn follow_wiring(&mut self) {
        let Self { link, inbox, inputs, rewired } = self;
        let setup = link.setup();
        let input = |wiring: &InputWiring| Input {
            id: wiring.id.clone(),
            senders: Vec::new(),
            open: true,
            receiving: Receiving::default(),
            expected: Expected::of(&setup.descriptor, &setup.run.node_id, &wiring.id),
        };
        inputs.extend(inbox.wirings().skip(inputs.len()).map(input));
        for (input, number) in inputs.iter_mut().zip(0..) {
            let mut senders = inbox.senders(number).peekable();
            if senders.peek().is_some() {
                input.senders = senders.cloned().collect();
            }
        }
        *rewired = inbox.rewired();
    }

    pub(crate) fn poll(&mut self) -> Option<Step> {
        let incoming = self.inbox.poll()?;
        Some(self.step(incoming))
    }

    pub(crate) fn wait(&mut self, deadline_ns: Option<u64>) -> Option<Step> {
        let incoming = self.inbox.wait(deadline_ns)?;
        Some(self.step(incoming))
    }

    pub(crate) fn wait_or_signal(&mut self, deadline_ns: u64) -> Option<Step> {
        let incoming = self.inbox.wait_or_signal(deadline_ns)?;
        Some(self.step(incoming))
    }

    pub(crate) fn poll_async(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let incoming = ready!(self.inbox.poll_async(cx));
        Poll::Ready(self.step(incoming))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.inbox.is_empty()
    }

    pub(crate) fn take_drop_counts(&mut self) -> Vec<(DataId, u64)> {
        let counts = self.inbox.take_drop_counts();
        if self.rewired != self.inbox.rewired() {
            self.follow_wiring();
        }
        counts.into_iter().map(|(input, count)| (self.id(input), count)).collect()
    }

    /// The input is one of the node's, and no other of them is open.
    pub(crate) fn was_last_open_of(&self, id: &DataId, node: &NodeId) -> bool {
        let of_node = self.inputs.iter().filter(|input| input.senders.contains(node));
        let mut of_node = of_node.peekable();
        of_node.clone().any(|input| input.id == *id) && of_node.all(|input| !input.open)
    }

    fn id(&self, input: u32) -> DataId {
        self.inputs[input as usize].id.clone()
    }

    fn step(&mut self, incoming: Incoming) -> Step {
        if self.rewired != self.inbox.rewired() {
            self.follow_wiring();
        }
        Step::Event(match incoming {
            Incoming::Message { input } => self.message(input),
            Incoming::Tick { input, count, nominal_ns, missed } => {
                self.tick(input, count, nominal_ns, missed)
            }
            Incoming::InputClosed { input } | Incoming::InputTimedOut { input } => {
                self.inputs[input as usize].open = false;
                Event::InputClosed { id: self.id(input) }
            }
            Incoming::InputRecovered { input } => {
                self.inputs[input as usize].open = true;
                Event::InputRecovered { id: self.id(input) }
            }
            Incoming::Rare => match self.inbox.take_rare() {
                Some(rare) => self.rare(rare),
                None => Event::Error("a notice of the daemon was lost".to_owned()),
            },
            Incoming::Stop { all_inputs_closed: true } => Event::Stop(StopCause::AllInputsClosed),
            Incoming::Stop { all_inputs_closed: false } => Event::Stop(StopCause::Manual),
            Incoming::Closed => return Step::Closed,
        })
    }

    fn rare(&self, rare: Rare) -> Event {
        match rare {
            Rare::NodeFailed { node, error, inputs } => {
                let affected_input_ids = inputs.into_iter().map(|input| self.id(input)).collect();
                Event::NodeFailed { affected_input_ids, error, source_node_id: node }
            }
            Rare::NodeRestarted { node } => Event::NodeRestarted { id: node },
            Rare::ParamUpdate { key, value } => Event::ParamUpdate { key, value },
            Rare::ParamDeleted { key } => Event::ParamDeleted { key },
            Rare::Reload { operator_id } => Event::Reload { operator_id },
        }
    }

    fn message(&mut self, input: u32) -> Event {
        let sample = self.inbox.take_received(input).sample;
        let timestamp = self.inbox.timestamp(input, &sample.header());
        let Self { link, inbox, inputs, .. } = self;
        let Input { id, receiving, expected, .. } = &mut inputs[input as usize];
        let opened =
            receiving.open(inbox.last_edge(input), sample, |type_id| inbox.type_record(input, type_id));
        if receiving.take_copied() {
            link.status().input(input).copied_out();
        }
        match opened {
            Ok((data, params)) => {
                if !expected.is_done()
                    && !metadata::is_correlated(&params)
                    && let Some(what) = expected.mismatch(id, data.data_type())
                {
                    log::warn(link.setup().run.node_id.as_str(), &what);
                }
                Event::Input {
                    id: id.clone(),
                    metadata: Metadata::from_parameters(timestamp, params),
                    data: internal::wrap(make_array(data)),
                }
            }
            Err(error) => Event::Error(format!("input `{id}`: a message could not be read: {error}")),
        }
    }

    fn tick(&self, input: u32, count: u64, nominal_ns: u64, missed: u64) -> Event {
        let hlc = self.link.hlc();
        let late = Duration::from_nanos(clock::monotonic_ns().saturating_sub(nominal_ns));
        let now = uhlc::system_time_clock();
        let due = now.to_duration().saturating_sub(late);
        let timestamp = uhlc::Timestamp::new(uhlc::NTP64::from(due), hlc.id());
        Event::Input {
            id: self.id(input),
            metadata: Metadata::of_tick(timestamp, missed),
            data: internal::wrap(Arc::new(UInt64Array::from(vec![count]))),
        }
    }
}
