//! The second half of a change: places, edges, and what is told to whom.

use std::{collections::BTreeSet, os::fd::OwnedFd, sync::Arc};

use dora_protocol::{
    dataflow::{Dataflow, Input, Node, Source},
    log::LogLevel,
    node_link::ToNode,
};

use crate::{
    apply::Change,
    chains::ChainPlan,
    compile::{EdgeId, InputPlan, status_page},
    edges::comes_from,
    error::DaemonError,
    node_state::{NodeState, Role},
    pool::Pool,
    supervisor::Supervisor,
};

/// How it was before a change.
pub(crate) struct Rollback {
    dataflow: Arc<Dataflow>,
    inputs: Vec<(usize, Vec<InputPlan>, Vec<bool>)>,
    next_edge: EdgeId,
    /// Places that were made since.
    pub(crate) places: Vec<usize>,
}

impl Rollback {
    pub(crate) fn of(supervisor: &Supervisor) -> Self {
        let plans = |node: usize| {
            let closed = supervisor.nodes[node].inputs_closed.clone();
            (node, supervisor.wiring.nodes[node].inputs.clone(), closed)
        };
        Self {
            dataflow: supervisor.dataflow.clone(),
            inputs: supervisor.members().map(plans).collect(),
            next_edge: supervisor.wiring.next_edge(),
            places: Vec::new(),
        }
    }

    /// Makes it so again. Nobody was told anything else.
    pub(crate) fn undo(&mut self, supervisor: &mut Supervisor) {
        let made: Vec<_> = supervisor.wiring.edges.range(self.next_edge..).map(|(id, _)| *id).collect();
        for id in made {
            supervisor.feeds.remove(id);
            supervisor.wiring.remove_edge(id);
        }
        for place in std::mem::take(&mut self.places) {
            supervisor.leave_place(place);
        }
        for (node, inputs, closed) in self.inputs.clone() {
            supervisor.wiring.nodes[node].inputs = inputs;
            supervisor.nodes[node].inputs_closed = closed;
        }
        let mut flow = (*self.dataflow).clone();
        // Vacant places stay.
        flow.nodes.extend(supervisor.dataflow.nodes.iter().skip(flow.nodes.len()).cloned());
        supervisor.dataflow = Arc::new(flow);
    }
}

/// What the process of an added or replaced node is given.
pub(crate) struct NewPlace {
    /// Slots that the readers of each output can keep.
    pub(crate) shares: Vec<u32>,
    /// Chains that end there.
    pub(crate) chains: Vec<ChainPlan>,
    /// By output, where it notes what it sends.
    pub(crate) origins: Vec<Option<Arc<OwnedFd>>>,
}

/// Inputs that a change gave to places that were there before.
#[derive(Default)]
pub(crate) struct Retargeted {
    further: BTreeSet<(usize, usize)>,
}

impl Supervisor {
    /// Makes the place of a new process, without edges.
    pub(crate) fn new_place(&mut self, node: Node, new: NewPlace) -> Result<usize, DaemonError> {
        let index = self.vacant_place(node);
        let flow = self.dataflow.clone();
        let mut wiring = self.wiring.place(&flow, index, new.chains)?;
        wiring.inputs = unconnected(&flow.nodes[index]);
        if index < self.wiring.nodes.len() {
            self.wiring.nodes[index] = wiring;
        } else {
            self.wiring.nodes.push(wiring);
        }
        self.wiring.nodes[index].outputs =
            self.wiring.outputs_for(&flow, index, &new.shares, &new.origins)?;
        self.nodes[index] = NodeState::new(&flow.nodes[index]);
        Ok(index)
    }

