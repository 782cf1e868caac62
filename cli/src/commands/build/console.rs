//! What the user sees of a build: lines behind the name of their node, and on a terminal one more line, below them all, that
//! says what goes on.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Write},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// stderr during a build.
#[derive(Debug)]
pub(super) struct Console {
    state: Mutex<State>,
    terminal: bool,
}

#[derive(Debug)]
struct State {
    steps: usize,
    done: usize,
    /// In the order in which they began.
    running: BTreeMap<usize, Running>,
    begun: usize,
    /// The progress line is on the screen.
    drawn: bool,
}

#[derive(Debug)]
struct Running {
    what: String,
    since: Instant,
    detail: String,
}

/// A step that goes on until this is dropped.
pub(super) struct Step<'a> {
    console: &'a Console,
    number: usize,
}

impl Step<'_> {
    /// How far it is, in a few words.
    pub(super) fn detail(&self, text: String) {
        if let Some(running) = self.console.lock().running.get_mut(&self.number) {
            running.detail = text;
        }
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        let mut state = self.console.lock();
        state.running.remove(&self.number);
        state.done += 1;
        self.console.draw(&mut state, "");
    }
}

impl Console {
    pub(super) fn new(steps: usize) -> Self {
        let state = State { steps, done: 0, running: BTreeMap::new(), begun: 0, drawn: false };
        Self { state: Mutex::new(state), terminal: io::stderr().is_terminal() }
    }

    /// One line of output.
    pub(super) fn line(&self, name: &str, text: &str) {
        let mut state = self.lock();
        self.draw(&mut state, &format!("{name}: {text}\n"));
    }

    /// Shows a step in the progress line.
    pub(super) fn step(&self, what: String) -> Step<'_> {
        let mut state = self.lock();
        let number = state.begun;
        state.begun += 1;
        state.running.insert(number, Running { what, since: Instant::now(), detail: String::new() });
        self.draw(&mut state, "");
        Step { console: self, number }
    }

    /// Time has passed.
    pub(super) fn refresh(&self) {
        self.draw(&mut self.lock(), "");
    }

    /// Takes the progress line away.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.running.clear();
        self.draw(&mut state, "");
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes `lines` above the progress line. That nobody reads our stderr is no reason to fail the build.
    fn draw(&self, state: &mut State, lines: &str) {
        let mut text = String::new();
        if state.drawn {
            text += "\r\x1b[2K";
        }
        text += lines;
        state.drawn = self.terminal && !state.running.is_empty();
        if state.drawn {
            let size = rustix::termios::tcgetwinsize(io::stderr());
            // 0 is a terminal that does not know.
            let width =
                size.map(|size| size.ws_col.into()).ok().filter(|width| *width > 1).unwrap_or(80_usize);
            text.extend(progress(state).chars().take(width - 1));
        }
        if !text.is_empty() {
            io::stderr().write_all(text.as_bytes()).unwrap_or_default();
        }
    }
}

/// `[2/5] camera: cargo build (12 s), plot: cloning … (3 s)`
fn progress(state: &State) -> String {
    let steps: Vec<String> = state
        .running
        .values()
        .map(|running| {
            let detail =
                if running.detail.is_empty() { String::new() } else { format!("{}, ", running.detail) };
            format!("{} ({detail}{} s)", running.what, running.since.elapsed().as_secs())
        })
        .collect();
    let number = usize::min(state.done + 1, state.steps);
    format!("[{number}/{}] {}", state.steps, steps.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_names_what_runs_and_counts_what_is_done() {
        let console = Console { terminal: false, ..Console::new(3) };
        let first = console.step("camera: cargo build".into());
        let second = console.step("plot: download".into());
        second.detail("3 of 9 MB".into());
        assert_eq!(
            progress(&console.lock()),
            "[1/3] camera: cargo build (0 s), plot: download (3 of 9 MB, 0 s)"
        );
        drop(first);
        assert_eq!(progress(&console.lock()), "[2/3] plot: download (3 of 9 MB, 0 s)");
        drop(second);
        assert!(console.lock().running.is_empty());
    }
}
