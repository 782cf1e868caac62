//! What a dataflow is made of besides local files: which repositories and downloads, for which nodes, and where.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use dora_protocol::dataflow::{Dataflow, GitRef, GitSource, Location, Node, NodeKind};

use super::{Context, Failed, download, git, place};
use crate::error::{CliError, CliResult};

/// Something to fetch.
#[derive(Clone, Debug)]
pub(super) struct Fetch {
    pub(super) what: What,
    /// The clone, or the file.
    pub(super) to: PathBuf,
    /// The commit that the lockfile pins, all of its digits.
    pub(super) pin: Option<String>,
    /// Who needs it, in the order of the file.
    pub(super) users: Vec<User>,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Git(GitSource),
    Download {
        url: String,
        /// Lower-case hexadecimal digits.
        sha256: Option<String>,
    },
}

/// A node that needs a source.
#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) node: String,
    pub(super) at: Location,
    /// It cannot run before its build lines did.
    pub(super) builds: bool,
}

impl Fetch {
    /// The node that the messages name.
    pub(super) fn node(&self) -> &str {
        self.users.first().map_or("", |user| &user.node)
    }

    /// `flow.yml:3:5: node `camera``
    pub(super) fn place(&self) -> String {
        self.users.first().map_or_else(String::new, |user| format!("{}: node `{}`", user.at, user.node))
    }

    pub(super) fn is_there(&self) -> bool {
        match &self.what {
            What::Git(_) => git::is_clone(&self.to),
            What::Download { .. } => self.to.is_file(),
        }
    }

    /// For messages.
    pub(super) fn text(&self) -> String {
        match &self.what {
            What::Git(source) => format!("repository `{}`", source.url),
            What::Download { url, .. } => format!("`{url}`"),
        }
    }
}

/// Tells the nodes of `dataflow` where their sources lie, and returns these sources, each once. A dataflow that has been
/// through here has no URLs any more.
///
/// # Errors
/// All sources that cannot be right.
pub(super) fn place(dataflow: &mut Dataflow) -> CliResult<Vec<Fetch>> {
    let mut fetches: BTreeMap<PathBuf, Fetch> = BTreeMap::new();
    let mut order = Vec::new();
    let mut problems = Vec::new();
    let working_dir = dataflow.working_dir.clone();
    for node in &mut dataflow.nodes {
        for (at, what, to) in sources_of(node, &working_dir, &mut problems) {
            let user = User { node: node.id.to_string(), at, builds: !node.build.is_empty() };
            let known = fetches.entry(to.clone()).or_insert_with(|| {
                order.push(to.clone());
                Fetch { what: what.clone(), to: to.clone(), pin: None, users: Vec::new() }
            });
            let agreed = agree(known, what, &user);
            known.users.push(user);
            problems.extend(agreed.err());
        }
    }
    if problems.is_empty() {
        Ok(order.iter().filter_map(|to| fetches.remove(to)).collect())
    } else {
        Err(CliError::new(problems.join("\n")))
    }
}

/// Two nodes may name one URL, one of them with its digest; they may not want two digests.
fn agree(known: &mut Fetch, what: What, user: &User) -> Result<(), String> {
    let first = known.node().to_owned();
    if let (What::Download { sha256: one, .. }, What::Download { sha256: Some(other), .. }) =
        (&mut known.what, what)
    {
        if one.as_ref().is_some_and(|one| *one != other) {
            return Err(format!(
                "{}: node `{}`: `path_sha256` is another one than that of node `{first}`, which has the same URL",
                user.at, user.node
            ));
        }
        *one = Some(other);
    }
    Ok(())
}

/// Where the parts of a node come from. Changes its folder, its path and those of its operators to the places where that
/// will be.
fn sources_of(
    node: &mut Node,
    working_dir: &Path,
    problems: &mut Vec<String>,
) -> Vec<(Location, What, PathBuf)> {
    let (at, id) = (node.at.clone(), node.id.clone());
    let mut refuse = |at: &Location, why: String| problems.push(format!("{at}: node `{id}`: {why}"));
    let mut found = Vec::new();
    if let Some(git) = &node.git {
        match git_rules(git) {
            Ok(()) => {
                let to = place::clone(working_dir, git);
                node.working_dir = Some(to.clone());
                found.push((at.clone(), What::Git(git.clone()), to));
            }
            Err(why) => refuse(&at, why),
        }
    }
    match &mut node.kind {
        NodeKind::Executable { path, .. } if is_url(path) && node.git.is_some() => {
            let why = format!("`path` in a repository is a file of the repository, and not the URL `{path}`");
            refuse(&at, why);
        }
        NodeKind::Executable { path, .. } if is_url(path) => {
            match download(path, node.path_sha256.as_ref(), working_dir) {
                Ok((what, to)) => {
                    // A `$` in it is a name and no variable.
                    *path = to.to_string_lossy().replace('$', "$$");
                    found.push((at, what, to));
                }
                Err(why) => refuse(&at, why),
            }
        }
        NodeKind::Runtime { operators } => {
            for operator in operators.iter_mut().filter(|operator| is_url(operator.source.path())) {
                match download(operator.source.path(), operator.sha256.as_ref(), working_dir) {
                    Ok((what, to)) => {
                        *operator.source.path_mut() = to.to_string_lossy().into_owned();
                        found.push((operator.at.clone(), what, to));
                    }
                    Err(why) => refuse(&operator.at, why),
                }
            }
        }
        _ => {}
    }
    found
}

