//! Making the running dataflow another one: all of it, or nothing.
//!
//! ```text
//!   difference ── programs, memory ──► understudies come up ──► those they replace end ──► everything is told ──► removed nodes end
//!        └── refused ──────────────────────┘ given up: nothing has changed
//! ```
//!
//! 1. What can fail is done before the first living node is told. A change that replaces no node is carried out in one
//!    step.
//! 2. A replaced node and its understudy share a place: doorbell and input edges go over with what waits in them, as
//!    in a restart. The old process ends before the new one is told to go, so nothing is read twice.
//! 3. An edge is attached at its reader first and at its sender then, and detached the other way round. Edges that the change
//!    does not touch are not touched.
//!
//! What is told is in `rewire`.

use std::{sync::Arc, time::Duration};

use dora_protocol::{
    NodeId,
    dataflow::{Dataflow, Node},
};

use crate::{
    chains::Bound,
    change::{self, Difference},
    control::Reply,
    environment, launch,
    log_lifecycle::Lifecycle,
    node_state::{After, NodeState, Phase, Role},
    requests::{Operation, answer},
    rewire::{NewPlace, Rollback},
    run::absolute,
    supervisor::Supervisor,
};

/// A change that is under way.
pub(crate) struct Change {
    stage: Stage,
    pub(crate) wanted: Dataflow,
    /// `old` are places.
    pub(crate) difference: Difference,
    /// Places and those of their understudies.
    pub(crate) understudies: Vec<(usize, usize)>,
    programs: Vec<(usize, Option<Arc<launch::Launch>>)>,
    chains: Bound,
    grace: Option<Duration>,
    /// Why it cannot be.
    pub(crate) failed: Option<String>,
    done: Vec<String>,
    reply: Reply<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The new processes of replaced nodes come up.
    ComingUp,
    /// The old ones end.
    Leaving,
    /// Everything is told; removed nodes end.
    Settling,
}

impl Supervisor {
    /// Begins a change, or refuses it.
    pub(crate) async fn begin_change(
        &mut self,
        wanted: Dataflow,
        replace: &[NodeId],
        grace: Option<Duration>,
        reply: Reply<Vec<String>>,
    ) {
        // Of the changes before: their senders have heard of them by now.
        self.members().collect::<Vec<_>>().into_iter().for_each(|node| self.fold_drained(node));
        let planned = self.plan_change(wanted, replace).and_then(|(difference, wanted, programs)| {
            let chains = self.bind_chains(&wanted, &difference).map_err(|e| e.to_string())?;
            Ok((difference, wanted, programs, chains))
        });
        let (difference, wanted, programs, chains) = match planned {
            Ok(plan) => plan,
            Err(e) => {
                for place in replace.iter().filter_map(|id| self.find(id).ok()) {
                    self.note_lifecycle(place, &Lifecycle::NotReplaced(e.clone()));
                }
                return answer(reply, Err(e));
            }
        };
        let change = Change {
            stage: Stage::ComingUp,
            wanted,
            difference,
            understudies: Vec::new(),
            programs,
            chains,
            grace,
            failed: None,
            done: Vec::new(),
            reply,
        };
        self.operation = Some(Operation::Apply(Box::new(change)));
        self.call_understudies().await;
    }

    /// The difference in places, and the programs of new processes.
    #[expect(clippy::type_complexity, reason = "the parts of a plan, taken apart at once")]
    fn plan_change(
        &mut self,
        mut wanted: Dataflow,
        replace: &[NodeId],
    ) -> Result<(Difference, Dataflow, Vec<(usize, Option<Arc<launch::Launch>>)>), String> {
        wanted.working_dir = absolute(&wanted.working_dir).map_err(|e| e.to_string())?;
        let mut difference = change::difference(&self.live, &wanted, replace)?;
        let place = |live: usize| self.find(&self.live.nodes[live].id);
        for removed in &mut difference.removed {
            *removed = place(*removed)?;
        }
        for (old, _) in difference.replaced.iter_mut().chain(&mut difference.kept) {
            *old = place(*old)?;
        }
        for (old, new) in &difference.kept {
            self.check_room(*old, &wanted.nodes[*new])?;
        }
        let host = environment::of_host();
        let (mut programs, mut errors) = (Vec::new(), Vec::new());
        let new = difference.added.iter().chain(difference.replaced.iter().map(|(_, new)| new));
        for index in new {
            let node = &wanted.nodes[*index];
            match launch::find(node, &wanted.working_dir, &host, &self.options, &self.display) {
                Ok(launch) => programs.push((*index, launch)),
                Err(e) => errors.push(e.to_string()),
            }
        }
        if errors.is_empty() { Ok((difference, wanted, programs)) } else { Err(errors.join("; ")) }
    }

