//! Clones and updates repositories by calling `git`, so that the user's keys, proxies and credentials count.
//!
//! A commit or a tag that is in the clone is taken from there without asking anybody; a branch is looked up again on every
//! build. A new clone is made beside its place and moved there when it is whole, so a build that was broken off leaves
//! nothing that looks like one. What the user changed in a clone is never thrown away: git refuses, and its words are shown.

use std::{fs, path::Path};

use dora_descriptor::nearest;
use dora_protocol::dataflow::{GitRef, GitSource};
use tokio::process::Command;

use super::{
    Context, Failed, lock, place,
    process::{self, Finished},
    sources::Fetch,
    stopped,
};
use crate::error::CliError;

/// Set while git runs a hook; they would point our git at another repository.
const OF_ANOTHER_REPOSITORY: [&str; 7] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
];

/// Is there a clone at `folder`?
pub(super) fn is_clone(folder: &Path) -> bool {
    folder.join(".git").exists()
}

/// All digits of the commit that the clone is at, or why nobody knows.
pub(super) fn head(clone: &Path) -> Result<String, String> {
    let mut parse = command(clone);
    parse.args(["rev-parse", "--verify", "--quiet", "HEAD"]);
    let output = parse.as_std_mut().output().map_err(|error| format!("`git` cannot be run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && !text.is_empty() { Ok(text) } else { Err("no commit".to_owned()) }
}

/// Clones or updates `source` and checks out what is wanted of it.
pub(super) async fn fetch(
    fetch: &Fetch,
    source: &GitSource,
    working_dir: &Path,
    context: &mut Context,
) -> Result<(), Failed> {
    let console = context.console.clone();
    let _step = console.step(format!("{}: git {}", fetch.node(), source.url));
    let job = Job { fetch, source, working_dir };
    if is_clone(&fetch.to) {
        job.update(context).await?;
        return job.check_out(&fetch.to, context).await;
    }
    place::hidden(working_dir)?;
    let fresh = place::part(&fetch.to);
    let outcome = job.clone(&fresh, context).await;
    if outcome.is_err() {
        // What cannot be deleted is in nobody's way: its name is not used again.
        fs::remove_dir_all(&fresh).unwrap_or_default();
    }
    outcome
}

/// One repository.
struct Job<'a> {
    fetch: &'a Fetch,
    source: &'a GitSource,
    working_dir: &'a Path,
}

impl Job<'_> {
    async fn clone(&self, fresh: &Path, context: &mut Context) -> Result<(), Failed> {
        let users: Vec<&str> = self.fetch.users.iter().map(|user| user.node.as_str()).collect();
        let of = if users.len() > 1 { format!(" for {}", users.join(", ")) } else { String::new() };
        context
            .console
            .line(self.fetch.node(), &format!("cloning {} ({}){of}", self.source.url, self.wanted()));
        let mut clone = command(self.working_dir);
        clone
            .args(["clone", "--quiet", "--no-checkout", "--origin", "origin", "--", &self.source.url])
            .arg(fresh);
        self.git(clone, "cannot be cloned", context).await?;
        if self.commit(fresh, context).await?.is_none() {
            self.fetch_unadvertised(fresh, context).await?;
        }
        self.check_out(fresh, context).await?;
        fs::rename(fresh, &self.fetch.to).map_err(|error| {
            self.error(&format!("cannot be moved to {}", self.fetch.to.display())).caused_by(&error).into()
        })
    }

    /// Fetches, when what is wanted is not here for sure.
    async fn update(&self, context: &mut Context) -> Result<(), Failed> {
        let moves =
            self.fetch.pin.is_none() && matches!(self.source.want, GitRef::Default | GitRef::Branch(_));
        if context.options.offline || (!moves && self.commit(&self.fetch.to, context).await?.is_some()) {
            return Ok(());
        }
        let mut fetch = command(&self.fetch.to);
        fetch.args(["fetch", "--quiet", "--prune", "--tags", "--force", "origin"]);
        let finished = self.run(fetch, context).await?;
        if !finished.status.success() {
            let error = self.error(&format!("cannot be updated: `git fetch` {}", finished.text()));
            return Err(error.hint("`dora build --offline` builds what was fetched before").into());
        }
        if self.source.want == GitRef::Default {
            let mut head = command(&self.fetch.to);
            head.args(["remote", "set-head", "origin", "--auto"]);
            self.quietly(head, context).await?;
        }
        if self.commit(&self.fetch.to, context).await?.is_none() {
            self.fetch_unadvertised(&self.fetch.to, context).await?;
        }
        Ok(())
    }

    /// A commit that no branch and no tag leads to can be had by its full name, where the server allows it.
    async fn fetch_unadvertised(&self, clone: &Path, context: &mut Context) -> Result<(), Failed> {
        let commit = self.fetch.pin.as_deref().or(match &self.source.want {
            GitRef::Rev(rev) => Some(rev.as_str()),
            _ => None,
        });
        if let Some(commit) = commit.filter(|commit| matches!(commit.len(), 40 | 64))
            && !context.options.offline
        {
            let mut fetch = command(clone);
            fetch.args(["fetch", "--quiet", "origin", commit]);
            self.quietly(fetch, context).await?;
        }
        Ok(())
    }

    async fn check_out(&self, clone: &Path, context: &mut Context) -> Result<(), Failed> {
        let Some(commit) = self.commit(clone, context).await? else {
            return Err(self.no_such_reference(clone, context).await?.into());
        };
        let mut head = command(clone);
        head.args(["rev-parse", "--verify", "--quiet", "HEAD"]);
        let at = self.quietly(head, context).await?.unwrap_or_default();
        // A clone without a checkout has its HEAD where it should be, and no files.
        if at.trim() != commit || !clone.join(".git/index").exists() {
            let mut checkout = command(clone);
            checkout.args(["-c", "advice.detachedHead=false", "checkout", "--quiet", "--detach", &commit]);
            let finished = self.run(checkout, context).await?;
            if !finished.status.success() {
                let why =
                    format!("cannot be brought to {}: `git checkout` {}", self.wanted(), finished.text());
                let hint =
                    format!("look into {}; deleting it makes `dora build` clone again", clone.display());
                return Err(self.error(&why).hint(hint).into());
            }
        }
        if clone.join(".gitmodules").exists() {
            let mut submodules = command(clone);
            submodules.args(["submodule", "--quiet", "update", "--init", "--recursive"]);
            self.git(submodules, "has submodules that cannot be had", context).await?;
        }
        let short = commit.get(..12).unwrap_or(&commit);
        context
            .console
            .line(self.fetch.node(), &format!("{} is at {short} ({})", self.source.url, self.wanted()));
        Ok(())
    }

    /// The commit that is wanted, if the clone has it.
    async fn commit(&self, clone: &Path, context: &mut Context) -> Result<Option<String>, Failed> {
        let name = match &self.source.want {
            _ if self.fetch.pin.is_some() => {
                format!("{}^{{commit}}", self.fetch.pin.as_deref().unwrap_or_default())
            }
            GitRef::Default => "refs/remotes/origin/HEAD^{commit}".to_owned(),
            GitRef::Branch(name) => format!("refs/remotes/origin/{name}^{{commit}}"),
            GitRef::Tag(name) => format!("refs/tags/{name}^{{commit}}"),
            GitRef::Rev(rev) => format!("{rev}^{{commit}}"),
        };
        let mut parse = command(clone);
        parse.args(["rev-parse", "--verify", "--quiet", "--end-of-options", &name]);
        Ok(self.quietly(parse, context).await?.map(|commit| commit.trim().to_owned()))
    }

    /// Says what is missing, and what the repository has instead.
    async fn no_such_reference(&self, clone: &Path, context: &mut Context) -> Result<CliError, Failed> {
        if let Some(pin) = &self.fetch.pin {
            let error = self.error(&format!("has no commit {pin}, which the lockfile pins"));
            return Ok(
                error.hint("it is gone from the repository; `dora build --write-lockfile` pins another")
            );
        }
        let (text, folder) = match &self.source.want {
            GitRef::Default => return Ok(self.error("has no branch to start with; name one with `branch:`")),
            GitRef::Rev(rev) => {
                let error = self.error(&format!("has no commit `{rev}`, or more than one that begins so"));
                return Ok(error.hint("write all 40 digits; the commit must have been pushed"));
            }
            GitRef::Branch(name) => (name, "refs/remotes/origin"),
            GitRef::Tag(name) => (name, "refs/tags"),
        };
        let mut list = command(clone);
        list.args(["for-each-ref", "--format=%(refname)", folder]);
        let all = self.quietly(list, context).await?.unwrap_or_default();
        let names: Vec<&str> = all
            .lines()
            .filter_map(|line| line.strip_prefix(folder)?.strip_prefix('/'))
            .filter(|name| *name != "HEAD")
            .collect();
        let error = self.error(&format!("has no {}", self.wanted()));
        Ok(match nearest(text, names.iter().copied()) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None if names.is_empty() => error.hint("it has none at all"),
            None => error.hint(format!("it has {}", names[..names.len().min(20)].join(", "))),
        })
    }

    /// For messages: ``branch `main` ``.
    fn wanted(&self) -> String {
        let pinned = if self.fetch.pin.is_some() { ", pinned" } else { "" };
        format!("{}{pinned}", lock::wanted(self.source))
    }

    fn error(&self, what: &str) -> CliError {
        CliError::new(format!("{}: {} {what}", self.fetch.place(), self.fetch.text()))
    }

    /// Runs git and shows what it prints.
    async fn run(&self, command: Command, context: &mut Context) -> Result<Finished, Failed> {
        let finished = process::run(command, self.fetch.node(), context).await;
        finished.map_err(|broken| {
            broken.or(|error| self.error("needs `git`, which cannot be run").caused_by(&error))
        })
    }

    /// Runs git; that it fails is an error.
    async fn git(&self, command: Command, what: &str, context: &mut Context) -> Result<(), Failed> {
        let finished = self.run(command, context).await?;
        if finished.status.success() {
            return Ok(());
        }
        let hint = "check the URL, the network, and that you may read the repository: nothing can be asked during a build";
        Err(self.error(&format!("{what}: `git` {}", finished.text())).hint(hint).into())
    }

    /// Runs git for what it prints; `None` when it fails, and then nobody needs to know why.
    async fn quietly(&self, mut command: Command, context: &mut Context) -> Result<Option<String>, Failed> {
        if *context.stop.borrow() {
            return Err(Failed::Stopped);
        }
        let output = tokio::select! {
            output = process::detached(&mut command).kill_on_drop(true).output() => output,
            () = stopped(&mut context.stop) => return Err(Failed::Stopped),
        };
        let output =
            output.map_err(|error| self.error("needs `git`, which cannot be run").caused_by(&error))?;
        Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
    }
}

/// `git` in `folder`, unable to ask for a password.
fn command(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(folder).env("GIT_TERMINAL_PROMPT", "0");
    for name in OF_ANOTHER_REPOSITORY {
        command.env_remove(name);
    }
    let own_ssh = ["GIT_SSH_COMMAND", "GIT_SSH"].iter().any(|name| std::env::var_os(name).is_some());
    if !own_ssh {
        command.env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes");
    }
    command
}
