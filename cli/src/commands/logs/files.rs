//! The log files of a dataflow: `out/<uuid>/log_<node>.jsonl`, older ones `log_<node>.1.jsonl` and so on.
//!
//! 1. A file that is renamed while we read is neither read twice nor passed over: files are told apart by their inode, and
//!    are opened from the newest to the oldest.
//! 2. A line is handed out when its newline is there, or when nobody will write it any more.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File},
    io::{self, BufRead, BufReader},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{entry::Entry, pick::Merge};
use crate::error::{CliError, CliResult};

/// More rotated files than a descriptor can ask for.
const MOST_ROTATED: u32 = 1000;

/// The folder of one dataflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Folder {
    /// The dataflow's UUID.
    pub(super) id: String,
    path: PathBuf,
}

/// The folders in `out`, the newest first.
///
/// # Errors
/// When `out` cannot be read; also when it is missing.
pub(super) fn folders(out: &Path) -> CliResult<Vec<Folder>> {
    let list = fs::read_dir(out).map_err(|error| {
        CliError::new(format!("there are no logs here: cannot read {}", out.display()))
            .caused_by(&error)
            .hint("`--local` reads `out/` in the working directory; go to the folder of the descriptor")
    })?;
    let mut found: Vec<_> = list
        .flatten()
        .filter_map(|entry| {
            let id = entry.file_name().into_string().ok()?;
            uuid::Uuid::try_parse(&id).ok()?;
            let changed = entry.metadata().ok().filter(fs::Metadata::is_dir)?.modified().ok()?;
            Some((changed, Folder { id, path: entry.path() }))
        })
        .collect();
    found.sort_by(|(a, x), (b, y)| (b, &y.id).cmp(&(a, &x.id)));
    Ok(found.into_iter().map(|(_, folder)| folder).collect())
}

impl Folder {
    /// The nodes that have a log here, by name.
    pub(super) fn nodes(&self) -> io::Result<Vec<String>> {
        let mut nodes: Vec<String> = fs::read_dir(&self.path)?
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let node = name.strip_prefix("log_")?.strip_suffix(".jsonl")?;
                // Ids have no dots: what has one is `node.1`.
                (!node.is_empty() && !node.contains('.')).then(|| node.to_owned())
            })
            .collect();
        nodes.sort();
        Ok(nodes)
    }

    fn file(&self, node: &str, number: u32) -> PathBuf {
        match number {
            0 => self.path.join(format!("log_{node}.jsonl")),
            n => self.path.join(format!("log_{node}.{n}.jsonl")),
        }
    }
}

/// Reads the lines of one node, the oldest first, and goes on reading when more is written.
#[derive(Debug)]
pub(super) struct NodeLines {
    folder: Folder,
    node: String,
    /// The newest last; all but the last will not grow.
    open: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    inode: u64,
    lines: BufReader<File>,
    /// The beginning of a line whose end is not there yet.
    partial: Vec<u8>,
}

impl NodeLines {
    /// Opens all files of the node that are there now.
    pub(super) fn open(folder: &Folder, node: &str) -> io::Result<Self> {
        let mut this = Self { folder: folder.clone(), node: node.to_owned(), open: Vec::new() };
        this.open_newer_than(None)?;
        Ok(this)
    }

    /// Opens the files down to the one with this inode, or all.
    fn open_newer_than(&mut self, known: Option<u64>) -> io::Result<()> {
        let (mut newer, mut seen) = (Vec::new(), HashSet::new());
        for number in 0..MOST_ROTATED {
            let file = match File::open(self.folder.file(&self.node, number)) {
                Ok(file) => file,
                // Just being renamed, or there is no current file yet.
                Err(error) if error.kind() == io::ErrorKind::NotFound && number == 0 => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            };
            let inode = file.metadata()?.ino();
            if Some(inode) == known {
                break;
            }
            if seen.insert(inode) {
                newer.push(Open { inode, lines: BufReader::new(file), partial: Vec::new() });
            }
        }
        self.open.extend(newer.into_iter().rev());
        Ok(())
    }

    /// Looks whether there are newer files than those that were read.
    ///
    /// # Errors
    /// When one of them cannot be opened.
    pub(super) fn look_again(&mut self) -> io::Result<()> {
        self.open_newer_than(self.open.last().map(|open| open.inode))
    }

    /// The next line that is complete; `None` when there is none now.
    pub(super) fn next_complete(&mut self) -> Option<Entry> {
        loop {
            let newest = self.open.len() == 1;
            let open = self.open.first_mut()?;
            // A file that cannot be read any more is one without more lines.
            let read = open.lines.read_until(b'\n', &mut open.partial).unwrap_or(0);
            let complete = open.partial.last() == Some(&b'\n');
            if complete || (read == 0 && !newest && !open.partial.is_empty()) {
                let bytes = std::mem::take(&mut open.partial);
                let text = String::from_utf8_lossy(&bytes);
                return Some(Entry::parse(
                    text.trim_end_matches(['\n', '\r']),
                    &self.folder.id,
                    Some(&self.node),
                ));
            }
            if read == 0 {
                if newest {
                    return None;
                }
                self.open.remove(0);
            }
        }
    }