    /// Gives every input its sources in the wanted dataflow. `places`: by index there.
    pub(crate) fn retarget(&mut self, change: &Change, places: &[Option<usize>]) -> Retargeted {
        let mut retargeted = Retargeted::default();
        let mut flow = (*self.dataflow).clone();
        let wanted = &change.wanted;
        let translate = |source: &Source| match source {
            Source::Output { node, output } => {
                places[*node as usize].map(|place| Source::Output { node: place as u32, output: *output })
            }
            other => Some(other.clone()),
        };
        for (new, node) in wanted.nodes.iter().enumerate() {
            let Some(place) = places[new] else { continue };
            let mut inputs = flow.nodes[place].inputs.clone();
            let plans = &mut self.wiring.nodes[place].inputs;
            for (position, known) in inputs.iter_mut().enumerate() {
                let input = node.inputs.iter().find(|input| input.id == known.id);
                let mut sources: Vec<_> =
                    input.iter().flat_map(|i| i.sources()).filter_map(translate).collect();
                // What a removed node still says is heard to its end.
                let goes = |s: &&Source| change.difference.removed.iter().any(|gone| comes_from(s, *gone));
                sources.extend(plans[position].sources.iter().filter(goes).cloned());
                if let Some(input) = input {
                    *known = translated(input, &sources);
                }
                plans[position].sources = sources;
            }
            for input in &node.inputs {
                if inputs.iter().all(|known| known.id != input.id) {
                    let sources: Vec<_> = input.sources().filter_map(translate).collect();
                    retargeted.further.insert((place, inputs.len()));
                    inputs.push(translated(input, &sources));
                    plans.push(InputPlan { sources, ..InputPlan::default() });
                }
            }
            self.nodes[place].inputs_closed.resize(inputs.len(), false);
            flow.nodes[place] = Node { inputs, ..node.clone() };
        }
        flow.name.clone_from(&wanted.name);
        flow.descriptor = wanted.descriptor.clone();
        flow.working_dir.clone_from(&wanted.working_dir);
        self.dataflow = Arc::new(flow);
        retargeted
    }

    /// Makes the edges that are wanted and not there.
    pub(crate) fn make_edges(&mut self) -> Result<Vec<EdgeId>, String> {
        let flow = self.dataflow.clone();
        let mut made = Vec::new();
        for reader in 0..self.wiring.nodes.len() {
            let newcomer = self.nodes[reader].role == Role::Understudy(reader);
            if !newcomer && !self.takes_part(reader) {
                continue;
            }
            for input in 0..self.wiring.nodes[reader].inputs.len() {
                for source in self.wiring.nodes[reader].inputs[input].sources.clone() {
                    if self.is_connected(&source, (reader, input)) || !self.can_send(&source, reader) {
                        continue;
                    }
                    self.check_arena(&source, (reader, input))?;
                    let edge = self.wiring.connect(&flow, &source, (reader, input));
                    made.extend(edge.map_err(|e| e.to_string())?);
                }
            }
        }
        self.feeds.add(std::mem::take(&mut self.wiring.feeds));
        Ok(made)
    }

    /// Has the present process of the sender slots enough for one more reader?
    fn check_arena(&self, source: &Source, to: (usize, usize)) -> Result<(), String> {
        let Source::Output { node, output } = source else { return Ok(()) };
        let (from, reader) = (&self.dataflow.nodes[*node as usize], &self.dataflow.nodes[to.0]);
        let (name, input) = (&from.outputs[*output as usize].id, &reader.inputs[to.1]);
        let lines = crate::connect::carries_lines(from, *output as usize);
        if lines || self.wiring.has_room_for((*node as usize, *output as usize), input) {
            return Ok(());
        }
        Err(format!(
            "`{}/{name}` has no memory left for the queue of `{}/{}`: replace node `{}` in the same change, or make the queue smaller",
            from.id, reader.id, input.id, from.id
        ))
    }

    /// Tells everybody, readers first; then detaches what is no longer wanted, senders first.
    pub(crate) fn tell_changes(&mut self, change: &Change, plan: &Retargeted, made: &[EdgeId]) {
        for to in &plan.further {
            self.nodes[to.0].inputs_closed[to.1] = false;
            if self.nodes[to.0].knows_wiring() {
                let (frame, fds) = self.wiring.input_added(&self.dataflow, *to);
                self.tell_with(to.0, frame, fds);
            }
        }
        let replaced = |node: usize| change.difference.replaced.iter().any(|(place, _)| *place == node);
        for id in made {
            let to = self.wiring.edges[id].to;
            if !plan.further.contains(&to) && !replaced(to.0) {
                self.tell_reader(*id);
            }
        }
        for (place, _) in &change.difference.replaced {
            self.tell_of_replacement(*place, made);
        }
        for id in made {
            self.tell_sender(*id);
        }
        // Last, so that what it makes of a message has its readers.
        for (place, _) in &change.difference.replaced {
            for id in self.wiring.edges_to(*place) {
                let edge = &self.wiring.edges[&id];
                if !edge.unread && edge.broken.is_none() {
                    self.tell_reader(id);
                }
            }
        }
        let members: Vec<_> = self.members().collect();
        for reader in members {
            for input in 0..self.wiring.nodes[reader].inputs.len() {
                for id in self.wiring.nodes[reader].inputs[input].edges.clone() {
                    if self.is_unwanted(id) {
                        self.disconnect_edge(id);
                    }
                }
                if !self.wiring.nodes[reader].inputs[input].is_timer() {
                    self.close_if_over(reader, input);
                }
            }
        }
    }

