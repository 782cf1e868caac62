//! The node of the real-time API.

use std::{collections::VecDeque, marker::PhantomData};

use dora_protocol::{
    DataId, NodeId,
    metadata::MetadataParameters,
    node_link::{ExtensionCall, InputSource, InputWiring, NodeEnv},
    wire_type::Primitive,
};

use super::{In, InputId, Notice, Out, TickIn};
use crate::{
    descriptor::Descriptor,
    error::{NodeError, NodeResult},
    inbox::Inbox,
    link::{self, Connected},
    node::log,
    outbox::Outbox,
    type_check::{SendCheck, of_values},
};

/// Slots that [`RtNode::output`] commits ahead: enough for short queues and a few held messages.
const PREFAULT_SLOTS: u32 = 32;
/// No more than this is committed ahead for one output, bytes.
const PREFAULT_BYTES: u64 = 64 << 20;

/// A node that never allocates between start and stop. One thread at a time.
pub struct RtNode {
    pub(super) inbox: Inbox,
    pub(super) outbox: Outbox,
    /// The input whose message was given out last and was not read yet.
    pub(super) unread: Option<u32>,
    pub(super) notices: VecDeque<Notice>,
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

    /// Joins a running dataflow as its node of this name, which has `path: dynamic` there, through the daemon of this machine.
    ///
    /// # Errors
    /// [`NodeError::Connection`] when there is no daemon, [`NodeError::Init`] when it has no free place of that name.
    pub fn init_from_node_id(node_id: NodeId) -> NodeResult<Self> {
        Ok(Self::from_connected(link::attach(&node_id, None)?))
    }

    pub(crate) fn from_connected(connected: Connected) -> Self {
        let Connected { inbox, outbox, .. } = connected;
        Self::from_parts(inbox, outbox)
    }

    /// For a node that was made by the familiar API.
    pub(crate) fn from_parts(inbox: Inbox, outbox: Outbox) -> Self {
        Self { inbox, outbox, unread: None, notices: VecDeque::with_capacity(16) }
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
            InputSource::Edges { .. } => Ok(In { id, of: PhantomData }),
            InputSource::Timer { .. } => {
                Err(self.unfit(format!("input `{name}` is a timer: take it with `timer(\"{name}\")`")))
            }
        }
    }

    /// Name of an input: of one that came while the node ran, an event shows only the number. `None` when there is none.
    pub fn input_name(&self, input: InputId) -> Option<&str> {
        self.inbox.wirings().nth(input.0 as usize).map(|wiring| wiring.id.as_str())
    }

    /// A handle for a timer input.
    ///
    /// # Errors
    /// [`NodeError::Init`] when the node has no such input (the error lists those it has) or it is none.
    pub fn timer(&self, name: &str) -> NodeResult<TickIn> {
        let (id, wiring) = self.find_input(name)?;
        match wiring.source {
            InputSource::Timer { period_ns } => Ok(TickIn { id, period_ns }),
            InputSource::Edges { .. } => Err(self.unfit(format!(
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
        self.check_type(index, T::TYPE_ID)?;
        let affordable = (PREFAULT_BYTES / bytes.max(64)).clamp(1, u64::from(PREFAULT_SLOTS)) as u32;
        self.outbox.prefault(index, bytes, affordable);
        Ok(Out { index, most, of: PhantomData })
    }

    /// What a handle sends never changes its type: compared once with what the output declares, when
    /// `DORA_RUNTIME_TYPE_CHECK` asks for it.
    fn check_type(&self, output: u32, type_id: u32) -> NodeResult<()> {
        let setup = self.inbox.link().setup();
        let descriptor = Descriptor::read(setup.descriptor.clone());
        match SendCheck::from_env(setup, descriptor.as_ref()) {
            Some(mut types) => types.check(output, &MetadataParameters::new(), &of_values(type_id)),
            None => Ok(()),
        }
    }

    /// Writes a line to the node's log, as [`DoraNode::log`](crate::DoraNode::log) does. Allocates, and makes a system call: for starts,
    /// ends and faults.
    pub fn log(&self, level: &str, message: &str) {
        log::print(self.id().as_str(), log::level(level), message, None, None::<&()>);
    }

    /// Asks what the daemon has registered for the name space, as [`DoraNode::extension_request`](crate::DoraNode::extension_request)
    /// does. Allocates, and waits for the answer.
    ///
    /// # Errors
    /// When nothing is registered, or the daemon is gone.
    #[doc(hidden)]
    pub fn extension_request(&mut self, namespace: &str, payload: Vec<u8>) -> NodeResult<Vec<u8>> {
        let call = ExtensionCall::Request { ns: namespace.to_owned(), payload };
        Ok(self.inbox.link().extension(call)?.unwrap_or_default())
    }

    fn find_input(&self, name: &str) -> NodeResult<(InputId, &InputWiring)> {
        let found = self.inbox.wirings().zip(0..).find(|(input, _)| input.id == *name);
        found.map(|(wiring, index)| (InputId(index), wiring)).ok_or_else(|| {
            let known = list("inputs", self.inbox.wirings().map(|i| i.id.as_str()));
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
