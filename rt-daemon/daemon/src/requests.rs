//! What is asked of a running dataflow.
//!
//! Stopping, parameters, reloading and looking happen at once. What takes its time (restarting and stopping a node, another
//! wiring) is an [`Operation`]; there is one at a time, the others wait in order. When the dataflow is stopped, all of
//! them are answered with that.

use dora_protocol::{NodeId, node_link::ToNode};

use crate::{
    apply::Change,
    control::{Control, Reply},
    node_state::{After, Phase, ProcessId},
    supervisor::Supervisor,
};

/// A request that takes its time.
pub(crate) enum Operation {
    /// A node is started again.
    Restart {
        node: usize,
        /// The process that the node had when it was asked for.
        old: Option<ProcessId>,
        /// The one after it.
        new: Option<ProcessId>,
        reply: Reply<()>,
    },
    /// A node is stopped for good.
    Stop { node: usize, reply: Reply<bool> },
    /// The dataflow becomes another one.
    Apply(Box<Change>),
}

impl Supervisor {
    /// Takes one request.
    pub(crate) fn request(&mut self, request: Control) {
        match request {
            Control::Stop { grace } => {
                self.options.grace = grace.unwrap_or(self.options.grace);
                self.stop_all("asked to stop");
            }
            Control::Kill => self.kill_all(),
            Control::SetParam { node, key, value, reply } => {
                let done = self.find(&node).map(|index| {
                    self.params.entry(node).or_default().insert(key.clone(), value.clone());
                    self.tell_running(index, ToNode::ParamUpdate { key, value });
                });
                answer(reply, done);
            }
            Control::DeleteParam { node, key, reply } => {
                let done = self.find(&node).and_then(|index| {
                    let known = self.params.get_mut(&node).and_then(|params| params.remove(&key));
                    known.ok_or_else(|| format!("node `{node}` has no parameter `{key}`"))?;
                    self.tell_running(index, ToNode::ParamDeleted { key });
                    Ok(())
                });
                answer(reply, done);
            }
            Control::Reload { node, operator, reply } => {
                let done = self.find(&node).and_then(|index| {
                    if !matches!(self.nodes[index].phase, Phase::Running | Phase::Done) {
                        return Err(format!(
                            "node `{node}` is not running, so nothing can be reloaded there"
                        ));
                    }
                    self.tell(index, ToNode::Reload { operator_id: operator });
                    Ok(())
                });
                answer(reply, done);
            }
            // Whoever went away wants to know no more.
            Control::Snapshot { reply } => drop(reply.send(self.snapshot())),
            operation if self.stopping => refuse(operation, "the dataflow is being stopped"),
            operation => self.waiting.push_back(operation),
        }
    }

    /// A node that is not running yet is told all parameters when it starts.
    fn tell_running(&mut self, node: usize, frame: ToNode) {
        if matches!(self.nodes[node].phase, Phase::Running | Phase::Done) {
            self.tell(node, frame);
        }
    }

    /// The place of a node.
    pub(crate) fn find(&self, id: &NodeId) -> Result<usize, String> {
        let found = self.members().find(|node| self.dataflow.nodes[*node].id == *id);
        found.ok_or_else(|| {
            let known: Vec<_> = self.members().map(|n| self.dataflow.nodes[n].id.as_str()).collect();
            format!("there is no node `{id}` in this dataflow; it has {}", known.join(", "))
        })
    }

    /// Looks whether the present operation has come to its end, and begins the next one. True when something was done.
    pub(crate) async fn go_on_with_requests(&mut self) -> bool {
        match self.operation.take() {
            Some(operation) => match self.go_on(operation).await {
                Some(operation) => {
                    self.operation = Some(operation);
                    false
                }
                None => true,
            },
            None => match self.waiting.pop_front() {
                Some(request) => {
                    self.begin(request).await;
                    true
                }
                None => false,
            },
        }
    }

