//! Reading back what nodes printed: the rotated files of a node, oldest first, then the current one.
//!
//! Only whole lines are handed out. When there is more than the asker has room for, what is too much is left out at the
//! front of each node's lines, and counted. A file that is rotated while we read is at worst read twice or missed; nothing
//! that writes is held up.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use dora_protocol::NodeId;

/// Rotated files of a node, by the rules of the descriptor.
const MOST_ROTATED: u32 = 100;
/// What is looked through for the end of the last whole line: text of up to 1 MB, escaped.
const LONGEST_LINE: u64 = 8 << 20;

/// The last `tail` lines of each node (`None` = all) as they are in its files, node by node, in `room` bytes; and how many
/// bytes were left out. A node that has no files has no lines.
///
/// # Errors
/// When there is no folder, or a file cannot be read.
pub(super) fn read(
    folder: &Path,
    nodes: &[NodeId],
    tail: Option<u64>,
    mut room: u64,
) -> Result<(String, u64), String> {
    if !folder.is_dir() {
        return Err(format!("there are no log files: the folder {} is gone", folder.display()));
    }
    let (mut text, mut left_out) = (String::new(), 0);
    for (at, node) in nodes.iter().enumerate() {
        // What one does not need is there for those after it.
        let share = room / (nodes.len() - at) as u64;
        let (lines, over) = of_node(folder, node, tail, share)?;
        room -= lines.len() as u64;
        left_out += over;
        // Written by us as JSON, so this replaces nothing unless somebody else has written there.
        text.push_str(&String::from_utf8_lossy(&lines));
    }
    Ok((text, left_out))
}

fn of_node(folder: &Path, node: &NodeId, tail: Option<u64>, mut room: u64) -> Result<(Vec<u8>, u64), String> {
    let (mut parts, mut left_out) = (Vec::new(), 0);
    let mut lines = tail.unwrap_or(u64::MAX);
    for file in files(folder, node).iter().rev() {
        if lines == 0 {
            break;
        }
        let (part, length) = match end_of(file, room) {
            Ok(found) => found,
            // Rotated away in this moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(format!("failed to read {}: {error}", file.display())),
        };
        let cut = length - part.len() as u64;
        let part = last_lines(part, lines);
        lines -= count(&part);
        if lines > 0 {
            left_out += cut;
        }
        // A line that did not fit is the end: older ones that would fit are not what comes before.
        room = if cut > 0 { 0 } else { room - part.len() as u64 };
        parts.push(part);
    }
    parts.reverse();
    Ok((parts.concat(), left_out))
}

/// The files that are there, oldest first.
fn files(folder: &Path, node: &NodeId) -> Vec<PathBuf> {
    let rotated = (1..=MOST_ROTATED).rev().map(|number| folder.join(format!("log_{node}.{number}.jsonl")));
    let all = rotated.chain([folder.join(format!("log_{node}.jsonl"))]);
    all.filter(|file| file.is_file()).collect()
}

/// The end of a file from the beginning of a line on, at most `room` bytes, up to its last whole line; and the length of
/// all its whole lines.
fn end_of(path: &Path, room: u64) -> io::Result<(Vec<u8>, u64)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    // One more than there is room for, and the line that is being written: where does the last whole one end?
    let from = length.saturating_sub(room.saturating_add(LONGEST_LINE));
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(length - from).read_to_end(&mut bytes)?;
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    bytes.truncate(end);
    let whole = from + bytes.len() as u64;
    if bytes.len() as u64 > room {
        let surplus = bytes.len() - room as usize;
        // The byte before tells whether a line begins there.
        let rest = &bytes[surplus - 1..];
        let begin = rest.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| surplus + at);
        bytes.drain(..begin);
    }
    Ok((bytes, whole))
}

fn last_lines(mut bytes: Vec<u8>, lines: u64) -> Vec<u8> {
    let surplus = count(&bytes).saturating_sub(lines);
    if surplus > 0 {
        let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
        let begin = ends.into_iter().nth(surplus as usize - 1).map_or(0, |at| at + 1);
        bytes.drain(..begin);
    }
    bytes
}

fn count(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    fn lines(dir: &tempfile::TempDir, nodes: &[&str], tail: Option<u64>, room: u64) -> (String, u64) {
        let nodes: Vec<NodeId> = nodes.iter().map(|node| node.parse().unwrap()).collect();
        read(dir.path(), &nodes, tail, room).unwrap()
    }

    #[test]
    fn rotated_files_are_read_oldest_first_and_the_tail_reaches_over_them() {
        let dir = folder(&[
            ("log_cam.2.jsonl", "1\n2\n"),
            ("log_cam.1.jsonl", "3\n"),
            ("log_cam.jsonl", "4\n5\n"),
            ("log_cam_2.jsonl", "of another node\n"),
        ]);
        let cam = |tail| lines(&dir, &["cam"], tail, 1000);
        assert_eq!(cam(None), ("1\n2\n3\n4\n5\n".to_owned(), 0));
        for (tail, expected) in
            [(0, ""), (1, "5\n"), (3, "3\n4\n5\n"), (4, "2\n3\n4\n5\n"), (99, "1\n2\n3\n4\n5\n")]
        {
            assert_eq!(cam(Some(tail)), (expected.to_owned(), 0), "{tail}");
        }
    }

    #[test]
    fn line_that_is_being_written_is_left_out() {
        let dir = folder(&[("log_cam.jsonl", "1\n2\n{\"half")]);
        assert_eq!(lines(&dir, &["cam"], None, 1000), ("1\n2\n".to_owned(), 0));
    }

    #[test]
    fn of_more_than_fits_the_newest_whole_lines_are_given_and_the_rest_is_counted() {
        let dir = folder(&[("log_f.1.jsonl", "zz\n"), ("log_f.jsonl", "aaa\nbbb\nccc\n")]);
        for (room, expected, left_out) in [
            (15, "zz\naaa\nbbb\nccc\n", 0),
            (14, "aaa\nbbb\nccc\n", 3),
            (11, "bbb\nccc\n", 7),
            (8, "bbb\nccc\n", 7),
            (7, "ccc\n", 11),
            (3, "", 15),
            (0, "", 15),
        ] {
            assert_eq!(lines(&dir, &["f"], None, room), (expected.to_owned(), left_out), "{room}");
        }
        assert_eq!(
            lines(&dir, &["f"], Some(1), 4),
            ("ccc\n".to_owned(), 0),
            "what was not asked for is not left out"
        );
    }

    #[test]
    fn nodes_share_the_room_and_one_without_files_needs_none() {
        let dir = folder(&[("log_a.jsonl", "1\n2\n3\n"), ("log_b.jsonl", "4\n5\n6\n")]);
        assert_eq!(lines(&dir, &["a", "none", "b"], None, 100).0, "1\n2\n3\n4\n5\n6\n");
        assert_eq!(lines(&dir, &["a", "b"], None, 8), ("2\n3\n5\n6\n".to_owned(), 4));
    }

    #[test]
    fn folder_that_is_gone_is_named() {
        let error = read(Path::new("/nowhere/out/x"), &[], None, 1).unwrap_err();
        assert!(error.contains("/nowhere/out/x"), "{error}");
    }
}