/// A file behind a URL, and where it will lie.
fn download(url: &str, sha256: Option<&String>, working_dir: &Path) -> Result<(What, PathBuf), String> {
    download::check_url(url).map_err(|why| format!("`{url}` is not a URL that can be downloaded: {why}"))?;
    let what = What::Download { url: url.to_owned(), sha256: sha256.cloned() };
    Ok((what, place::program(working_dir, url)))
}

fn is_url(path: &str) -> bool {
    path.starts_with("http://") || path.starts_with("https://")
}

/// What git would refuse in its own words later, or take for an option.
fn git_rules(source: &GitSource) -> Result<(), String> {
    if source.url.starts_with('-') || source.url.contains(['\n', '\0']) {
        return Err(format!("`git: {}` is not the URL of a repository", source.url.escape_debug()));
    }
    let refused = |c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c);
    match &source.want {
        GitRef::Default => Ok(()),
        GitRef::Branch(name) | GitRef::Tag(name) => {
            let bad = name.is_empty()
                || name.starts_with(['-', '/', '.'])
                || name.ends_with(['/', '.'])
                || name.contains("..")
                || name.contains(refused);
            let kind = if matches!(source.want, GitRef::Tag(_)) { "tag" } else { "branch" };
            if bad {
                Err(format!("`{kind}: {}` cannot be the name of a {kind}", name.escape_debug()))
            } else {
                Ok(())
            }
        }
        GitRef::Rev(rev) => {
            let hex = (4..=64).contains(&rev.len()) && rev.bytes().all(|byte| byte.is_ascii_hexdigit());
            let why = || {
                format!(
                    "`rev: {}` is not a commit in hexadecimal digits; a branch is written `branch: …`, a tag `tag: …`",
                    rev.escape_debug()
                )
            };
            if hex { Ok(()) } else { Err(why()) }
        }
    }
}

/// What `dora run` has to fetch. A program that is there is checked against its digest.
///
/// # Errors
/// All nodes that need `dora build` first.
pub(super) fn missing_to_run(fetches: Vec<Fetch>) -> CliResult<Vec<Fetch>> {
    let (there, missing): (Vec<Fetch>, Vec<Fetch>) = fetches.into_iter().partition(Fetch::is_there);
    let mut problems = Vec::new();
    for fetch in &there {
        if let What::Download { url, sha256: Some(expected) } = &fetch.what {
            download::check_digest(&fetch.to, expected).map_err(|why| {
                let hint = "`dora build` downloads it again";
                CliError::new(format!("{}: `{url}` {why}", fetch.place())).hint(hint)
            })?;
        }
    }
    for (fetch, pin) in there.iter().filter_map(|fetch| Some((fetch, fetch.pin.as_ref()?))) {
        let at = git::head(&fetch.to).unwrap_or_else(|why| why);
        if at != *pin {
            problems.push(format!("{}: {} is at {at}, and {pin} is pinned", fetch.place(), fetch.text()));
        }
    }
    if !problems.is_empty() {
        let hint = "`dora build --locked` brings it there, and so does `dora run --locked --build`";
        return Err(CliError::new(problems.join("\n")).hint(hint));
    }
    for fetch in missing.iter().filter(|fetch| matches!(fetch.what, What::Git(_))) {
        problems.extend(fetch.users.iter().filter(|user| user.builds).map(|user| {
            format!("{}: node `{}`: {} has not been cloned and built", user.at, user.node, fetch.text())
        }));
    }
    if problems.is_empty() {
        return Ok(missing);
    }
    let hint = "run `dora build` first, or `dora run --build`";
    Err(CliError::new(problems.join("\n")).hint(hint))
}

/// Fetches one source, as one step.
pub(super) async fn fetch(fetch: Fetch, working_dir: PathBuf, mut context: Context) -> Result<(), Failed> {
    let Some(_slot) = context.slot().await else { return Err(Failed::Stopped) };
    match &fetch.what {
        What::Git(source) => git::fetch(&fetch, source, &working_dir, &mut context).await,
        What::Download { url, sha256 } => download::fetch(&fetch, url, sha256.as_deref(), &mut context).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(want: GitRef) -> Result<(), String> {
        git_rules(&GitSource { url: "https://example.com/r".into(), want })
    }

    #[test]
    fn names_that_git_would_take_for_something_else_are_refused_before_it_runs() {
        for good in ["main", "feature/arm-2", "v1.0", "ü"] {
            assert_eq!(rule(GitRef::Branch(good.into())), Ok(()), "{good}");
        }
        for bad in ["", "-x", "a b", "a..b", "a~1", "HEAD^", "a:b", "/a", "a/", "a\n"] {
            assert!(rule(GitRef::Branch(bad.into())).is_err(), "{bad:?}");
            assert!(rule(GitRef::Tag(bad.into())).unwrap_err().contains("tag"), "{bad:?}");
        }
        assert_eq!(rule(GitRef::Rev("ABCDEF12".into())), Ok(()));
        assert!(rule(GitRef::Rev("main".into())).unwrap_err().contains("branch: …"));
        assert!(rule(GitRef::Rev("abc".into())).is_err(), "three digits fit too many commits");
        let url = GitSource { url: "--upload-pack=x".into(), want: GitRef::Default };
        assert!(git_rules(&url).is_err());
    }
}
