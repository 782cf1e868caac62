//! From the daemon's wiring to mapped memory: every descriptor opened, every input and output ready to use.
//!
//! Whatever is wrong with the wiring is an error that names the input or output; nothing of it is believed.

use std::os::fd::OwnedFd;

use dora_protocol::{
    DataId,
    node_link::{FdIndex, InputSource, OutputWiring, Setup},
};
use lockfree_ipc::{Doorbell, OpenError, Publisher, StatusPage, Subscriber};

use crate::{
    error::{NodeError, NodeResult},
    inbox::Feed,
};

/// Everything of a node that lies in shared memory.
pub(super) struct Mapped {
    pub(super) bell: Doorbell,
    pub(super) status: StatusPage,
    pub(super) feeds: Vec<Feed>,
    pub(super) publishers: Vec<Publisher>,
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
    Ok(Mapped { bell, status, feeds: table.feeds()?, publishers: table.publishers()? })
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

    fn publishers(&self) -> NodeResult<Vec<Publisher>> {
        self.setup.outputs.iter().map(|output| self.publisher(output)).collect()
    }

    fn publisher(&self, output: &OutputWiring) -> NodeResult<Publisher> {
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
        Ok(publisher)
    }
}

fn edge_name(output: &DataId, receiver: &dora_protocol::NodeId, input: &DataId) -> String {
    format!("output `{output}` to `{receiver}/{input}`")
}
