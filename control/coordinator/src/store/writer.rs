//! The store is written by a thread of its own, behind the state: nobody waits for the disk.
//!
//! What piles up while the disk is busy goes into one transaction, the newest state of each dataflow. A failed write is a warning; the next write of
//! the same dataflow carries the whole state again.

use std::{
    collections::BTreeMap,
    io,
    sync::mpsc::{Receiver, Sender, channel},
    thread::JoinHandle,
};

use dora_protocol::DataflowId;
use tracing::warn;

use super::{Store, Write};

/// Told what became of a deletion: the ids with the error of each, in the order asked.
pub(crate) type Deleted = Box<dyn FnOnce(Vec<(DataflowId, Result<(), String>)>) + Send>;

enum Job {
    Write(Write),
    Delete(Vec<DataflowId>, Deleted),
}

/// The thread and the queue before it.
#[derive(Debug)]
pub(crate) struct Writer {
    jobs: Sender<Job>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// # Errors
    /// When no thread can be had.
    pub(crate) fn start(store: Box<dyn Store>) -> io::Result<Self> {
        let (jobs, queue) = channel();
        let thread =
            std::thread::Builder::new().name("dora-store".into()).spawn(move || work(store, &queue))?;
        Ok(Self { jobs, thread })
    }

    /// Soon. Never waits.
    pub(crate) fn write(&self, change: Write) {
        if self.jobs.send(Job::Write(change)).is_err() {
            warn!("the store thread is gone: a change is not stored");
        }
    }

    /// After everything that was asked before; then `done` is called, from the thread of the store.
    pub(crate) fn delete(&self, ids: Vec<DataflowId>, done: Deleted) {
        if let Err(error) = self.jobs.send(Job::Delete(ids, done))
            && let Job::Delete(ids, done) = error.0
        {
            done(ids.into_iter().map(|id| (id, Err("the store thread is gone".to_owned()))).collect());
        }
    }

    /// Writes what is left. Waits for the disk.
    pub(crate) fn finish(self) {
        drop(self.jobs);
        if self.thread.join().is_err() {
            warn!("the store thread panicked");
        }
    }
}

fn work(mut store: Box<dyn Store>, queue: &Receiver<Job>) {
    while let Ok(first) = queue.recv() {
        let mut flows = BTreeMap::new();
        let mut parameters = BTreeMap::new();
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Write(change @ Write::Flow(id, _)) => drop(flows.insert(id, change)),
                Job::Write(change @ Write::Parameters(id, _)) => drop(parameters.insert(id, change)),
                Job::Delete(ids, done) => {
                    flush(store.as_mut(), &mut flows, &mut parameters);
                    let one = |id: DataflowId| (id, store.delete(id).map_err(|error| error.to_string()));
                    done(ids.into_iter().map(one).collect());
                }
            }
            next = queue.try_recv().ok();
        }
        flush(store.as_mut(), &mut flows, &mut parameters);
    }
}

type Changes = BTreeMap<DataflowId, Write>;

fn flush(store: &mut dyn Store, flows: &mut Changes, parameters: &mut Changes) {
    let all: Vec<Write> =
        std::mem::take(flows).into_values().chain(std::mem::take(parameters).into_values()).collect();
    if all.is_empty() {
        return;
    }
    let Err(error) = store.write(&all) else { return };
    warn!("{error}");
    // One record that cannot be written must not keep the others out.
    for change in all.iter().filter(|_| all.len() > 1) {
        if let Err(error) = store.write(std::slice::from_ref(change)) {
            warn!("{error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use dora_protocol::{control::DataflowStatus, daemon_link::DataflowRecord};

    use super::*;
    use crate::{
        error::StoreError,
        store::{Contents, StoredFlow},
    };

    /// Refuses dataflow 1, notes the rest.
    struct Picky(Arc<Mutex<Vec<Write>>>);

    impl Store for Picky {
        fn load(&mut self) -> Result<Contents, StoreError> {
            Ok(Vec::new())
        }

        fn write(&mut self, changes: &[Write]) -> Result<(), StoreError> {
            if changes.iter().any(|change| matches!(change, Write::Flow(id, _) if id.as_u128() == 1)) {
                return Err(StoreError::Write { path: "x".into(), why: "no room".into() });
            }
            self.0.lock().unwrap().extend_from_slice(changes);
            Ok(())
        }

        fn delete(&mut self, id: DataflowId) -> Result<(), StoreError> {
            match id.as_u128() {
                1 => Err(StoreError::Write { path: "x".into(), why: "no room".into() }),
                _ => Ok(()),
            }
        }
    }

    fn flow(id: u128) -> Write {
        let flow = StoredFlow {
            record: DataflowRecord::default(),
            nodes: Vec::new(),
            status: DataflowStatus::Pending,
            spawned: false,
            daemon: None,
            result: None,
            updated_ms: 0,
        };
        Write::Flow(DataflowId::from_u128(id), flow.into())
    }

    #[test]
    fn a_record_that_cannot_be_written_keeps_no_other_out_and_deletions_tell_of_each() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let writer = Writer::start(Box::new(Picky(written.clone()))).unwrap();
        for id in [1, 2, 3] {
            writer.write(flow(id));
        }
        let (tell, told) = channel();
        let ids = [1, 2].map(DataflowId::from_u128).to_vec();
        writer.delete(ids, Box::new(move |results| tell.send(results).unwrap()));
        let results = told.recv().unwrap();
        writer.finish();
        assert!(results[0].1.as_ref().is_err_and(|error| error.contains("no room")), "{results:?}");
        assert_eq!(results[1].1, Ok(()));
        let mut written = written.lock().unwrap().clone();
        written.dedup();
        assert_eq!(written, vec![flow(2), flow(3)]);
    }
}