    fn tell_of_replacement(&mut self, place: usize, made: &[EdgeId]) {
        let from_it = made.iter().map(|id| &self.wiring.edges[id]);
        let readers: BTreeSet<_> =
            from_it.filter(|e| e.from.is_some_and(|(n, _)| n == place)).map(|e| e.to.0).collect();
        let id = self.dataflow.nodes[place].id.clone();
        for reader in readers.into_iter().filter(|reader| *reader != place) {
            self.tell(reader, ToNode::NodeRestarted { node: id.clone() });
        }
    }

    /// An open edge from something that its input is no longer to read.
    fn is_unwanted(&self, id: EdgeId) -> bool {
        let edge = &self.wiring.edges[&id];
        let sources = &self.wiring.nodes[edge.to.0].inputs[edge.to.1].sources;
        let wanted = match edge.from {
            Some((node, output)) => {
                sources.contains(&Source::Output { node: node as u32, output: output as u32 })
            }
            None => !sources.is_empty(),
        };
        edge.is_open() && !wanted
    }

    /// What changes, for the user.
    pub(crate) fn sentences(&self, change: &Change, made: &[EdgeId]) -> Vec<String> {
        let difference = &change.difference;
        let wanted = |new: &usize| &change.wanted.nodes[*new].id;
        let mut done = Vec::new();
        done.extend(difference.added.iter().map(|new| format!("node `{}` was added", wanted(new))));
        done.extend(
            difference.replaced.iter().map(|(_, new)| format!("node `{}` was replaced", wanted(new))),
        );
        let gone = difference.removed.iter().map(|place| &self.dataflow.nodes[*place].id);
        done.extend(gone.map(|id| format!("node `{id}` was removed")));
        let port = |edge: &crate::compile::EdgeWiring| {
            let reader = &self.dataflow.nodes[edge.to.0];
            format!("{}/{}", reader.id, reader.inputs[edge.to.1].id)
        };
        let edges = made.iter().map(|id| &self.wiring.edges[id]);
        done.extend(edges.map(|edge| format!("{} -> {}", edge.from_name, port(edge))));
        let unwanted = self.wiring.edges.iter().filter(|(id, _)| self.is_unwanted(**id));
        done.extend(unwanted.map(|(_, edge)| format!("{} -x- {}", edge.from_name, port(edge))));
        done
    }

    /// The limits of the nodes that there are now.
    pub(crate) fn watch_anew(&mut self) {
        let changed = match &mut self.pool {
            Some(pool) => pool.change(&self.dataflow, &self.wiring).map_err(|e| e.to_string()),
            None => {
                let pool = Pool::start(&self.dataflow, &self.wiring, self.options.rt, &self.existing);
                pool.map(|pool| self.pool = pool).map_err(|e| e.to_string())
            }
        };
        if let Err(e) = changed {
            self.display.system(
                LogLevel::Warn,
                None,
                format!("the limits of new nodes are not watched: {e}"),
            );
        }
    }

    /// A status page that has as many inputs and chains as the node has now, and room for further inputs.
    pub(crate) fn renew_page(&mut self, node: usize) -> Result<(), DaemonError> {
        let wiring = &self.wiring.nodes[node];
        let declared = wiring.view.room() as usize - lockfree_ipc::status::SPARE_INPUTS as usize;
        let chains: Vec<_> = wiring.chains.iter().filter(|chain| !chain.ended).cloned().collect();
        if wiring.inputs.len() <= declared && chains.len() == wiring.chains.len() {
            return Ok(());
        }
        let (status, view) = status_page(&self.dataflow.nodes[node], chains.len())?;
        self.keep_page_rows(node);
        let wiring = &mut self.wiring.nodes[node];
        (wiring.status, wiring.view, wiring.chains) = (status, view, chains);
        self.nodes[node].misses_told = 0;
        self.watch_anew();
        Ok(())
    }
}

/// Inputs before their edges: the clock needs none.
fn unconnected(node: &Node) -> Vec<InputPlan> {
    let timer = |input: &Input| matches!(input.source, Source::Timer { .. });
    let plan = |input: &Input| if timer(input) { InputPlan::of(input) } else { InputPlan::default() };
    node.inputs.iter().map(plan).collect()
}

/// An input with its sources as places.
fn translated(input: &Input, sources: &[Source]) -> Input {
    let mut sources = sources.iter().cloned();
    let source = sources.next().unwrap_or_else(|| input.source.clone());
    Input { source, more_sources: sources.collect(), ..input.clone() }
}
