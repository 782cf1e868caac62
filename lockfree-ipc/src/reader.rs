//! A reader of an output on its way to the sender, and how another thread keeps the sender from waiting for one.
//!
//! The thread that sends neither maps nor unmaps: another one makes a [`Reader`], [`Publisher::attach`](crate::Publisher::attach)
//! swaps it in, and what [`Publisher::detach`](crate::Publisher::detach) gives out is dropped elsewhere. Edges are listed with the
//! [`Interrupter`] from the making of their reader until they are [forgotten](Interrupter::forget), so that the sender need not lock
//! that list.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    Doorbell, OpenError,
    edge::{Edge, SpaceBell},
    outlet::Out,
    segment::Access,
};

/// Makes a blocked [`Publisher::send`] return, from another thread.
#[derive(Clone, Debug, Default)]
pub struct Interrupter {
    all: Arc<AtomicBool>,
    edges: Arc<Mutex<Vec<Waited>>>,
}

/// An edge that a send may wait for.
#[derive(Clone, Debug)]
struct Waited {
    number: u32,
    bell: SpaceBell,
    gone: Arc<AtomicBool>,
}

impl Interrupter {
    /// A send that is blocked now, or would block later, gives up until [`clear`](Self::clear).
    pub fn interrupt(&self) {
        self.all.store(true, Ordering::SeqCst);
        for edge in self.edges.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            edge.bell.ring();
        }
    }

    /// The reader of this edge is gone: no send waits for it any more. Waits for other readers go on.
    pub fn reader_gone(&self, number: u32) {
        for edge in self.edges.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if edge.number == number {
                edge.gone.store(true, Ordering::SeqCst);
                edge.bell.ring();
            }
        }
    }

    /// No send waits for this edge any more, because there is none: it is forgotten.
    pub fn forget(&self, number: u32) {
        self.reader_gone(number);
        self.edges.lock().unwrap_or_else(PoisonError::into_inner).retain(|e| e.number != number);
    }

    /// Sends may block again.
    pub fn clear(&self) {
        self.all.store(false, Ordering::SeqCst);
    }

    /// Is it in force?
    #[inline]
    pub fn is_set(&self) -> bool {
        self.all.load(Ordering::SeqCst)
    }
}

/// One reader of an output, mapped and not yet, or no longer, with its [`Publisher`].
#[derive(Debug)]
pub struct Reader {
    pub(crate) out: Out,
}

impl Reader {
    /// Maps the edge of a reader. `interrupter` is that of the publisher that it is meant for.
    ///
    /// # Errors
    /// [`OpenError`] when the segment is no edge.
    pub fn open(
        number: u32,
        edge: OwnedFd,
        bell: Doorbell,
        interrupter: &Interrupter,
    ) -> Result<Self, OpenError> {
        let edge = Edge::open(edge.as_fd(), Access::Write)?;
        let gone = Arc::new(AtomicBool::new(false));
        interrupter.edges.lock().unwrap_or_else(PoisonError::into_inner).push(Waited {
            number,
            bell: edge.space.clone(),
            gone: gone.clone(),
        });
        Ok(Self { out: Out::new(number, edge, bell, gone) })
    }

    /// Its number.
    pub fn number(&self) -> u32 {
        self.out.number
    }
}
