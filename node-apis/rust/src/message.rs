//! A message in its slot: the payload, and behind it what the header's flags announce.
//!
//! ```text
//! payload                       where the array's buffers are
//! metadata  layout record       with LAYOUT        both records begin with their own length (u32, little endian)
//!           type record         with INLINE_TYPE   the output's type table was full
//!           parameters          with PARAMS        the rest
//! ```
//!
//! What is read here was written by another process: every length is checked, and a message that does not fit
//! together becomes an error event, never a panic.

use std::{
    panic::RefUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use arrow_data::ArrayData;
use dora_arrow_codec::{CodecError, PayloadOwner, TypeCache, split_layout, split_type};
use dora_protocol::metadata::{self, MetadataParameters};
use lockfree_ipc::{Header, MAX_HELD, Sample, flags};

use crate::{NodeError, NodeResult, node::AlignedBytes};

/// What goes behind the payload of one outgoing message.
#[derive(Clone, Copy, Default)]
pub(crate) struct Extra<'a> {
    pub(crate) layout: &'a [u8],
    pub(crate) inline_type: &'a [u8],
    pub(crate) params: Option<&'a MetadataParameters>,
}

impl<'a> Extra<'a> {
    pub(crate) fn params(params: &'a MetadataParameters) -> Self {
        Self { params: (!params.is_empty()).then_some(params), ..Self::default() }
    }

    /// Bytes that [`write`](Self::write) needs.
    pub(crate) fn len(&self) -> usize {
        self.layout.len() + self.inline_type.len() + self.params.map_or(0, metadata::encoded_len)
    }

    pub(crate) fn flags(&self) -> u32 {
        let mut found = 0;
        if !self.layout.is_empty() {
            found |= flags::LAYOUT;
        }
        if !self.inline_type.is_empty() {
            found |= flags::INLINE_TYPE;
        }
        let Some(params) = self.params else { return found };
        found |= flags::PARAMS;
        if metadata::is_correlated(params) {
            found |= flags::CORRELATED;
        }
        if metadata::is_flush(params) {
            found |= flags::FLUSH;
        }
        found
    }

    /// Fills `out`, which is [`len`](Self::len) bytes long.
    pub(crate) fn write(&self, out: &mut [u8]) -> NodeResult<()> {
        let (layout, rest) = out.split_at_mut(self.layout.len());
        layout.copy_from_slice(self.layout);
        let (inline_type, rest) = rest.split_at_mut(self.inline_type.len());
        inline_type.copy_from_slice(self.inline_type);
        if let Some(params) = self.params {
            metadata::encode_into(params, rest).map_err(|error| NodeError::Data(error.to_string()))?;
        }
        Ok(())
    }
}

/// The metadata of one incoming message, taken apart.
#[derive(Debug, Default)]
pub(crate) struct Parts<'a> {
    pub(crate) layout: &'a [u8],
    pub(crate) inline_type: Option<&'a [u8]>,
    pub(crate) params: MetadataParameters,
}

impl<'a> Parts<'a> {
    pub(crate) fn read(found: u32, bytes: &'a [u8]) -> NodeResult<Self> {
        let broken = |error: CodecError| NodeError::Data(error.to_string());
        let (mut parts, mut rest) = (Self::default(), bytes);
        if found & flags::LAYOUT != 0 {
            (parts.layout, rest) = split_layout(rest).map_err(broken)?;
        }
        if found & flags::INLINE_TYPE != 0 {
            let (record, after) = split_type(rest).map_err(broken)?;
            (parts.inline_type, rest) = (Some(record), after);
        }
        if found & flags::PARAMS != 0 {
            parts.params = metadata::decode(rest).map_err(|error| NodeError::Data(error.to_string()))?;
            metadata::strip_reserved(&mut parts.params);
        }
        Ok(parts)
    }
}

/// What one input knows about its edges.
#[derive(Debug, Default)]
pub(crate) struct Receiving {
    /// Those that gave something, the latest last.
    edges: Vec<FromEdge>,
    /// A message was copied out and not yet counted.
    copied: bool,
}

