//! Changes of the wiring while the node runs: what the control thread hands to inbox and outbox, and what they hand back.
//!
//! ```text
//! daemon ──frame + descriptors──► dora-control: open, map, allocate ──Mail───► Inbox:  swap in
//!                                        ▲                          └─Change─► Outbox: swap in
//!                                        └───────────Trash: unmap, free ◄─────────────┘
//! ```
//!
//! 1. Nothing that inbox or outbox do with these allocates, unmaps or makes a system call, but for the one that tells this thread
//!    that there is waste.
//! 2. They never wait for a lock of this thread's; they come back with the next event or message instead.
//! 3. Wiring that cannot be opened changes nothing here, and the daemon is told which edge it was and why.

use std::{
    os::fd::OwnedFd,
    sync::{
        Mutex, TryLockError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use dora_protocol::node_link::{InputEdge, InputWiring, OutputEdge, ToDaemon, ToNode};
use lockfree_ipc::Reader;

use super::{Shared, lock};
use crate::{
    error::NodeResult,
    inbox::{Feed, Lane},
    link::Table,
};

/// What the inbox finds.
#[expect(clippy::large_enum_variant, reason = "a box would have to be freed by the thread that receives")]
pub(crate) enum Mail {
    /// A word of the daemon.
    Word(ToNode),
    /// A further edge to an input.
    Edge { input: u32, lane: Lane },
    /// A further input.
    Input(AddedInput),
}

/// An input that was added while the node ran.
pub(crate) struct AddedInput {
    pub(crate) wiring: InputWiring,
    pub(crate) feed: Feed,
}

/// What the outbox finds.
#[expect(clippy::large_enum_variant, reason = "a box would have to be freed by the thread that sends")]
pub(crate) enum Change {
    /// A further reader.
    Added { output: u32, reader: Reader },
    /// A reader that was disconnected, and lives.
    Left { output: u32, edge: u32 },
    /// The process of a reader was replaced when it had read as far as `head`.
    Restarted { output: u32, edge: u32, head: u64 },
    /// A reader that is dead.
    Gone { output: u32, edge: u32 },
}

/// What inbox and outbox are done with: dropped by the control thread.
#[expect(clippy::large_enum_variant, reason = "as `Mail`")]
pub(crate) enum Trash {
    Lane(#[expect(dead_code, reason = "is dropped")] Lane),
    Reader(#[expect(dead_code, reason = "is dropped")] Reader),
}

/// Things for which a pile has room without an allocation.
const ROOM: usize = 32;

/// Things from one thread to another; the other looks at one flag when there is none.
pub(super) struct Pile<T> {
    things: Mutex<Vec<T>>,
    there: AtomicBool,
}

impl<T> Pile<T> {
    pub(super) fn new() -> Self {
        Self { things: Mutex::new(Vec::with_capacity(ROOM)), there: AtomicBool::new(false) }
    }

    /// Adds one. Waits for whoever is just taking.
    pub(super) fn add(&self, thing: T) {
        let mut things = lock(&self.things);
        things.push(thing);
        self.there.store(true, Relaxed);
    }

    /// Keeps those that `keep` says.
    fn retain(&self, keep: impl FnMut(&T) -> bool) {
        lock(&self.things).retain(keep);
    }

    /// Adds all, or none when somebody is just taking.
    fn try_add_all(&self, more: &mut Vec<T>) {
        if let Ok(mut things) = self.things.try_lock() {
            things.append(more);
            self.there.store(true, Relaxed);
        }
    }

    #[inline]
    pub(super) fn is_there(&self) -> bool {
        self.there.load(Relaxed)
    }

    /// Exchanges what is there for the room of `to`, which is empty. Does nothing when somebody is just adding.
    pub(super) fn try_swap(&self, to: &mut Vec<T>) {
        let mut things = match self.things.try_lock() {
            Ok(things) => things,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        self.there.store(false, Relaxed);
        std::mem::swap(&mut *things, to);
    }

    /// Drops what is there.
    pub(super) fn empty(&self) {
        let mut things = lock(&self.things);
        self.there.store(false, Relaxed);
        // Taken out first: to drop them may take long, and who adds does not wait.
        let room = Vec::with_capacity(ROOM);
        let taken = std::mem::replace(&mut *things, room);
        drop(things);
        drop(taken);
    }
}

impl Change {
    /// Output and edge.
    fn place(&self) -> (u32, u32) {
        match self {
            Change::Added { output, reader } => (*output, reader.number()),
            Change::Left { output, edge }
            | Change::Restarted { output, edge, .. }
            | Change::Gone { output, edge } => (*output, *edge),
        }
    }
}

impl Shared {
    /// Exchanges the changes of readers for the room of `to`, which is empty. One relaxed load when there are none; never waits.
    #[inline]
    pub(crate) fn collect_changes(&self, to: &mut Vec<Change>) {
        if self.changes.is_there() {
            self.changes.try_swap(to);
        }
    }

    /// Gives the control thread what is done with. What it cannot take now stays.
    pub(crate) fn discard(&self, trash: &mut Vec<Trash>) {
        if trash.is_empty() {
            return;
        }
        self.trash.try_add_all(trash);
        // Fails only when the counter is full: then the thread is awake already.
        rustix::io::write(&self.waste, &1u64.to_ne_bytes()).ok();
    }

    /// Carries out a frame that changes the wiring. `descriptors` rode on it.
    pub(super) fn rewire(&self, message: ToNode, descriptors: Vec<OwnedFd>) {
        let table = Table::new(descriptors, &self.place.node);
        match message {
            ToNode::EdgeAdded { input, edge } => self.edge_added(&table, input, &edge),
            ToNode::InputAdded { input } => self.input_added(&table, input),
            ToNode::ReaderAdded { output, edge } => self.reader_added(&table, output, &edge),
            ToNode::ReaderLeft { output, edge } => self.changes.add(Change::Left { output, edge }),
            ToNode::ReaderRestarted { output, edge, head } => {
                self.changes.add(Change::Restarted { output, edge, head });
            }
            ToNode::ReaderGone { output, edge } => {
                // A node that does not send for long shall not collect readers that came and went meanwhile.
                self.changes.retain(|change| change.place() != (output, edge));
                self.changes.add(Change::Gone { output, edge });
                // A send that waits for this reader goes on at once.
                if let Some(interrupter) = self.interrupters.get(output as usize) {
                    interrupter.forget(edge);
                }
            }
            // `dispatch` sends no others here.
            _ => {}
        }
    }

    fn edge_added(&self, table: &Table<'_>, input: u32, edge: &InputEdge) {
        match table.lane(&format!("input number {input}"), edge) {
            Ok(lane) => self.post(Mail::Edge { input, lane }),
            Err(error) => self.cannot(Some((input, edge.number)), None, &error.to_string()),
        }
    }

    fn input_added(&self, table: &Table<'_>, wiring: InputWiring) {
        let index = self.inputs.load(Relaxed);
        let opened = if self.place.status.prepare_input(index) {
            table.feed(&wiring)
        } else {
            let room = self.place.status.room();
            Err(table.wrong(
                &format!("input `{}`", wiring.id),
                &format!("its status page has room for {room} inputs; restart the node to get more"),
            ))
        };
        match opened {
            Ok(feed) => {
                self.inputs.store(index + 1, Relaxed);
                self.post(Mail::Input(AddedInput { wiring, feed }));
            }
            Err(error) => self.cannot(Some((index, 0)), None, &error.to_string()),
        }
    }

    fn reader_added(&self, table: &Table<'_>, output: u32, edge: &OutputEdge) {
        let opened: NodeResult<Reader> = match self.interrupters.get(output as usize) {
            Some(interrupter) => table.reader(&format!("output number {output}"), edge, interrupter),
            None => Err(table.wrong(&format!("output number {output}"), "the node has no such output")),
        };
        match opened {
            Ok(reader) => self.changes.add(Change::Added { output, reader }),
            Err(error) => self.cannot(None, Some((output, edge.number)), &error.to_string()),
        }
    }

    fn cannot(&self, input: Option<(u32, u32)>, output: Option<(u32, u32)>, why: &str) {
        // Failing means that the daemon is gone; the thread finds out when it listens again.
        self.tell(&ToDaemon::EdgeBroken { input, output, reason: why.to_owned() }).ok();
    }
}
