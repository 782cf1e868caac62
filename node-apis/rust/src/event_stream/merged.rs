//! Other streams beside the events of the dataflow.

use futures::{Stream, StreamExt, stream};

use crate::{Event, EventStream};

/// An item of a merged stream.
#[derive(Debug)]
pub enum MergedEvent<E> {
    /// Something happened in the dataflow.
    Dora(Event),
    /// Something came from the other stream.
    External(E),
}

/// One of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    /// From the first.
    First(A),
    /// From the second.
    Second(B),
}

impl<A> Either<A, A> {
    /// What is in it, from wherever.
    pub fn flatten(self) -> A {
        match self {
            Either::First(a) | Either::Second(a) => a,
        }
    }
}

/// Merges another stream into the events. Merge again for a third: its items arrive as [`Either::Second`].
///
/// The merged stream ends when all of its parts have ended. Both sides get their turn alternately.
pub trait MergeExternal<'a, E> {
    /// Item of the merged stream.
    type Item;

    /// Merges the stream into this one.
    fn merge_external(
        self,
        external_events: impl Stream<Item = E> + Unpin + 'a,
    ) -> Box<dyn Stream<Item = Self::Item> + Unpin + 'a>;
}

/// As [`MergeExternal`], for streams that go to another thread.
pub trait MergeExternalSend<'a, E> {
    /// Item of the merged stream.
    type Item;

    /// Merges the stream into this one.
    fn merge_external_send(
        self,
        external_events: impl Stream<Item = E> + Unpin + Send + Sync + 'a,
    ) -> Box<dyn Stream<Item = Self::Item> + Unpin + Send + Sync + 'a>;
}

impl<'a, E: 'static> MergeExternal<'a, E> for EventStream {
    type Item = MergedEvent<E>;

    fn merge_external(
        self,
        external_events: impl Stream<Item = E> + Unpin + 'a,
    ) -> Box<dyn Stream<Item = Self::Item> + Unpin + 'a> {
        Box::new(stream::select(self.map(MergedEvent::Dora), external_events.map(MergedEvent::External)))
    }
}

impl<'a, E: 'static> MergeExternalSend<'a, E> for EventStream {
    type Item = MergedEvent<E>;

    fn merge_external_send(
        self,
        external_events: impl Stream<Item = E> + Unpin + Send + Sync + 'a,
    ) -> Box<dyn Stream<Item = Self::Item> + Unpin + Send + Sync + 'a> {
        Box::new(stream::select(self.map(MergedEvent::Dora), external_events.map(MergedEvent::External)))
    }
}

fn as_first<E, F>(item: MergedEvent<E>) -> MergedEvent<Either<E, F>> {
    match item {
        MergedEvent::Dora(event) => MergedEvent::Dora(event),
        MergedEvent::External(item) => MergedEvent::External(Either::First(item)),
    }
}

fn as_second<E, F>(item: F) -> MergedEvent<Either<E, F>> {
    MergedEvent::External(Either::Second(item))
}

impl<'a, E: 'a, F: 'a, S> MergeExternal<'a, F> for S
where
    S: Stream<Item = MergedEvent<E>> + Unpin + 'a,
{
    type Item = MergedEvent<Either<E, F>>;

    fn merge_external(
        self,
        external_events: impl Stream<Item = F> + Unpin + 'a,
    ) -> Box<dyn Stream<Item = Self::Item> + Unpin + 'a> {
        Box::new(stream::select(self.map(as_first), external_events.map(as_second)))
    }
}

impl<'a, E: 'a, F: 'a, S> MergeExternalSend<'a, F> for S
where
    S: Stream<Item = MergedEvent<E>> + Unpin + Send + Sync + 'a,
{
    type Item = MergedEvent<Either<E, F>>;

    fn merge_external_send(
        self,
        external_events: impl Stream<Item = F> + Unpin + Send + Sync + 'a,
    ) -> Box<dyn Stream<Item = Self::Item> + Unpin + Send + Sync + 'a> {
        Box::new(stream::select(self.map(as_first), external_events.map(as_second)))
    }
}