/// What is known about the sender of an edge, and how much of its memory user code still holds.
#[derive(Debug, Default)]
struct FromEdge {
    number: u32,
    types: TypeCache,
    held: Arc<AtomicU32>,
}

/// Edges that an input remembers: of those that were forgotten the types are read again.
const MOST_EDGES: usize = 32;

/// A sample that lives as long as the arrays over it.
struct Held {
    sample: Sample,
    held: Arc<AtomicU32>,
}

/// A sample that takes no slot of its sender.
struct Own(Sample);

impl RefUnwindSafe for Own {}

impl PayloadOwner for Own {
    fn bytes(&self) -> &[u8] {
        self.0.payload()
    }
}

// A sample is a view of bytes: there is nothing that a panic could leave half done.
impl RefUnwindSafe for Held {}

impl PayloadOwner for Held {
    fn bytes(&self) -> &[u8] {
        self.sample.payload()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.held.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Receiving {
    /// The array and the parameters of a message that came by this edge. The array lies in the sender's memory; once user code
    /// holds nearly as many of them as the sender planned for, further ones are copied.
    pub(crate) fn open<'r>(
        &mut self,
        edge: u32,
        sample: Sample,
        record: impl FnOnce(u32) -> Option<&'r [u8]>,
    ) -> NodeResult<(ArrayData, MetadataParameters)> {
        let Header { flags: found, type_id, .. } = sample.header();
        self.look_up(edge);
        if found & flags::ARROW_IPC != 0 {
            return Err(NodeError::Data(
                "it is an Arrow IPC stream, which this version does not read".into(),
            ));
        }
        if found & (flags::LAYOUT | flags::INLINE_TYPE | flags::PARAMS) == 0 {
            let owner = self.owner(sample);
            return Ok((self.decode(type_id, record, &Parts::default(), owner)?, MetadataParameters::new()));
        }
        // The records are read before the sample is handed on, so they are copied out; layouts are short.
        let mut parts = Parts::read(found, sample.meta())?;
        let params = std::mem::take(&mut parts.params);
        let layout = parts.layout.to_vec();
        let inline_type = parts.inline_type.map(<[u8]>::to_vec);
        let parts =
            Parts { layout: &layout, inline_type: inline_type.as_deref(), params: MetadataParameters::new() };
        let owner = self.owner(sample);
        Ok((self.decode(type_id, record, &parts, owner)?, params))
    }

    /// Makes this edge the last of those known.
    fn look_up(&mut self, number: u32) {
        if self.edges.last().is_some_and(|edge| edge.number == number) {
            return;
        }
        match self.edges.iter().position(|edge| edge.number == number) {
            Some(at) => self.edges[at..].rotate_left(1),
            None => {
                if self.edges.len() == MOST_EDGES {
                    self.edges.remove(0);
                }
                self.edges.push(FromEdge { number, ..FromEdge::default() });
            }
        }
    }

    fn decode<'r>(
        &mut self,
        type_id: u32,
        record: impl FnOnce(u32) -> Option<&'r [u8]>,
        parts: &Parts<'_>,
        owner: Arc<dyn PayloadOwner>,
    ) -> NodeResult<ArrayData> {
        match parts.inline_type {
            Some(inline) => dora_arrow_codec::decode(type_id, Some(inline), parts.layout, owner),
            None => {
                let types = self.edges.last_mut().map(|edge| &mut edge.types);
                let types = types.ok_or_else(|| NodeError::Data("it came by no edge".into()))?;
                types.decode(type_id, || record(type_id), parts.layout, owner)
            }
        }
        .map_err(|error| NodeError::Data(error.to_string()))
    }

    /// Was a message copied out since the last call?
    pub(crate) fn take_copied(&mut self) -> bool {
        std::mem::take(&mut self.copied)
    }

