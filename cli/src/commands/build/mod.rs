//! `dora build`: fetches what the nodes are made of, then runs their `build:` lines.
//!
//! ```text
//! plan ─► all mistakes that can be known before ─► fetch: git, downloads ─► lanes of build lines
//!           nothing has been touched yet              side by side            one after the other in a lane,
//!                                                                             lanes side by side
//! ```
//!
//! | where                         | what                                                        |
//! |-------------------------------|-------------------------------------------------------------|
//! | `.dora/git/<repo>-<ref>-<#>`  | clone; working directory of build and run                   |
//! | `build/<name>-<#>/<name>`     | program behind a URL                                        |
//! | `.dora/python-envs/<node>`    | environment of a Python node with build lines under `--uv`  |
//!
//! Output goes to stderr as it comes, each line behind the name of its node, so that stdout stays free. The first step
//! that fails ends the others and the build, and so does Ctrl-C.

mod console;
mod download;
mod git;
mod lines;
mod lock;
mod place;
mod plan;
mod process;
mod sources;

use std::{fs::File, io, path::Path, sync::Arc, time::Duration};

use dora_descriptor::load_with;
use dora_protocol::dataflow::Dataflow;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
};

pub(crate) use self::lock::Locking;
use self::{console::Console, plan::Plan};
use super::{usable, warn_not_yet};
use crate::{
    args::{BuildArgs, given},
    error::{CliError, CliResult},
    interrupts::Interrupts,
};

/// How to build.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// `pip` is `uv pip`, and Python nodes with build lines get an environment of their own.
    pub(crate) uv: bool,
    /// Nodes do not wait for each other though they share a folder.
    pub(crate) parallel: bool,
    /// Nothing is fetched.
    pub(crate) offline: bool,
}

/// What a build did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Built {
    /// Build lines that were run.
    pub(crate) commands: usize,
    /// Repositories and downloads that are in place.
    pub(crate) sources: usize,
}

/// `dora build`
pub(crate) fn run(args: &BuildArgs) -> CliResult {
    let flags = given(&[
        (args.coordinator_addr.is_some(), "--coordinator-addr"),
        (args.coordinator_port.is_some(), "--coordinator-port"),
    ]);
    warn_not_yet(&flags);
    let strict = dora_descriptor::Options { strict_types: args.strict_types, ..Default::default() };
    let loaded = load_with(&args.path, &strict).map_err(|errors| CliError::from_error(&errors))?;
    let mut dataflow = usable(loaded)?.dataflow;
    let options = Options { uv: args.uv, parallel: args.parallel, offline: args.offline };
    let locking = Locking::of(&args.sources, &dataflow)?;
    let built = all(&mut dataflow, options, &locking)?;
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let sources = if built.sources == 0 { String::new() } else { count(built.sources, "source") + ", " };
    println!("built {}: {sources}{}", dataflow.name, count(built.commands, "command"));
    Ok(())
}

/// Fetches every source of `dataflow` and runs every build line. Afterwards the dataflow can be run: its nodes know their
/// folders and their downloaded programs.
///
/// # Errors
/// All that can be known before, and then nothing was done; else the first step that failed. What was done before it is
/// not undone.
pub(crate) fn all(dataflow: &mut Dataflow, options: Options, locking: &Locking) -> CliResult<Built> {
    let mut fetches = sources::place(dataflow)?;
    locking.pin(&mut fetches)?;
    let all = fetches.clone();
    let plan = Plan::new(dataflow, fetches, options)?;
    let built = Built { commands: plan.commands(), sources: plan.fetches.len() };
    work(&dataflow.working_dir, plan)?;
    locking.write(&all)?;
    Ok(built)
}

/// Makes the sources of `dataflow` ready to run without building: what is missing and needs no build lines is fetched, what
/// is there is checked against its digest.
///
/// # Errors
/// When a repository is missing that has to be built, or a source cannot be fetched or is not what it should be.
pub(crate) fn prepare(dataflow: &mut Dataflow) -> CliResult {
    prepare_pinned(dataflow, &Locking::default())
}

/// [`prepare`] with a lockfile: repositories that are there must be at their commits.
///
/// # Errors
/// As [`prepare`]; also when the lockfile does not fit.
pub(crate) fn prepare_pinned(dataflow: &mut Dataflow, locking: &Locking) -> CliResult {
    let mut fetches = sources::place(dataflow)?;
    locking.pin(&mut fetches)?;
    let missing = sources::missing_to_run(fetches.clone())?;
    if !missing.is_empty() {
        let plan = Plan { fetches: missing, lanes: Vec::new(), options: Options::default() };
        work(&dataflow.working_dir, plan)?;
    }
    locking.write(&fetches)
}