    fn check_room(&self, place: usize, node: &Node) -> Result<(), String> {
        let known = &self.dataflow.nodes[place].inputs;
        for input in &node.inputs {
            let before = known.iter().find(|before| before.id == input.id);
            if before.is_some_and(|before| !change::same_input(before, input)) {
                return Err(format!(
                    "input `{}/{}` had other settings when it was last connected: replace node `{}`",
                    node.id, input.id, node.id
                ));
            }
        }
        let further = node.inputs.iter().filter(|input| known.iter().all(|k| k.id != input.id)).count();
        let room = self.wiring.nodes[place].view.room() as usize;
        if known.len() + further > room {
            return Err(format!(
                "node `{}` has {} inputs and room for {room}: restart it (`dora node restart {}`), then it has room for more",
                node.id,
                known.len(),
                node.id
            ));
        }
        Ok(())
    }

    pub(crate) fn change_failed(&mut self, why: String) {
        if let Some(Operation::Apply(change)) = &mut self.operation {
            change.failed.get_or_insert(why);
        }
    }

    /// The change, unless it has come to its end.
    pub(crate) async fn go_on_with_change(&mut self, mut change: Box<Change>) -> Option<Box<Change>> {
        if change.stage == Stage::ComingUp {
            if let Some(why) = change.failed.clone() {
                self.abandon(*change, &why);
                return None;
            }
            if !change.understudies.iter().all(|(_, index)| self.nodes[*index].phase == Phase::Ready) {
                return Some(change);
            }
            change.stage = Stage::Leaving;
            for (place, index) in change.understudies.clone() {
                self.make_way(place, index, change.grace);
            }
        }
        if change.stage == Stage::Leaving {
            let gone = |place: usize| matches!(self.nodes[place].phase, Phase::Away | Phase::Ended);
            if !change.understudies.iter().all(|(place, _)| gone(*place)) {
                return Some(change);
            }
            match self.carry_out_change(&mut change).await {
                Ok(done) => change.done = done,
                Err(e) => {
                    self.abandon(*change, &e);
                    return None;
                }
            }
            change.stage = Stage::Settling;
        }
        let left = |place: &usize| self.nodes[*place].role == Role::Vacant;
        if !change.difference.removed.iter().all(left) {
            return Some(change);
        }
        match change.failed.take() {
            None => answer(change.reply, Ok(change.done)),
            Some(why) => answer(change.reply, Err(format!("the dataflow was changed, but {why}"))),
        }
        None
    }

    async fn carry_out_change(&mut self, change: &mut Change) -> Result<Vec<String>, String> {
        let mut rollback = Rollback::of(self);
        let newcomers = self.bring_in(change, &mut rollback).await;
        let newcomers = match newcomers {
            Ok(newcomers) => newcomers,
            Err(e) if change.understudies.is_empty() => {
                rollback.undo(self);
                return Err(e);
            }
            // There is no way back: the old processes are gone.
            Err(e) => {
                change.failed = Some(e);
                change.difference.added.clear();
                rollback.undo(self);
                Vec::new()
            }
        };
        for (place, index) in change.understudies.clone() {
            self.take_over(place, index);
        }
        let places = change.places(&newcomers);
        let plan = self.retarget(change, &places);
        let made = match self.make_edges() {
            Ok(made) => made,
            Err(e) if change.understudies.is_empty() => {
                rollback.undo(self);
                return Err(e);
            }
            Err(e) => {
                change.failed = Some(e);
                Vec::new()
            }
        };
        for (_, place) in &newcomers {
            self.nodes[*place].role = Role::Member;
            self.note_lifecycle(*place, &Lifecycle::Added);
        }
        let sentences = self.sentences(change, &made);
        self.tell_changes(change, &plan, &made);
        for (place, _) in change.understudies.clone() {
            let former = self.nodes[place].former_error.take();
            self.note_lifecycle(place, &Lifecycle::Replaced(former));
            self.begin_again(place);
        }
        for place in change.difference.removed.clone() {
            self.remove(place, change.grace);
        }
        self.settle_chains(&change.chains, &change.difference.removed);
        self.live = change.wanted.clone();
        self.watch_anew();
        self.open_for_guests();
        Ok(sentences)
    }