    /// What stands behind the last newline.
    fn rest(&mut self) -> Option<Entry> {
        let bytes = std::mem::take(&mut self.open.first_mut()?.partial);
        let text = String::from_utf8_lossy(&bytes);
        (!text.trim().is_empty()).then(|| Entry::parse(&text, &self.folder.id, Some(&self.node)))
    }
}

/// Until nothing is there; the last line is given out without its newline, too.
impl Iterator for NodeLines {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        self.next_complete().or_else(|| self.rest())
    }
}

/// The readers of the nodes that are followed. Nodes that appear later are taken up when all are wanted.
#[derive(Debug)]
pub(super) struct Follower {
    folder: Folder,
    only: Option<String>,
    nodes: BTreeMap<String, NodeLines>,
}

impl Follower {
    /// Opens what is there now.
    pub(super) fn open(folder: &Folder, only: Option<&str>) -> io::Result<Self> {
        let mut this = Self { folder: folder.clone(), only: only.map(str::to_owned), nodes: BTreeMap::new() };
        this.take_up_new()?;
        Ok(this)
    }

    fn take_up_new(&mut self) -> io::Result<()> {
        let wanted = match &self.only {
            Some(node) => vec![node.clone()],
            None => self.folder.nodes()?,
        };
        for node in wanted {
            if !self.nodes.contains_key(&node) {
                let lines = NodeLines::open(&self.folder, &node)?;
                self.nodes.insert(node, lines);
            }
        }
        Ok(())
    }

    /// All lines that were completed since the last call, by time; each node's in their order.
    ///
    /// # Errors
    /// When the folder is gone or a file cannot be opened.
    pub(super) fn new_lines(&mut self) -> io::Result<impl Iterator<Item = Entry> + '_> {
        self.take_up_new()?;
        for lines in self.nodes.values_mut() {
            lines.look_again()?;
        }
        Ok(Merge::new(self.nodes.values_mut().map(|lines| std::iter::from_fn(|| lines.next_complete()))))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const ID: &str = "01990000-0000-7000-8000-000000000001";

    struct Out(tempfile::TempDir);

    impl Out {
        fn new() -> Self {
            let out = Self(tempfile::tempdir().unwrap());
            fs::create_dir(out.0.path().join(ID)).unwrap();
            out
        }

        fn folder(&self) -> Folder {
            folders(self.0.path()).unwrap().remove(0)
        }

        fn append(&self, file: &str, text: &str) {
            let path = self.0.path().join(ID).join(file);
            let mut file = File::options().create(true).append(true).open(path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        fn rotate(&self, keep: u32) {
            let path = |n| self.folder().file("cam", n);
            for number in (0..keep).rev() {
                if path(number).exists() {
                    fs::rename(path(number), path(number + 1)).unwrap();
                }
            }
        }
    }

    fn texts(lines: impl IntoIterator<Item = Entry>) -> Vec<String> {
        lines.into_iter().map(|entry| entry.message.message).collect()
    }

    #[test]
    fn rotated_files_are_read_from_the_oldest_to_the_newest() {
        let out = Out::new();
        out.append("log_cam.2.jsonl", "a\n");
        out.append("log_cam.1.jsonl", "b\nc\n");
        out.append("log_cam.jsonl", "d\nno newline yet");
        assert_eq!(out.folder().nodes().unwrap(), ["cam"]);
        let lines = NodeLines::open(&out.folder(), "cam").unwrap();
        assert_eq!(texts(lines), ["a", "b", "c", "d", "no newline yet"]);
    }

    #[test]
    fn follower_shows_each_line_once_across_any_number_of_rotations() {
        let out = Out::new();
        out.append("log_cam.jsonl", "1\n2");
        let mut follower = Follower::open(&out.folder(), None).unwrap();
        let mut shown = Vec::new();
        let mut look = |follower: &mut Follower| shown.extend(texts(follower.new_lines().unwrap()));
        look(&mut follower);
        out.append("log_cam.jsonl", "b\n3\n");
        out.rotate(5);
        look(&mut follower);
        out.append("log_cam.jsonl", "4\n");
        for line in ["5\n", "6\n", "7\n"] {
            out.rotate(5);
            out.append("log_cam.jsonl", line);
        }
        look(&mut follower);
        out.append("log_late.jsonl", "new node\n");
        out.append("log_cam.jsonl", "8\n");
        look(&mut follower);
        look(&mut follower);
        assert_eq!(shown, ["1", "2b", "3", "4", "5", "6", "7", "8", "new node"]);
    }

    #[test]
    fn folders_are_dataflows_and_the_newest_comes_first() {
        let out = Out::new();
        let newer = "01990000-0000-7000-8000-000000000002";
        fs::create_dir(out.0.path().join(newer)).unwrap();
        fs::create_dir(out.0.path().join("something")).unwrap();
        fs::write(out.0.path().join("flow.dora-session.yaml"), "").unwrap();
        let found = folders(out.0.path()).unwrap();
        assert_eq!(found.len(), 2);
        assert!(found.iter().any(|folder| folder.id == newer));
        let error = folders(Path::new("/nowhere/out")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/out") && error.contains("hint:"), "{error}");
    }
}
