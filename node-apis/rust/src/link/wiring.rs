//! From the daemon's wiring to mapped memory: every descriptor opened, every input and output ready to use.
//!
//! Whatever is wrong with the wiring is an error that names the input or output; nothing of it is believed.

use std::os::fd::{AsFd, OwnedFd};

use dora_protocol::{
    DataId,
    node_link::{FdIndex, InputSource, OutputWiring, Setup},
};
use lockfree_ipc::{Doorbell, OpenError, Origins, OriginsView, Publisher, StatusPage, Subscriber};

use crate::{
    error::{NodeError, NodeResult},
    inbox::{
        Feed,
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

/// Maps what `setup` describes.
pub(super) fn map(setup: &Setup, descriptors: Vec<OwnedFd>) -> NodeResult<Mapped> {
    let table = Table { descriptors, setup };
    let bell = table.doorbell(setup.doorbell, setup.eventfd, "its doorbell")?;
    let status = StatusPage::open(table.get(setup.status, "its status page")?)
        .map_err(|e| table.wrong("its status page", &e.to_string()))?;
    let ports = (setup.inputs.len() as u32, setup.outputs.len() as u32);
    if status.ports() != ports {
        let why = format!("it counts {:?} inputs and outputs, the wiring has {ports:?}", status.ports());
        return Err(table.wrong("its status page", &why));
    }
    if status.chains() as usize != setup.chains.len() {
        let why = format!("it counts {} chains, the wiring has {}", status.chains(), setup.chains.len());
        return Err(table.wrong("its status page", &why));
    }
    let (feeds, publishers, watch) = (table.feeds()?, table.publishers()?, table.watch(&status)?);
    Ok(Mapped { bell, status, feeds, publishers, watch })
}

struct Table<'a> {
    descriptors: Vec<OwnedFd>,
    setup: &'a Setup,
}

impl Table<'_> {
    fn wrong(&self, what: &str, why: &str) -> NodeError {
        NodeError::Init(format!("node `{}`: wrong wiring of {what}: {why}", self.setup.run.node_id))
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

    fn feeds(&self) -> NodeResult<Vec<Feed>> {
        let mut feeds = Vec::with_capacity(self.setup.inputs.len());
        for input in &self.setup.inputs {
            let what = format!("input `{}`", input.id);
            feeds.push(match input.source {
                InputSource::Timer { period_ns: 0 } => {
                    return Err(self.wrong(&what, "the period of its timer is 0"));
                }
                InputSource::Timer { period_ns } => Feed::timer(period_ns, input),
                InputSource::Edge { edge, arena, .. } => {
                    let subscriber = Subscriber::open(self.get(edge, &what)?, self.get(arena, &what)?);
                    Feed::edge(self.opened(&what, subscriber)?, input)
                }
            });
        }
        Ok(feeds)
    }

    /// What the node needs to account for its deadlines; `None` when it has none.
    fn watch(&self, status: &StatusPage) -> NodeResult<Option<Watch>> {
        let Some(attention) = self.setup.attention else { return Ok(None) };
        let mut chains = Vec::with_capacity(self.setup.chains.len());
        for chain in &self.setup.chains {
            let what = format!("the chain that ends at input {}", chain.input);
            let origins = self.get(chain.origins, &what)?;
            let origins = self.opened(&what, OriginsView::open(origins.as_fd()))?;
            chains.push(ChainEnd::new(chain, origins));
        }
        let attention = self.get(attention, "its call for attention")?;
        Ok(Some(Watch::new(status.miss_log(), chains, attention)))
    }

    fn publishers(&self) -> NodeResult<Vec<Sending>> {
        self.setup.outputs.iter().map(|output| self.publisher(output)).collect()
    }

    fn publisher(&self, output: &OutputWiring) -> NodeResult<Sending> {
        let what = format!("output `{}`", output.id);
        let arena = self.get(output.arena, &what)?;
        let mut publisher =
            self.opened(&what, Publisher::open(arena, output.max_message_bytes, output.depth))?;
        for edge in &output.edges {
            let what = edge_name(&output.id, &edge.receiver, &edge.input);
            let bell = self.doorbell(edge.doorbell, edge.eventfd, &what)?;
            let segment = self.get(edge.edge, &what)?;
            self.opened(&what, publisher.add_edge(edge.number, segment, bell))?;
        }
        let what = format!("output `{}`, where a chain begins", output.id);
        let origins = match output.origins {
            Some(index) => Some(self.opened(&what, Origins::open(self.get(index, &what)?.as_fd()))?),
            None => None,
        };
        Ok(Sending { publisher, origins })
    }
}

fn edge_name(output: &DataId, receiver: &dora_protocol::NodeId, input: &DataId) -> String {
    format!("output `{output}` to `{receiver}/{input}`")
}
