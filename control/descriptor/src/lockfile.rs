//! `<stem>.dora-lock.yaml`: which commit stood for each repository of a dataflow when it was last pinned.
//!
//! ```yaml
//! version: 1
//! git:
//!   - url: https://example.com/arm.git
//!     branch: main
//!     commit: 0123456789abcdef0123456789abcdef01234567
//! ```
//!
//! A pin belongs to what a descriptor asks for, repository and reference; a descriptor that asks for something else needs another.

use std::path::Path;

use dora_protocol::dataflow::{GitRef, GitSource, Location};

use crate::{
    emit,
    error::{About, At, Errors, Pos, Report},
    form,
    load::text_at,
    raw,
    schema::LOCKFILE,
    suggest::shown,
    yaml::{self, Value, Yaml},
};

/// The only version there is.
const VERSION: u64 = 1;

/// What a lockfile says.
#[derive(Clone, Debug, Default)]
pub struct Lockfile {
    /// In the order of the file; no two of one source.
    pub git: Vec<Pin>,
}

/// One repository at one commit.
#[derive(Clone, Debug)]
pub struct Pin {
    /// What the descriptor asks for.
    pub source: GitSource,
    /// All digits of the commit, hexadecimal, in lower case.
    pub commit: String,
    /// Where it stands; line 0 in one that has not been read.
    pub at: Location,
}

/// Is it the whole name of a commit, and not only its beginning?
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Lockfile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// Every problem found. When the file cannot be read, that is the only one.
    pub fn read(path: &Path) -> Result<Self, Errors> {
        let (name, text, _) = text_at(path)?;
        let mut report = Report::new(&name);
        let Some(tree) = yaml::parse(&text, &mut report) else { return Err(report.into_errors()) };
        form::check(&tree, &LOCKFILE, &mut report);
        if let Some(version) = raw::int(&tree, "version").filter(|version| version.value != VERSION) {
            let message = format!("version {} is not known; expected {VERSION}", version.value);
            let hint = "write it anew with `--write-lockfile`".to_owned();
            report.error(version.pos, About::default().field("version"), message, &[hint]);
        }
        let mut git: Vec<Pin> = Vec::new();
        for entry in tree.get("git").map(Yaml::list).unwrap_or_default() {
            let Some(pin) = pin(entry, &mut report) else { continue };
            if git.iter().any(|known| known.source == pin.source) {
                let message = format!("`{}` is pinned twice", shown(&pin.source.url));
                report.error(entry.pos, About::default().field("git"), message, &[]);
            }
            git.push(pin);
        }
        report.finish().map(|_| Self { git })
    }

    /// The pin of a source.
    pub fn pin(&self, source: &GitSource) -> Option<&Pin> {
        self.git.iter().find(|pin| pin.source == *source)
    }

    /// The text of the file. Reads back as the same.
    pub fn text(&self) -> String {
        let text = |text: &str| Yaml::of_text(Pos::default(), text);
        let entry = |pin: &Pin| {
            let mut entries = vec![("url", text(&pin.source.url))];
            match &pin.source.want {
                GitRef::Default => {}
                GitRef::Branch(name) => entries.push(("branch", text(name))),
                GitRef::Tag(name) => entries.push(("tag", text(name))),
                GitRef::Rev(rev) => entries.push(("rev", text(rev))),
            }
            entries.push(("commit", text(&pin.commit)));
            map(entries)
        };
        let list = Yaml { pos: Pos::default(), value: Value::List(self.git.iter().map(entry).collect()) };
        let version = Value::Scalar { text: VERSION.to_string(), plain: true };
        let tree = map(vec![("version", Yaml { pos: Pos::default(), value: version }), ("git", list)]);
        format!(
            "# Written by `--write-lockfile`; `--locked` uses these commits and no others.\n{}",
            emit::document(&tree)
        )
    }
}

fn map(entries: Vec<(&str, Yaml)>) -> Yaml {
    let key = |name: &str| At { pos: Pos::default(), value: name.to_owned() };
    let entries = entries.into_iter().map(|(name, value)| (key(name), value)).collect();
    Yaml { pos: Pos::default(), value: Value::Map(entries) }
}

fn pin(entry: &Yaml, report: &mut Report) -> Option<Pin> {
    let about = About::default().field("git");
    let text = |key: &str| raw::text(entry, key);
    let (url, commit) = (text("url")?, text("commit")?);
    let refs: Vec<GitRef> = [
        text("branch").map(|at| GitRef::Branch(at.value)),
        text("tag").map(|at| GitRef::Tag(at.value)),
        text("rev").map(|at| GitRef::Rev(at.value)),
    ]
    .into_iter()
    .flatten()
    .collect();
    if refs.len() > 1 {
        report.error(entry.pos, about, "`branch`, `tag` and `rev` exclude each other", &[]);
    }
    if !is_commit(&commit.value) {
        let message =
            format!("`{}` is not a commit; expected all of its 40 hexadecimal digits", shown(&commit.value));
        report.error(commit.pos, about, message, &[]);
    }
    let want = refs.into_iter().next().unwrap_or(GitRef::Default);
    let commit = commit.value.to_ascii_lowercase();
    Some(Pin { source: GitSource { url: url.value, want }, commit, at: report.location(entry.pos) })
}
