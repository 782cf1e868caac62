//! Dynamic nodes in a running dataflow: processes that somebody else started, which take a place and leave it again.
//!
//! While nobody is there the place has no edges: senders do not wait for it, and nothing is kept for it. Whoever
//! leaves in good order closes its outputs, and they open again with the next one; who is killed frees its place
//! and nothing is closed.

use dora_protocol::{dataflow::NodeKind, log::LogLevel};
use tokio::sync::oneshot;

pub(crate) use crate::listener::{Guest, Places};

use crate::{
    listener::Listener,
    node_link::NodeLink,
    node_state::{Phase, Process},
    supervisor::Supervisor,
};

impl Supervisor {
    fn is_dynamic(&self, node: usize) -> bool {
        self.dataflow.nodes[node].kind == NodeKind::Dynamic
    }

    /// Opens the socket for dynamic nodes when there are any; says so when that fails, and does without them.
    pub(crate) fn open_for_guests(&mut self) {
        let dynamic: Vec<_> = self.members().filter(|node| self.is_dynamic(*node)).collect();
        let names: Vec<_> = dynamic.iter().map(|node| self.dataflow.nodes[*node].id.clone()).collect();
        if let Some(places) = &self.guests {
            return places.set(names);
        }
        if dynamic.is_empty() {
            return;
        }
        let listener = match &self.options.listener {
            Some(listener) => Ok(listener.clone()),
            None => Listener::bind_default(),
        };
        match listener {
            Ok(listener) => {
                let door = self.facts.clone();
                self.guests = Some(listener.register(self.id, &self.dataflow.name, names, door));
            }
            Err(e) => {
                for node in dynamic {
                    let id = self.dataflow.nodes[node].id.clone();
                    let text = format!(
                        "node `{id}` is `path: dynamic` and cannot join, so its outputs are closed: {e}"
                    );
                    self.display.system(LogLevel::Warn, Some(&id), text.clone());
                    self.warnings.push(text);
                    self.ended_for_good(node);
                }
            }
        }
    }

    /// Lets somebody in, or says which places are free.
    pub(crate) fn knocked(&mut self, guest: Guest) {
        let place = self.members().find(|node| self.dataflow.nodes[*node].id == guest.node);
        let is_free = |node: &usize| self.is_dynamic(*node) && self.nodes[*node].phase == Phase::Away;
        match place.filter(is_free) {
            _ if self.stopping => guest.refuse("the dataflow is being stopped".into()),
            Some(node) => self.attach(node, guest),
            None => {
                let free: Vec<_> = self.members().filter(is_free).collect();
                let free: Vec<_> = free.iter().map(|n| format!("`{}`", self.dataflow.nodes[*n].id)).collect();
                let free = if free.is_empty() { "none".to_owned() } else { free.join(", ") };
                let text = format!(
                    "the place of the dynamic node `{}` in `{}` is taken; free: {free}",
                    guest.node, self.dataflow.name
                );
                guest.refuse(text);
            }
        }
    }

    fn attach(&mut self, node: usize, guest: Guest) {
        let id = self.enlist(node);
        let (finish, finished) = oneshot::channel();
        while self.tasks.try_join_next().is_some() {}
        let process = Process {
            id: Some(id),
            phase: Phase::Silent,
            pid: guest.pid,
            guest: Some(finish),
            printed_all: true,
            ..Process::default()
        };
        let was_lost = std::mem::take(&mut self.nodes[node].lost);
        self.nodes[node].process = process;
        let opened = self.open_again(node, was_lost).map_err(|e| e.to_string()).and_then(|()| {
            let link = guest.connection().and_then(|socket| {
                NodeLink::start(socket, id, self.facts.clone(), finished, &mut self.tasks)
            });
            link.map_err(|e| e.to_string())
        });
        match opened {
            Ok(link) => {
                guest.let_in();
                self.nodes[node].link = Some(link);
                // Calls for attention belong to the place; without them the table at the end still has its misses.
                self.listen_for_misses(node).ok();
            }
            Err(e) => {
                self.leave(node);
                guest.refuse(format!("there is no room for it: {e}"));
            }
        }
    }

    /// Ends the connection of a dynamic node; nothing for others, whose process we can end.
    pub(crate) fn show_out(&mut self, node: usize) {
        if let Some(finish) = self.nodes[node].guest.take() {
            // It keeps the mark of a guest until its connection has ended.
            let (mark, _) = oneshot::channel();
            finish.send(()).ok();
            self.nodes[node].guest = Some(mark);
        }
    }

    /// The connection of a dynamic node has ended: the place is free.
    pub(crate) fn detached(&mut self, node: usize) {
        let id = self.dataflow.nodes[node].id.clone();
        let state = &self.nodes[node];
        let in_good_order = state.phase == Phase::Done || !state.connected;
        if !in_good_order && !self.stopping {
            let text = format!(
                "the process that took the place of the dynamic node `{id}` is gone; the place is free"
            );
            self.display.system(LogLevel::Warn, Some(&id), text);
        }
        if in_good_order && state.connected {
            self.close_all_outputs(node);
        }
        self.nodes[node].lost = !in_good_order;
        self.leave(node);
    }

    fn leave(&mut self, node: usize) {
        self.disarm(node);
        if let Some(id) = self.nodes[node].id {
            self.processes.remove(&id);
        }
        self.forget_left_edges(node);
        for id in self.wiring.edges_to(node) {
            self.reader_gone(id);
        }
        let stays = !self.stopping && self.nodes[node].after == crate::node_state::After::Policy;
        for id in self.wiring.edges_from(node, None) {
            self.end_edge(id);
        }
        if stays {
            self.drop_extensions(node);
            self.nodes[node].part_with_process();
        } else {
            self.ended_for_good(node);
        }
    }
}
