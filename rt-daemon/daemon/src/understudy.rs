//! Replacing the process of a node: the new one comes up beside the old one, and takes over when that is gone.
//!
//! The new process maps the place's doorbell, and a status page and arenas of its own; it is told of its edges after Start, its
//! readers before its inputs, so that nothing that it makes of a message is lost. Until then the old one works on.

use std::{sync::Arc, time::Duration};

use dora_protocol::dataflow::{Node, NodeKind};
use tokio::time::Instant;

use crate::{
    compile::InputPlan,
    error::DaemonError,
    launch::Launch,
    log_lifecycle::Lifecycle,
    node_state::{After, Due, Phase, Role},
    requests::Operation,
    rewire::NewPlace,
    supervisor::Supervisor,
};

/// An understudy without a `startup_timeout` may take this long.
const COME_UP: Duration = Duration::from_secs(30);

impl Supervisor {
    /// Starts the new processes of replaced nodes.
    pub(crate) async fn call_understudies(&mut self) {
        let Some(Operation::Apply(change)) = &self.operation else { return };
        let replaced: Vec<_> = change.difference.replaced.clone();
        for (place, new) in replaced {
            let Some(Operation::Apply(change)) = &mut self.operation else { return };
            if change.failed.is_some() {
                return;
            }
            // It is told of its edges when it takes over.
            let (node, launch) = (change.wanted.nodes[new].clone(), change.program(new));
            let given = change.new_place(new);
            let dynamic =
                node.kind == NodeKind::Dynamic || self.dataflow.nodes[place].kind == NodeKind::Dynamic;
            let made = if dynamic {
                Err(format!(
                    "node `{}` is `path: dynamic` and cannot be replaced: remove it and add it",
                    node.id
                ))
            } else {
                self.understudy(place, node, launch, given).map_err(|e| e.to_string())
            };
            let index = match made {
                Ok(index) => index,
                Err(e) => return self.change_failed(e),
            };
            if let Some(Operation::Apply(change)) = &mut self.operation {
                change.understudies.push((place, index));
            }
            let started = self.launch(index).await;
            if let Err(e) = started {
                return self.change_failed(e.to_string());
            }
            let state = &mut self.nodes[index];
            if !state.dues.iter().any(|(_, due)| matches!(due, Due::Startup(_))) {
                state.set_due(Instant::now() + COME_UP, Due::Startup(COME_UP));
            }
        }
    }

    /// Makes what the new process of a node needs: the place's doorbell, a status page and arenas of its own.
    fn understudy(
        &mut self,
        place: usize,
        node: Node,
        launch: Option<Arc<Launch>>,
        given: NewPlace,
    ) -> Result<usize, DaemonError> {
        let index = self.new_place(node, given)?;
        let (doorbell, eventfd) = {
            let own = &self.wiring.nodes[place];
            (own.doorbell.clone(), own.eventfd.clone())
        };
        let wiring = &mut self.wiring.nodes[index];
        (wiring.doorbell, wiring.eventfd) = (doorbell, eventfd);
        let restarts = self.nodes[place].restarts + 1;
        let state = &mut self.nodes[index];
        state.role = Role::Understudy(place);
        state.launch = launch;
        state.late = true;
        state.restarts = restarts;
        Ok(index)
    }

    /// The understudy at `index` takes the place. Its edges to come are made and told later.
    pub(crate) fn take_over(&mut self, place: usize, index: usize) {
        let before = self.dataflow.nodes[place].clone();
        let after = self.dataflow.nodes[index].clone();
        let mut carried = Vec::new();
        for (old, input) in before.inputs.iter().enumerate() {
            let new = after.inputs.iter().position(|i| i.id == input.id);
            let same = new.is_some_and(|new| crate::change::same_queue(input, &after.inputs[new]));
            for id in self.wiring.nodes[place].inputs[old].edges.clone() {
                if !same {
                    self.reader_gone(id);
                }
                self.fold_if_over(id);
            }
            carried.extend(new.filter(|_| same).map(|new| (old, new)));
        }
        self.keep_page_rows(place);
        self.hand_chains_over(place, index);
        for task in
            [place, index].map(|node| self.nodes[node].listens_for_misses.take()).into_iter().flatten()
        {
            task.abort();
        }
        self.wiring.nodes.swap(place, index);
        for (old, new) in carried {
            let InputPlan { edges, next_number, rows, .. } =
                std::mem::take(&mut self.wiring.nodes[index].inputs[old]);
            for id in &edges {
                self.wiring.edges.get_mut(id).into_iter().for_each(|edge| edge.to = (place, new));
            }
            let plan = &mut self.wiring.nodes[place].inputs[new];
            (plan.edges, plan.next_number, plan.rows) = (edges, next_number, rows);
        }
        Arc::make_mut(&mut self.dataflow).nodes[place] = after;
        let former = std::mem::take(&mut self.nodes[place]);
        let mut state = std::mem::take(&mut self.nodes[index]);
        (state.role, state.usage) = (Role::Member, former.usage);
        if let Some(id) = state.id {
            self.processes.insert(id, place);
        }
        self.nodes[place] = state;
        // The number of its process is the place's now.
        self.leave_place(index);
        // Without it the table at the end still has its misses.
        self.listen_for_misses(place).ok();
    }

    /// The process that was to take the place of a node is gone.
    pub(crate) fn understudy_lost(&mut self, node: usize, of: usize) {
        let state = &mut self.nodes[node];
        state.phase = Phase::Ended;
        state.link = None;
        let why = state.error.clone().unwrap_or_else(|| "ended in good order".to_owned());
        let id = self.dataflow.nodes[node].id.clone();
        let text = if node == of {
            format!("node `{id}` {why}")
        } else {
            format!("node `{id}` was not replaced, its new process {why}")
        };
        self.change_failed(text);
    }

    /// Ends the process whose place another one takes.
    pub(crate) fn make_way(&mut self, place: usize, index: usize, grace: Option<Duration>) {
        let state = &mut self.nodes[place];
        state.dues.retain(|(_, due)| *due != Due::Restart);
        if !matches!(state.phase, Phase::Away | Phase::Ended) {
            state.after = After::Replace(index);
            state.grace = grace;
            self.stop_node(place);
        }
    }

    /// An understudy that has taken its place is told to go, or started anew when it has died meanwhile.
    pub(crate) fn begin_again(&mut self, place: usize) {
        if self.nodes[place].is_ended() {
            self.note_lifecycle(place, &Lifecycle::Comeback { delay: Duration::ZERO });
            self.nodes[place].part_with_process();
            self.to_start.push_back(place);
        } else if let Some(epoch_ns) = self.epoch_ns
            && self.nodes[place].phase == Phase::Ready
        {
            self.wipe_activity(place);
            self.start_node(place, epoch_ns);
        }
    }
}
