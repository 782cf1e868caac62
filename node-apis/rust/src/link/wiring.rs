//! From the daemon's wiring to mapped memory: every descriptor opened, every input and output ready to use.
//!
//! Whatever is wrong with the wiring is an error that names the input or output; nothing of it is believed.

use std::os::fd::{AsFd, OwnedFd};

use dora_protocol::{
    NodeId,
    node_link::{FdIndex, InputEdge, InputSource, InputWiring, OutputEdge, OutputWiring, Setup},
};
use lockfree_ipc::{
    Doorbell, Interrupter, OpenError, Origins, OriginsView, Publisher, Reader, StatusPage, Subscriber,
};

use crate::{
    error::{NodeError, NodeResult},
    inbox::{
        Feed, Lane,
        watch::{ChainEnd, Watch},
    },
};

/// Everything of a node that lies in shared memory.
pub(super) struct Mapped {
    pub(super) bell: Doorbell,
    pub(super) status: StatusPage,
    pub(super) feeds: Vec<Feed>,
    pub(super) publishers: Vec<Sending>,
    pub(super) watch: Option<Watch>,
}

/// One output, and where it notes what it sends.
pub(crate) struct Sending {
    pub(crate) publisher: Publisher,
    pub(crate) origins: Option<Origins>,
}

/// Readers for which an output has room without an allocation, beside those of the start.
const SPARE_READERS: usize = 16;

/// Maps what `setup` describes.
pub(super) fn map(setup: &Setup, descriptors: Vec<OwnedFd>) -> NodeResult<Mapped> {
    let table = Table::new(descriptors, &setup.run.node_id);
    let bell = table.doorbell(setup.doorbell, setup.eventfd, "its doorbell")?;
    let status = StatusPage::open(table.get(setup.status, "its status page")?)
        .map_err(|e| table.wrong("its status page", &e.to_string()))?;
    table.check(&status, setup)?;
    let feeds = setup.inputs.iter().map(|input| table.feed(input)).collect::<NodeResult<_>>()?;
    let publishers = setup.outputs.iter().map(|output| table.publisher(output)).collect::<NodeResult<_>>()?;
    let watch = table.watch(setup, &status)?;
    Ok(Mapped { bell, status, feeds, publishers, watch })
}

/// The descriptors that came with some wiring.
pub(crate) struct Table<'a> {
    descriptors: Vec<OwnedFd>,
    node: &'a NodeId,
}

impl<'a> Table<'a> {
    /// Descriptors for the wiring of this node.
    pub(crate) fn new(descriptors: Vec<OwnedFd>, node: &'a NodeId) -> Self {
        Self { descriptors, node }
    }

    /// The sentence for a fault in the wiring.
    pub(crate) fn wrong(&self, what: &str, why: &str) -> NodeError {
        NodeError::Init(format!("node `{}`: wrong wiring of {what}: {why}", self.node))
    }

    /// Does the status page fit? Inputs that were added while an earlier process ran are among its spare ones.
    fn check(&self, status: &StatusPage, setup: &Setup) -> NodeResult<()> {
        let (inputs, outputs) = (setup.inputs.len() as u32, setup.outputs.len() as u32);
        let declared = status.ports();
        if inputs < declared.0 || inputs > status.room() || outputs != declared.1 {
            let why =
                format!("it counts {declared:?} inputs and outputs, the wiring has {:?}", (inputs, outputs));
            return Err(self.wrong("its status page", &why));
        }
        if status.chains() as usize != setup.chains.len() {
            let why = format!("it counts {} chains, the wiring has {}", status.chains(), setup.chains.len());
            return Err(self.wrong("its status page", &why));
        }
        (declared.0..inputs).for_each(|input| {
            status.prepare_input(input);
        });
        Ok(())
    }

    fn opened<T>(&self, what: &str, result: Result<T, OpenError>) -> NodeResult<T> {
        result.map_err(|e| self.wrong(what, &e.to_string()))
    }