/// What all steps share.
#[derive(Clone)]
struct Context {
    console: Arc<Console>,
    /// `true` when the build shall end.
    stop: watch::Receiver<bool>,
    /// Steps that may run at the same time.
    slots: Arc<Semaphore>,
    options: Options,
}

impl Context {
    /// Waits until one more step may run; `None` when the build ends before.
    async fn slot(&mut self) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            biased;
            () = stopped(&mut self.stop) => None,
            slot = self.slots.clone().acquire_owned() => slot.ok(),
        }
    }
}

/// Returns when the build shall end.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that nobody can stop it any more, and that does not happen while steps run.
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// A step did not succeed.
enum Failed {
    /// And this is why.
    Because(Box<CliError>),
    /// It was told to end.
    Stopped,
}

impl From<CliError> for Failed {
    fn from(error: CliError) -> Self {
        Failed::Because(Box::new(error))
    }
}

fn work(working_dir: &Path, plan: Plan) -> CliResult {
    if plan.is_empty() {
        return Ok(());
    }
    let machinery = |error: io::Error| CliError::new("failed to start the build").caused_by(&error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(machinery)?;
    runtime.block_on(async {
        let signals = Interrupts::new().map_err(machinery)?;
        let (stop, stopped) = watch::channel(false);
        let parallel = std::thread::available_parallelism().map_or(1, usize::from);
        let console = Arc::new(Console::new(plan.steps()));
        let context = Context {
            console: console.clone(),
            stop: stopped,
            slots: Arc::new(Semaphore::new(parallel)),
            options: plan.options,
        };
        let outcome = stages(working_dir, plan, context, &stop, signals).await;
        console.end();
        outcome
    })
}

/// Sources first: a build line may use another node's.
async fn stages(
    working_dir: &Path,
    plan: Plan,
    context: Context,
    stop: &watch::Sender<bool>,
    mut signals: Interrupts,
) -> CliResult {
    let lock = match plan.needs_lock() {
        true => Some(lock(working_dir, &mut signals, &context.console).await?),
        false => None,
    };
    if lock.is_some() {
        place::sweep(working_dir);
    }
    let mut fetching = JoinSet::new();
    for fetch in plan.fetches {
        fetching.spawn(sources::fetch(fetch, working_dir.to_owned(), context.clone()));
    }
    together(fetching, stop, &mut signals, &context.console).await?;
    let mut building = JoinSet::new();
    for lane in plan.lanes {
        building.spawn(lines::lane(lane, context.clone()));
    }
    together(building, stop, &mut signals, &context.console).await?;
    drop(lock);
    Ok(())
}

/// Waits for all steps. When one fails, or the user has enough, the others are told to end, and waited for.
async fn together(
    mut steps: JoinSet<Result<(), Failed>>,
    stop: &watch::Sender<bool>,
    signals: &mut Interrupts,
    console: &Console,
) -> CliResult {
    let mut first: Option<CliError> = None;
    let mut interrupts = 0;
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            step = steps.join_next() => match step {
                None => break,
                Some(Ok(Ok(()) | Err(Failed::Stopped))) => {}
                Some(Ok(Err(Failed::Because(error)))) => {
                    first.get_or_insert(*error);
                    stop.send_replace(true);
                }
                Some(Err(error)) => {
                    first.get_or_insert_with(|| CliError::new("a build step broke off").caused_by(&error));
                    stop.send_replace(true);
                }
            },
            () = signals.next() => {
                interrupts += 1;
                first.get_or_insert_with(|| {
                    CliError::new("the build was interrupted").hint("what was finished is kept; `dora build` goes on from there")
                });
                stop.send_replace(true);
                if interrupts > 1 {
                    // Dropping the steps kills what they started.
                    break;
                }
            }
            _ = second.tick() => console.refresh(),
        }
    }
    first.map_or(Ok(()), Err)
}

/// Two builds in one folder would clone into the same place. The lock goes with the process, however it ends.
async fn lock(working_dir: &Path, signals: &mut Interrupts, console: &Console) -> CliResult<File> {
    let folder = place::hidden(working_dir)?;
    let path = folder.join("lock");
    let failed =
        |error: io::Error| CliError::new(format!("failed to lock {}", path.display())).caused_by(&error);
    let file = File::create(&path).map_err(failed)?;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::WouldBlock) => {}
            Err(std::fs::TryLockError::Error(error)) => return Err(failed(error)),
        }
        if !told {
            console.line("dora", &format!("another build works in {}; waiting for it", folder.display()));
            told = true;
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
            () = signals.next() => return Err(CliError::new("the build was interrupted")),
        }
    }
}
