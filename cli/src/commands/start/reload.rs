//! `--hot-reload`: an operator is reloaded when its Python file changes.
//!
//! Files are looked at by path a few times a second: editors that write a new file and rename it over the old one are seen as well
//! as those that write in place, on every file system. A change counts when two looks found the same new state, so
//! that a file is not loaded while it is being written.

use std::{fs, path::PathBuf, time::Duration};

use dora_protocol::{
    DataflowId, NodeId, OperatorId,
    control::{ControlReply, ControlRequest},
    dataflow::{Dataflow, NodeKind},
    operator::OperatorSource,
};

use crate::{
    args::CoordArgs,
    client::{Client, unexpected},
    error::CliResult,
};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// The file of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Watched {
    node: NodeId,
    operator: OperatorId,
    file: PathBuf,
}

/// Every operator in Python.
pub(super) fn operators(dataflow: &Dataflow) -> Vec<Watched> {
    let mut watched = Vec::new();
    for node in &dataflow.nodes {
        let NodeKind::Runtime { operators } = &node.kind else { continue };
        let folder = node.working_dir.as_ref().unwrap_or(&dataflow.working_dir);
        for operator in operators {
            if matches!(operator.source, OperatorSource::Python { .. }) {
                let files = operator.source.candidates(folder).into_iter();
                watched.extend(files.map(|file| Watched {
                    node: node.id.clone(),
                    operator: operator.id.clone(),
                    file,
                }));
            }
        }
    }
    watched
}

/// What of a file changes when it is written: inode, modification time, length. `None` when it is not there.
type State = Option<(u64, i64, i64, u64)>;

fn state(file: &PathBuf) -> State {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(file).ok().map(|found| (found.ino(), found.mtime(), found.mtime_nsec(), found.len()))
}

/// Which files have changed.
#[derive(Debug)]
struct Watch {
    /// What was loaded, and what the last look found.
    files: Vec<(Watched, State, State)>,
}

impl Watch {
    fn new(watched: Vec<Watched>) -> Self {
        let with_state = |watched: Watched| {
            let now = state(&watched.file);
            (watched, now, now)
        };
        Self { files: watched.into_iter().map(with_state).collect() }
    }

    /// Those that have changed since they were last returned, and rest.
    fn changed(&mut self) -> Vec<Watched> {
        let mut changed = Vec::new();
        for (watched, loaded, last) in &mut self.files {
            let now = state(&watched.file);
            // A file that is gone is being replaced.
            if now.is_some() && now == *last && now != *loaded {
                *loaded = now;
                changed.push(watched.clone());
            }
            *last = now;
        }
        changed
    }
}

/// Reloads operators whose file changed.
pub(super) struct Reloader {
    coord: CoordArgs,
    dataflow: DataflowId,
    watch: Watch,
}

impl Reloader {
    pub(super) fn new(coord: CoordArgs, dataflow: DataflowId, watched: Vec<Watched>) -> Self {
        Self { coord, dataflow, watch: Watch::new(watched) }
    }

    /// Looks, for ever.
    pub(super) async fn run(mut self) {
        while !self.watch.files.is_empty() {
            tokio::time::sleep(LOOK).await;
            for changed in self.watch.changed() {
                let Watched { node, operator, file } = &changed;
                match self.reload(&changed).await {
                    Ok(()) => eprintln!("reloaded `{node}/{operator}`: {} has changed", file.display()),
                    // What runs goes on running; the next change is another try.
                    Err(error) => {
                        eprintln!("warning: failed to reload `{node}/{operator}`: {}", error.message());
                    }
                }
            }
        }
    }

    async fn reload(&self, changed: &Watched) -> CliResult {
        let request = ControlRequest::Reload {
            dataflow_id: self.dataflow,
            node_id: changed.node.clone(),
            operator_id: Some(changed.operator.clone()),
        };
        match Client::connect(self.coord.address()).await?.ask(request).await? {
            ControlReply::DataflowReloaded { .. } => Ok(()),
            other => Err(unexpected(&other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(file: &std::path::Path) -> Watch {
        let watched =
            Watched { node: "n".parse().unwrap(), operator: "op".parse().unwrap(), file: file.to_owned() };
        Watch::new(vec![watched])
    }

    #[test]
    fn change_counts_once_it_rests_whether_written_in_place_or_renamed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("op.py");
        fs::write(&file, "1").unwrap();
        let mut watch = watch(&file);
        let mut seen = || watch.changed().len();
        assert_eq!([seen(), seen()], [0, 0]);
        fs::write(&file, "22").unwrap();
        assert_eq!([seen(), seen(), seen()], [0, 1, 0]);
        fs::write(dir.path().join("new"), "22").unwrap();
        fs::rename(dir.path().join("new"), &file).unwrap();
        assert_eq!([seen(), seen(), seen()], [0, 1, 0]);
        fs::remove_file(&file).unwrap();
        assert_eq!([seen(), seen()], [0, 0]);
        fs::write(&file, "333").unwrap();
        assert_eq!([seen(), seen(), seen()], [0, 1, 0]);
    }

    #[test]
    fn a_file_that_is_still_being_written_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("op.py");
        fs::write(&file, "").unwrap();
        let mut watch = watch(&file);
        for length in 1..4 {
            fs::write(&file, "x".repeat(length)).unwrap();
            assert_eq!(watch.changed(), []);
        }
        assert_eq!(watch.changed().len(), 1);
    }
}
