//! One node's log file: `log_<node>.jsonl`, written in batches, rotated by size.
//!
//! 1. A line is either wholly in the file, wholly in the buffer, or counted in [`LogFile::lost`].
//! 2. The files of a node take at most `(max_size + one line) × (1 + max_rotated)` bytes.
//!
//! A full disk loses lines and counts them; it never stops a node.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use dora_protocol::log::LogMessage;
use serde::Serialize;

/// Written out at once when this much is buffered.
const BATCH: usize = 64 << 10;

#[derive(Serialize)]
struct Entry<'a> {
    timestamp: &'a str,
    level: &'a str,
    node_id: &'a str,
    message: &'a str,
    target: Option<&'a str>,
    fields: Option<&'a std::collections::BTreeMap<String, serde_json::Value>>,
    stream: Option<&'a str>,
}

/// A log file that is open for writing.
pub(crate) struct LogFile {
    folder: PathBuf,
    stem: String,
    file: Option<File>,
    buffer: Vec<u8>,
    buffered_lines: u64,
    written: u64,
    max_size: Option<u64>,
    max_rotated: u32,
    lost: u64,
}

impl LogFile {
    /// Creates `<folder>/log_<node>.jsonl`, or goes on in it. The folder exists already.
    pub(crate) fn create(
        folder: &Path,
        node: &str,
        max_size: Option<u64>,
        max_rotated: u32,
    ) -> io::Result<Self> {
        let stem = format!("log_{node}");
        let file = open(&folder.join(format!("{stem}.jsonl")))?;
        let written = file.metadata().map_or(0, |data| data.len());
        Ok(Self {
            folder: folder.to_owned(),
            stem,
            file: Some(file),
            buffer: Vec::new(),
            buffered_lines: 0,
            written,
            max_size,
            max_rotated: max_rotated.max(1),
            lost: 0,
        })
    }

    /// Buffers one line; writes when the batch is full or the file has to be rotated. `stream`: where it was printed.
    pub(crate) fn append<'a>(
        &mut self,
        message: &'a LogMessage,
        level: &'a str,
        stream: impl Into<Option<&'a str>>,
    ) {
        let entry = Entry {
            timestamp: &message.timestamp,
            level,
            node_id: message.node_id.as_deref().unwrap_or_default(),
            message: &message.message,
            target: message.target.as_deref(),
            fields: message.fields.as_ref(),
            stream: stream.into(),
        };
        let before = self.buffer.len();
        if serde_json::to_writer(&mut self.buffer, &entry).is_err() {
            self.buffer.truncate(before);
            self.lost += 1;
            return;
        }
        self.buffer.push(b'\n');
        self.buffered_lines += 1;
        let full = self.max_size.is_some_and(|max| self.written + self.buffer.len() as u64 >= max);
        if full || self.buffer.len() >= BATCH {
            self.flush();
        }
        if full {
            self.rotate();
        }
    }

    /// Anything not yet handed to the kernel?
    pub(crate) fn is_dirty(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Hands the buffer to the kernel.
    pub(crate) fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        match self.file.as_mut().map(|f| f.write_all(&self.buffer)) {
            Some(Ok(())) => self.written += self.buffer.len() as u64,
            Some(Err(_)) | None => self.lost += self.buffered_lines,
        }
        self.buffer.clear();
        self.buffered_lines = 0;
    }

    /// Lines that could not be written.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    fn path(&self, number: u32) -> PathBuf {
        match number {
            0 => self.folder.join(format!("{}.jsonl", self.stem)),
            n => self.folder.join(format!("{}.{n}.jsonl", self.stem)),
        }
    }

    /// Shifts `.i` to `.i+1` and the current file to `.1`; the oldest is overwritten. A step that fails leaves
    /// that file where it was; writing goes on in any case.
    fn rotate(&mut self) {
        for number in (0..self.max_rotated).rev() {
            let (from, to) = (self.path(number), self.path(number + 1));
            if from.exists() && std::fs::rename(&from, &to).is_err() {
                self.lost += 1;
            }
        }
        self.written = 0;
        self.file = open(&self.path(0)).ok();
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::log_line::{Origin, parse};

    fn message(text: &str) -> LogMessage {
        let origin = Origin { dataflow: "d", node: "cam" };
        parse(text, &origin, DateTime::from_timestamp_millis(0).unwrap()).message
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn lines_have_the_documented_keys_and_appear_on_flush() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = LogFile::create(dir.path(), "cam", None, 5).unwrap();
        file.append(&message("hello"), "stdout", "stderr");
        let path = dir.path().join("log_cam.jsonl");
        assert!(file.is_dirty());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
        file.flush();
        assert!(!file.is_dirty());
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "{\"timestamp\":\"1970-01-01T00:00:00.000Z\",\"level\":\"stdout\",\"node_id\":\"cam\",\
             \"message\":\"hello\",\"target\":null,\"fields\":null,\"stream\":\"stderr\"}\n"
        );
    }

    #[test]
    fn rotation_keeps_the_newest_lines_in_order_and_drops_the_oldest_files() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = LogFile::create(dir.path(), "cam", Some(1), 2).unwrap();
        for n in 0..5 {
            file.append(&message(&n.to_string()), "stdout", "stdout");
        }
        file.flush();
        assert_eq!(names(dir.path()), ["log_cam.1.jsonl", "log_cam.2.jsonl", "log_cam.jsonl"]);
        let newest = std::fs::read_to_string(dir.path().join("log_cam.1.jsonl")).unwrap();
        let older = std::fs::read_to_string(dir.path().join("log_cam.2.jsonl")).unwrap();
        assert!(newest.contains("\"message\":\"4\"") && older.contains("\"message\":\"3\""));
        assert_eq!(file.lost(), 0);
    }

    #[test]
    fn a_file_that_is_opened_again_goes_on_and_rotates_at_the_same_size() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..3 {
            let mut file = LogFile::create(dir.path(), "cam", Some(200), 2).unwrap();
            file.append(&message(&n.to_string()), "stdout", "stdout");
            file.flush();
        }
        assert_eq!(names(dir.path()), ["log_cam.1.jsonl", "log_cam.jsonl"]);
        let first = std::fs::read_to_string(dir.path().join("log_cam.1.jsonl")).unwrap();
        assert_eq!(first.lines().count(), 2, "{first}");
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = LogFile::create(dir.path(), "cam", None, 5).unwrap();
        file.file = None;
        file.append(&message("a"), "stdout", "stdout");
        file.append(&message("b"), "stdout", "stdout");
        file.flush();
        assert_eq!((file.lost(), file.is_dirty()), (2, false));
    }
}
