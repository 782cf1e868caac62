//! What is wrong with a descriptor, where, and what to write instead.
//!
//! Every rule reports a [`Problem`]; rules do not stop at the first one, so that a user fixes a file in one go.
//! A [`Warning`] has the same shape and stops nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use dora_protocol::dataflow::Location;

use crate::{limits, suggest::shown};

/// One sentence about one place in the file, with hints below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where. Line 0 stands for the file (or the option) as a whole.
    pub at: Location,
    /// Node concerned, if any.
    pub node: Option<String>,
    /// Key concerned, if any: `queue_size`, `rt.priority`.
    pub field: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it, one line each.
    pub hints: Vec<String>,
}

/// Worth knowing, but the dataflow is what the user wrote.
pub type Warning = Problem;

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at.line == 0 {
            write!(f, "{}: ", self.at.file)?;
        } else {
            write!(f, "{}: ", self.at)?;
        }
        if let Some(node) = &self.node {
            write!(f, "node `{node}`: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.message)?;
        for hint in &self.hints {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a descriptor, in the order of the file. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.blocks())]
pub struct Errors(pub Vec<Problem>);

impl Errors {
    fn blocks(&self) -> String {
        let blocks: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        blocks.join("\n")
    }
}

/// A key that is understood but does nothing in this version, or keeps the dataflow from running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotYet {
    /// Where it stands.
    pub at: Location,
    /// Node concerned, `None` at the top level.
    pub node: Option<String>,
    /// The key.
    pub field: String,
    /// What the user gets instead, as a sentence.
    pub what: String,
    /// The dataflow cannot be run without it.
    pub fatal: bool,
}

impl fmt::Display for NotYet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.at)?;
        if let Some(node) = &self.node {
            write!(f, "node `{node}`: ")?;
        }
        write!(f, "`{}` {}", self.field, self.what)
    }
}

/// A place in one of the files of a dataflow. Line and column are 1-based; columns count characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pos {
    /// As [`Report::add_file`] numbered it; 0 is the descriptor.
    pub(crate) file: u16,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct At<T> {
    pub(crate) pos: Pos,
    pub(crate) value: T,
}

/// Collects what the rules find.
#[derive(Debug)]
pub(crate) struct Report {
    /// Names of the files that were read: the descriptor, then modules and files with types.
    files: Vec<String>,
    /// Errors beyond [`limits::ERRORS`].
    more: usize,
    pub(crate) errors: Vec<Problem>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) type_warnings: Vec<Warning>,
    pub(crate) not_yet: Vec<NotYet>,
}

/// What is left of a report without errors, each list in the order of the files.
#[derive(Debug)]
pub(crate) struct Notes {
    pub(crate) not_yet: Vec<NotYet>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) type_warnings: Vec<Warning>,
}

/// What a problem is about, besides its position.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct About<'a> {
    pub(crate) node: Option<&'a str>,
    pub(crate) field: Option<&'a str>,
}

impl<'a> About<'a> {
    /// The field of the same node.
    pub(crate) fn field(self, field: &'a str) -> Self {
        Self { field: Some(field), ..self }
    }
}

impl Report {
    pub(crate) fn new(file: &str) -> Self {
        Self {
            files: vec![file.to_owned()],
            more: 0,
            errors: Vec::new(),
            warnings: Vec::new(),
            type_warnings: Vec::new(),
            not_yet: Vec::new(),
        }
    }

    /// Another file that positions may be in; `None` when there are too many.
    pub(crate) fn add_file(&mut self, name: String) -> Option<u16> {
        let number = u16::try_from(self.files.len()).ok()?;
        self.files.push(name);
        Some(number)
    }

    /// The name of a file.
    pub(crate) fn file(&self, number: u16) -> &str {
        self.files.get(usize::from(number)).map_or("?", String::as_str)
    }