    /// Makes the places of added nodes and starts their processes; they wait for their wiring.
    async fn bring_in(
        &mut self,
        change: &Change,
        rollback: &mut Rollback,
    ) -> Result<Vec<(usize, usize)>, String> {
        let mut newcomers = Vec::new();
        for new in &change.difference.added {
            let node = change.wanted.nodes[*new].clone();
            let place = self.new_place(node, change.new_place(*new)).map_err(|e| e.to_string())?;
            rollback.places.push(place);
            newcomers.push((*new, place));
            let state = &mut self.nodes[place];
            // Should it fail, nobody is to hear of it.
            state.role = Role::Understudy(place);
            state.launch = change.program(*new);
            state.late = true;
            self.launch(place).await.map_err(|e| e.to_string())?;
            let state = &self.nodes[place];
            if state.is_ended() {
                let why = state.error.clone().unwrap_or_default();
                return Err(format!("node `{}` {why}", self.dataflow.nodes[place].id));
            }
        }
        Ok(newcomers)
    }

    /// Ends a node and gives up its place.
    fn remove(&mut self, place: usize, grace: Option<Duration>) {
        let state = &mut self.nodes[place];
        state.after = After::Leave;
        state.grace = grace;
        self.params.remove(&self.dataflow.nodes[place].id);
        if self.nodes[place].is_ended() {
            self.note_lifecycle(place, &Lifecycle::Removed { unheard: true });
            self.vacate(place);
        } else {
            self.stop_node(place);
        }
    }

    /// Nothing comes of a change: what was made for it goes.
    pub(crate) fn abandon(&mut self, change: Change, why: &str) {
        for (place, _) in &change.difference.replaced {
            self.note_lifecycle(*place, &Lifecycle::NotReplaced(why.to_owned()));
        }
        for (place, index) in change.understudies {
            if self.nodes[index].role == Role::Understudy(place) {
                // Dropping the process ends it.
                self.leave_place(index);
            }
            if matches!(self.nodes[place].after, After::Replace(_)) {
                self.nodes[place].after = After::Policy;
            }
        }
        answer(change.reply, Err(why.to_owned()));
    }

    /// A place that is vacant, or a new one.
    pub(crate) fn vacant_place(&mut self, node: Node) -> usize {
        let vacant = self.nodes.iter().position(|state| state.role == Role::Vacant && state.id.is_none());
        let flow = Arc::make_mut(&mut self.dataflow);
        match vacant.filter(|index| *index < flow.nodes.len()) {
            Some(index) => {
                flow.nodes[index] = node;
                index
            }
            None => {
                flow.nodes.push(node);
                self.nodes.push(NodeState { role: Role::Vacant, ..NodeState::default() });
                flow.nodes.len() - 1
            }
        }
    }
}

impl Change {
    /// The program of a new process.
    pub(crate) fn program(&self, new: usize) -> Option<Arc<launch::Launch>> {
        self.programs.iter().find(|(index, _)| *index == new).and_then(|(_, launch)| launch.clone())
    }

    /// Places by index in the wanted dataflow.
    fn places(&self, newcomers: &[(usize, usize)]) -> Vec<Option<usize>> {
        let mut places = vec![None; self.wanted.nodes.len()];
        for (new, place) in newcomers {
            places[*new] = Some(*place);
        }
        for (place, new) in self.difference.kept.iter().chain(&self.difference.replaced) {
            places[*new] = Some(*place);
        }
        places
    }

    /// What the process of an added or replaced node is given.
    pub(crate) fn new_place(&self, new: usize) -> NewPlace {
        let outputs = self.wanted.nodes[new].outputs.len();
        NewPlace {
            shares: self.shares(new),
            chains: self.chains.ends(new),
            origins: self.chains.begins(new, outputs),
        }
    }

    /// For each output, the slots that its readers in the wanted dataflow can keep.
    fn shares(&self, new: usize) -> Vec<u32> {
        let of = |output: usize| {
            let here = dora_protocol::dataflow::Source::Output { node: new as u32, output: output as u32 };
            let inputs = self.wanted.nodes.iter().flat_map(|node| &node.inputs);
            inputs.filter(|input| input.sources().any(|s| *s == here)).map(crate::connect::share).sum()
        };
        (0..self.wanted.nodes[new].outputs.len()).map(of).collect()
    }
}