    async fn begin(&mut self, request: Control) {
        match request {
            Control::RestartNode { node, grace, reply } => match self.find(&node) {
                Ok(index) => self.begin_restart(index, grace, reply),
                Err(e) => answer(reply, Err(e)),
            },
            Control::StopNode { node, grace, reply } => match self.find(&node) {
                Ok(index) if self.nodes[index].is_ended() => answer(reply, Ok(true)),
                Ok(index) => {
                    self.nodes[index].after = After::Stay;
                    self.nodes[index].grace = grace;
                    self.operation = Some(Operation::Stop { node: index, reply });
                    self.stop_node(index);
                }
                Err(e) => answer(reply, Err(e)),
            },
            Control::Apply { dataflow, replace, grace, reply } => {
                self.begin_change(*dataflow, &replace, grace, reply).await;
            }
            // The others were carried out when they came.
            _ => {}
        }
    }

    fn begin_restart(&mut self, node: usize, grace: Option<std::time::Duration>, reply: Reply<()>) {
        let id = &self.dataflow.nodes[node].id;
        if self.nodes[node].launch.is_none() {
            let text = format!("node `{id}` is `path: dynamic`: whoever started it has to start it again");
            return answer(reply, Err(text));
        }
        let state = &mut self.nodes[node];
        let old = state.id;
        match state.phase {
            Phase::Ended => {
                state.part_with_process();
                self.to_start.push_back(node);
            }
            Phase::Away => {
                state.dues.clear();
                self.to_start.push_back(node);
            }
            _ => {
                state.after = After::Again;
                state.grace = grace;
                self.stop_node(node);
            }
        }
        self.operation = Some(Operation::Restart { node, old, new: None, reply });
    }

    /// A new process was started, as far as that went.
    pub(crate) fn note_launch(&mut self, at: usize) {
        let id = self.nodes[at].id;
        if let Some(Operation::Restart { node, new, .. }) = &mut self.operation
            && *node == at
        {
            *new = new.or(id);
        }
    }

    /// The operation, unless it has come to its end.
    async fn go_on(&mut self, operation: Operation) -> Option<Operation> {
        match operation {
            Operation::Stop { node, reply } => {
                if !self.nodes[node].is_ended() {
                    return Some(Operation::Stop { node, reply });
                }
                answer(reply, Ok(self.ended_cleanly(node)));
                None
            }
            Operation::Restart { node, old, new, reply } => {
                let state = &self.nodes[node];
                let failed = |what: &str| {
                    let id = &self.dataflow.nodes[node].id;
                    Err(format!("the new process of node `{id}` {what}"))
                };
                if state.is_ended() {
                    answer(reply, failed(state.error.as_deref().unwrap_or("has ended already")));
                } else if new.is_some() && state.id != new {
                    answer(reply, failed("did not come up; its restart policy goes on"));
                } else if new.is_some() && state.id != old && state.phase >= Phase::Ready {
                    answer(reply, Ok(()));
                } else {
                    return Some(Operation::Restart { node, old, new, reply });
                }
                None
            }
            Operation::Apply(change) => self.go_on_with_change(change).await.map(Operation::Apply),
        }
    }

    /// Answers everything that waits, and takes back what was begun.
    pub(crate) fn refuse_requests(&mut self, why: &str) {
        for request in std::mem::take(&mut self.waiting) {
            refuse(request, why);
        }
        match self.operation.take() {
            Some(Operation::Restart { reply, .. }) => answer(reply, Err(why.to_owned())),
            // It is what the whole dataflow is told now.
            Some(Operation::Stop { node, reply }) => {
                let ended = self.nodes[node].is_ended();
                answer(reply, if ended { Ok(self.ended_cleanly(node)) } else { Err(why.to_owned()) });
            }
            Some(Operation::Apply(change)) => self.abandon(*change, why),
            None => {}
        }
    }
}

/// Answers, if anybody still waits for it.
pub(crate) fn answer<T>(reply: Reply<T>, result: Result<T, String>) {
    drop(reply.send(result));
}

fn refuse(request: Control, why: &str) {
    let why = why.to_owned();
    match request {
        Control::RestartNode { reply, .. } => answer(reply, Err(why)),
        Control::StopNode { reply, .. } => answer(reply, Err(why)),
        Control::Apply { reply, .. } => answer(reply, Err(why)),
        _ => {}
    }
}