    pub(crate) fn location(&self, pos: Pos) -> Location {
        Location { file: self.file(pos.file).to_owned(), line: pos.line, column: pos.column }
    }

    /// Sorts by file, in the order in which they were read, and by place in the file.
    fn order(&self) -> impl Fn(&Location) -> (usize, u32, u32) + use<> {
        let files: BTreeMap<String, usize> = self.files.iter().cloned().zip(0..).collect();
        move |at| (files.get(&at.file).copied().unwrap_or(usize::MAX), at.line, at.column)
    }

    fn problem(&self, pos: Pos, about: About<'_>, message: String, hints: &[String]) -> Problem {
        Problem {
            at: self.location(pos),
            node: about.node.map(shown),
            field: about.field.map(shown),
            message,
            hints: hints.iter().filter(|hint| !hint.is_empty()).cloned().collect(),
        }
    }

    /// Something that has to be fixed. Empty hints are left out.
    pub(crate) fn error(&mut self, pos: Pos, about: About<'_>, message: impl Into<String>, hints: &[String]) {
        if self.counts_only() {
            return;
        }
        let problem = self.problem(pos, about, message.into(), hints);
        self.errors.push(problem);
    }

    /// Counts an error that would not be told. `false`: it would be, so there is something to say.
    pub(crate) fn counts_only(&mut self) -> bool {
        let full = self.errors.len() >= limits::ERRORS;
        self.more += usize::from(full);
        full
    }

    /// Is there still a reader for suggestions?
    pub(crate) fn suggests(&self) -> bool {
        self.errors.len() + self.type_warnings.len() < limits::SUGGESTIONS
    }

    /// Something worth knowing.
    pub(crate) fn warn(&mut self, pos: Pos, about: About<'_>, message: impl Into<String>, hints: &[String]) {
        if self.warnings.len() < limits::ERRORS {
            let problem = self.problem(pos, about, message.into(), hints);
            self.warnings.push(problem);
        }
    }

    /// An error under `strict_types`, otherwise a warning.
    pub(crate) fn type_problem(
        &mut self,
        strict: bool,
        pos: Pos,
        about: About<'_>,
        message: String,
        hints: &[String],
    ) {
        if strict {
            self.error(pos, about, message, hints);
        } else if self.type_warnings.len() < limits::ERRORS {
            let problem = self.problem(pos, about, message, hints);
            self.type_warnings.push(problem);
        }
    }

    /// A key whose behaviour comes later.
    pub(crate) fn not_yet(&mut self, pos: Pos, node: Option<&str>, field: &str, what: &str, fatal: bool) {
        self.not_yet.push(NotYet {
            at: self.location(pos),
            node: node.map(shown),
            field: field.to_owned(),
            what: what.to_owned(),
            fatal,
        });
    }

    /// The errors in the order of the files.
    pub(crate) fn into_errors(mut self) -> Errors {
        let order = self.order();
        self.errors.sort_by_key(|problem| order(&problem.at));
        without_repetitions(&mut self.errors);
        if self.more > 0 {
            let message = format!("{} more errors", self.more);
            let more = self.problem(Pos::default(), About::default(), message, &[]);
            self.errors.push(more);
        }
        Errors(self.errors)
    }

    /// What is left when nothing is wrong; otherwise the errors.
    pub(crate) fn finish(mut self) -> Result<Notes, Errors> {
        if !self.errors.is_empty() {
            return Err(self.into_errors());
        }
        let order = self.order();
        for list in [&mut self.warnings, &mut self.type_warnings] {
            list.sort_by_key(|problem| order(&problem.at));
            without_repetitions(list);
        }
        self.not_yet.sort_by_key(|entry| order(&entry.at));
        let Self { not_yet, warnings, type_warnings, .. } = self;
        Ok(Notes { not_yet, warnings, type_warnings })
    }
}

/// A module that is used twice has each of its problems twice.
fn without_repetitions(list: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    list.retain(|problem| seen.insert(problem.to_string()));
}