    /// A duplicate: two places of the wiring may name the same descriptor.
    fn get(&self, index: FdIndex, what: &str) -> NodeResult<OwnedFd> {
        let count = self.descriptors.len();
        let found = self.descriptors.get(index as usize).ok_or_else(|| {
            self.wrong(what, &format!("it names descriptor {index}, but the daemon sent {count}"))
        })?;
        found
            .try_clone()
            .map_err(|e| self.wrong(what, &format!("descriptor {index} cannot be duplicated: {e}")))
    }

    fn doorbell(&self, word: FdIndex, eventfd: FdIndex, what: &str) -> NodeResult<Doorbell> {
        let (word, eventfd) = (self.get(word, what)?, self.get(eventfd, what)?);
        self.opened(what, Doorbell::open(word, Some(eventfd)))
    }

    /// An input.
    pub(crate) fn feed(&self, input: &InputWiring) -> NodeResult<Feed> {
        let what = format!("input `{}`", input.id);
        match &input.source {
            InputSource::Timer { period_ns: 0 } => Err(self.wrong(&what, "the period of its timer is 0")),
            InputSource::Timer { period_ns } => Ok(Feed::timer(*period_ns, input)),
            InputSource::Edges { edges } => {
                let lanes = edges.iter().map(|edge| self.lane(&what, edge)).collect::<NodeResult<_>>()?;
                Ok(Feed::edges(lanes, input))
            }
        }
    }

    /// An edge that leads to an input.
    pub(crate) fn lane(&self, what: &str, edge: &InputEdge) -> NodeResult<Lane> {
        let subscriber = Subscriber::open(self.get(edge.edge, what)?, self.get(edge.arena, what)?);
        Ok(Lane {
            sender_until: None,
            number: edge.number,
            sender: edge.sender.clone(),
            subscriber: self.opened(what, subscriber)?,
            closed: edge.closed,
        })
    }

    /// A reader of an output.
    pub(crate) fn reader(
        &self,
        output: &str,
        edge: &OutputEdge,
        interrupter: &Interrupter,
    ) -> NodeResult<Reader> {
        let what = format!("{output} to `{}/{}`", edge.receiver, edge.input);
        let bell = self.doorbell(edge.doorbell, edge.eventfd, &what)?;
        let segment = self.get(edge.edge, &what)?;
        self.opened(&what, Reader::open(edge.number, segment, bell, interrupter))
    }

    /// What the node needs to account for its deadlines; `None` when it has none.
    fn watch(&self, setup: &Setup, status: &StatusPage) -> NodeResult<Option<Watch>> {
        let Some(attention) = setup.attention else { return Ok(None) };
        let mut chains = Vec::with_capacity(setup.chains.len());
        for chain in &setup.chains {
            let what = format!("the chain that ends at input {}", chain.input);
            let origins = self.get(chain.origins, &what)?;
            let origins = self.opened(&what, OriginsView::open(origins.as_fd()))?;
            chains.push(ChainEnd::new(chain, origins));
        }
        let attention = self.get(attention, "its call for attention")?;
        Ok(Some(Watch::new(status.miss_log(), chains, attention)))
    }

    fn publisher(&self, output: &OutputWiring) -> NodeResult<Sending> {
        let what = format!("output `{}`", output.id);
        let arena = self.get(output.arena, &what)?;
        let mut publisher =
            self.opened(&what, Publisher::open(arena, output.max_message_bytes, output.depth))?;
        publisher.reserve(output.edges.len() + SPARE_READERS);
        for edge in &output.edges {
            let reader = self.reader(&what, edge, &publisher.interrupter())?;
            publisher.attach(reader).map_err(|_| {
                self.wrong(
                    &what,
                    &format!("its edge to `{}/{}` belongs to another arena", edge.receiver, edge.input),
                )
            })?;
        }
        let what = format!("output `{}`, where a chain begins", output.id);
        let origins = match output.origins {
            Some(index) => Some(self.opened(&what, Origins::open(self.get(index, &what)?.as_fd()))?),
            None => None,
        };
        Ok(Sending { publisher, origins })
    }
}