    fn owner(&mut self, sample: Sample) -> Arc<dyn PayloadOwner> {
        // What rode in the ring entry is here already and takes nothing from the sender.
        let Some(edge) = self.edges.last().filter(|_| sample.is_lent()) else {
            return Arc::new(Own(sample));
        };
        // Some stay free for the message that is being looked at and for other threads.
        if edge.held.load(Ordering::Relaxed) >= MAX_HELD - 8 {
            self.copied = true;
            return Arc::new(AlignedBytes::copy_of(sample.payload()));
        }
        edge.held.fetch_add(1, Ordering::Relaxed);
        Arc::new(Held { sample, held: edge.held.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dora_protocol::metadata::Parameter;

    fn params(key: &str, value: Parameter) -> MetadataParameters {
        MetadataParameters::from([(key.to_owned(), value)])
    }

    #[test]
    fn a_message_without_parameters_has_no_metadata() {
        let empty = MetadataParameters::new();
        let extra = Extra::params(&empty);
        assert_eq!((extra.len(), extra.flags()), (0, 0));
    }

    #[test]
    fn requests_and_flushes_are_visible_in_the_flags() {
        let request = params(metadata::REQUEST_ID, Parameter::String("1".into()));
        assert_eq!(Extra::params(&request).flags(), flags::PARAMS | flags::CORRELATED);
        let flush = params(metadata::FLUSH, Parameter::Bool(true));
        assert_eq!(Extra::params(&flush).flags(), flags::PARAMS | flags::FLUSH);
        let no_flush = params(metadata::FLUSH, Parameter::Bool(false));
        assert_eq!(Extra::params(&no_flush).flags(), flags::PARAMS);
    }

    #[test]
    fn records_and_parameters_come_back_as_they_were_written() {
        let params = params("a", Parameter::ListInt(vec![1, -2]));
        let (layout, record) = ([6, 0, 0, 0, 9, 9], [5, 0, 0, 0, 7]);
        let extra = Extra { layout: &layout, inline_type: &record, params: Some(&params) };
        let mut bytes = vec![0; extra.len()];
        extra.write(&mut bytes).unwrap();
        let parts = Parts::read(extra.flags(), &bytes).unwrap();
        assert_eq!((parts.layout, parts.inline_type, parts.params), (&layout[..], Some(&record[..]), params));
    }

    #[test]
    fn metadata_cut_off_anywhere_is_an_error() {
        let params = params("key", Parameter::String("value".into()));
        let layout = [6, 0, 0, 0, 9, 9];
        let extra = Extra { layout: &layout, inline_type: &[], params: Some(&params) };
        let mut bytes = vec![0; extra.len()];
        extra.write(&mut bytes).unwrap();
        // Nothing at all behind the layout is the empty map.
        for end in (0..bytes.len()).filter(|end| *end != layout.len()) {
            assert!(Parts::read(extra.flags(), &bytes[..end]).is_err(), "{end}");
        }
    }

    /// One edge in the memory of this process.
    fn edge() -> (lockfree_ipc::Publisher, lockfree_ipc::Subscriber) {
        use lockfree_ipc::{
            ArenaSpec, Doorbell, EdgeSpec, Policy, Publisher, Subscriber, arena, doorbell, edge,
        };
        let spec = ArenaSpec { outstanding: 2 * MAX_HELD, ..ArenaSpec::default() };
        let fds = arena::create(&spec, [1; 16]).unwrap();
        let edge = edge::create(&EdgeSpec { limit: 4, policy: Policy::DropOldest, arena: spec }).unwrap();
        let mut publisher = Publisher::open(fds.write, None, None).unwrap();
        let bell = Doorbell::open(doorbell::create().unwrap(), None).unwrap();
        publisher.add_edge(0, edge.try_clone().unwrap(), bell).unwrap();
        (publisher, Subscriber::open(edge, fds.read).unwrap())
    }

    fn send(publisher: &mut lockfree_ipc::Publisher, array: &ArrayData, params: &MetadataParameters) {
        let plan = dora_arrow_codec::plan(array).unwrap();
        let id = dora_arrow_codec::TypeNumbers::new()
            .number(&plan, |record| publisher.intern_type(record))
            .unwrap();
        let dora_arrow_codec::Numbered::Id(type_id) = id else { panic!("the table is full") };
        let extra = Extra { layout: plan.layout(), ..Extra::params(params) };
        let mut loan = publisher.loan(plan.payload_len(), extra.len()).unwrap();
        plan.write(loan.payload_mut());
        extra.write(loan.meta_mut()).unwrap();
        publisher.send(loan, &Header { type_id, flags: extra.flags(), ..Header::default() });
    }

    #[test]
    fn an_array_comes_through_shared_memory_with_its_parameters_and_in_place() {
        let (mut publisher, mut subscriber) = edge();
        let mut receiving = Receiving::default();
        let params = params("k", Parameter::ListString(vec!["a".into(), "b".into()]));
        let texts = arrow_array::StringArray::from_iter((0..50).map(|n| (n % 7 > 0).then(|| "x".repeat(n))));
        let numbers = arrow_array::Float64Array::from_iter_values((0..100).map(f64::from));
        for array in [arrow_array::Array::to_data(&texts), arrow_array::Array::to_data(&numbers)] {
            send(&mut publisher, &array, &params);
            let sample = subscriber.take().unwrap().unwrap();
            let slot = sample.payload().as_ptr_range();
            let (received, found) = receiving.open(0, sample, |id| subscriber.type_record(id)).unwrap();
            assert_eq!((&received, &found), (&array, &params));
            for buffer in received.buffers() {
                assert!(slot.contains(&buffer.as_ptr()), "copied: {buffer:?}, slot {slot:?}");
            }
            assert_eq!(subscriber.held(), 1);
            drop(received);
            assert_eq!(subscriber.held(), 0, "the slot goes back with the array");
        }
    }

    #[test]
    fn a_node_may_keep_more_arrays_than_the_sender_has_slots() {
        let (mut publisher, mut subscriber) = edge();
        let mut receiving = Receiving::default();
        let mut copied = 0;
        let kept: Vec<ArrayData> = (0..500i64)
            .map(|number| {
                let array = arrow_array::Int64Array::from(vec![number; 32]);
                send(&mut publisher, &arrow_array::Array::to_data(&array), &MetadataParameters::new());
                let sample = subscriber.take().unwrap().unwrap();
                let array = receiving.open(0, sample, |_| None).unwrap().0;
                copied += u32::from(receiving.take_copied());
                array
            })
            .collect();
        assert!(subscriber.held() < MAX_HELD);
        assert_eq!(copied, 500 - subscriber.held(), "a copy was not counted");
        for (number, array) in kept.iter().enumerate() {
            assert_eq!(array.buffers()[0].typed_data::<i64>(), [number as i64; 32]);
        }
    }

    #[test]
    fn small_messages_are_kept_without_limit_and_without_a_copy() {
        let (mut publisher, mut subscriber) = edge();
        let mut receiving = Receiving::default();
        let mut keep = |number: i64| {
            let array = arrow_array::Int64Array::from(vec![number; 8]);
            send(&mut publisher, &arrow_array::Array::to_data(&array), &MetadataParameters::new());
            let sample = subscriber.take().unwrap().unwrap();
            let kept = receiving.open(0, sample, |_| None).unwrap().0;
            assert!(!receiving.take_copied(), "message {number} was copied out");
            kept
        };
        let kept: Vec<ArrayData> = (0..500).map(&mut keep).collect();
        for (number, array) in kept.iter().enumerate() {
            assert_eq!(array.buffers()[0].typed_data::<i64>(), [number as i64; 8]);
        }
    }

    #[test]
    fn a_message_of_an_unknown_type_is_refused_and_its_slot_goes_back() {
        let (mut publisher, mut subscriber) = edge();
        for type_id in [40, dora_protocol::wire_type::FIRST_DYNAMIC + 9] {
            let loan = publisher.loan(8, 0).unwrap();
            publisher.send(loan, &Header { type_id, ..Header::default() });
            let sample = subscriber.take().unwrap().unwrap();
            assert!(matches!(Receiving::default().open(0, sample, |_| None), Err(NodeError::Data(_))));
            assert_eq!(subscriber.held(), 0);
        }
    }

    #[test]
    fn reserved_parameters_do_not_reach_the_node() {
        let params = params("_internal", Parameter::Bool(true));
        let extra = Extra::params(&params);
        let mut bytes = vec![0; extra.len()];
        extra.write(&mut bytes).unwrap();
        assert!(Parts::read(extra.flags(), &bytes).unwrap().params.is_empty());
    }
}
