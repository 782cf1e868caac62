//! What the end of a process means: success, its own failure, or something dora did to it.
//!
//! Pure: takes what is known about the node, gives the words of the report.

use std::time::Duration;

/// How a process ended, as the kernel tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Code(i32),
    Signal(i32),
}

impl Exit {
    /// From the status word of `wait4`.
    pub(crate) fn from_status(status: i32) -> Self {
        if libc::WIFSIGNALED(status) {
            Exit::Signal(libc::WTERMSIG(status))
        } else {
            Exit::Code(libc::WEXITSTATUS(status))
        }
    }

    /// `0`, an exit code, or `signal SIGKILL`.
    pub(crate) fn text(self) -> String {
        match self {
            Exit::Code(code) => code.to_string(),
            Exit::Signal(number) => format!("signal {}", signal_name(number)),
        }
    }
}

/// Why dora ended a node, or told it to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It was asked to stop, in good order.
    Stopped,
    /// It was asked to stop and did not within this time.
    Grace(Duration),
    /// SIGKILL at the user's request, which is no failure.
    UserKill,
    /// It had not connected within this time.
    Startup(Duration),
    /// It had been in one handler for longer than allowed.
    Health {
        /// How long.
        silent: Duration,
        /// Its `health_check_timeout`.
        limit: Duration,
    },
    /// What it said to the daemon could not be understood.
    Garbage(String),
    /// It was not let in.
    Refused(String),
    /// It closed its connection and went on running.
    LinkLost,
    /// It missed a deadline that stops the dataflow.
    Deadline(String),
    /// The real-time set-up of some node was refused, so nothing was started.
    NotStarted,
}

/// What is known about a node when it has ended.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) exit: Exit,
    /// The first thing dora held against it.
    pub(crate) cause: Option<Cause>,
    /// It said `Hello`.
    pub(crate) connected: bool,
    /// It has inputs or outputs and is no shell command, so it ought to have.
    pub(crate) should_connect: bool,
}

/// Why the node counts as failed; `None` when it does not.
pub(crate) fn failure(history: &History) -> Option<String> {
    match (&history.cause, history.exit) {
        // It listened to the signal and ended as it should.
        (Some(Cause::Grace(_)), Exit::Code(0)) => None,
        (Some(Cause::Grace(after)), _) => {
            Some(format!("killed by dora, because it did not end within {after:?} of being asked to stop"))
        }
        // Any other end was its own, and faster than the signal.
        (Some(Cause::UserKill), Exit::Signal(libc::SIGKILL | libc::SIGTERM) | Exit::Code(0)) => None,
        (Some(Cause::Startup(limit)), _) => Some(format!(
            "killed by dora, because it did not connect within its startup_timeout of {limit:?}"
        )),
        (Some(Cause::Health { silent, limit }), _) => Some(format!(
            "killed by dora, health check: silent for {silent:?}, past its health_check_timeout of {limit:?}"
        )),
        (Some(Cause::Garbage(what)), _) => Some(format!("killed by dora, because it {what}")),
        (Some(Cause::Refused(why)), _) => Some(why.clone()),
        (Some(Cause::Deadline(what)), _) => Some(format!("missed a deadline: {what}")),
        (Some(Cause::LinkLost), _) => {
            Some("killed by dora, because it closed its connection to dora and went on running".into())
        }
        (Some(Cause::NotStarted), _) => None,
        // A node that never had a connection cannot be told to stop otherwise.
        (Some(Cause::Stopped), Exit::Signal(libc::SIGTERM)) if !history.connected => None,
        (Some(Cause::Stopped), Exit::Code(0)) => None,
        (None, Exit::Code(0)) if history.connected || !history.should_connect => None,
        (None, Exit::Code(0)) => Some("exited with code 0 before it connected to dora".into()),
        (_, Exit::Code(code)) if history.connected || !history.should_connect => {
            Some(format!("exited with code {code}"))
        }
        (_, Exit::Code(code)) => Some(format!("exited with code {code} before it connected to dora")),
        (_, Exit::Signal(number)) => Some(format!("ended by signal {}", signal_name(number))),
    }
}

/// `SIGKILL`, or the number where it has no common name.
pub(crate) fn signal_name(number: i32) -> String {
    let name = match number {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGSYS => "SIGSYS",
        _ => return number.to_string(),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn every_end_of_a_node_is_told_in_the_right_words() {
        use Exit::{Code, Signal};
        /// Exit, cause, connected, should connect; a part of the failure, or none.
        type Row = (Exit, Option<Cause>, bool, bool, Option<&'static str>);
        let health = Cause::Health { silent: 2 * SECOND, limit: SECOND };
        let table: [Row; 25] = [
            (Code(0), None, true, true, None),
            (Code(0), None, false, false, None),
            (Code(0), None, false, true, Some("before it connected")),
            (Code(3), None, true, true, Some("exited with code 3")),
            (Code(3), None, false, true, Some("code 3 before it connected")),
            (Code(3), None, false, false, Some("exited with code 3")),
            (Signal(libc::SIGKILL), None, true, true, Some("signal SIGKILL")),
            (Signal(libc::SIGSEGV), None, false, true, Some("signal SIGSEGV")),
            (Code(0), Some(Cause::Stopped), true, true, None),
            (Code(0), Some(Cause::Stopped), false, true, None),
            (Code(1), Some(Cause::Stopped), true, true, Some("exited with code 1")),
            (Signal(libc::SIGTERM), Some(Cause::Stopped), false, false, None),
            (Signal(libc::SIGTERM), Some(Cause::Stopped), true, true, Some("signal SIGTERM")),
            (Signal(libc::SIGTERM), Some(Cause::Grace(SECOND)), true, true, Some("did not end within 1s")),
            (Code(0), Some(Cause::Grace(SECOND)), true, true, None),
            (Code(1), Some(Cause::Refused("too old".into())), true, true, Some("too old")),
            (Signal(libc::SIGKILL), Some(Cause::Grace(SECOND)), true, true, Some("did not end within 1s")),
            (Signal(libc::SIGKILL), Some(Cause::UserKill), true, true, None),
            (Signal(libc::SIGTERM), Some(Cause::UserKill), true, true, None),
            (Signal(libc::SIGSEGV), Some(Cause::UserKill), true, true, Some("signal SIGSEGV")),
            (Code(3), Some(Cause::UserKill), true, true, Some("exited with code 3")),
            (Signal(libc::SIGKILL), Some(Cause::Startup(SECOND)), false, true, Some("startup_timeout of 1s")),
            (Signal(libc::SIGKILL), Some(health), true, true, Some("silent for 2s, past its")),
            (Signal(libc::SIGKILL), Some(Cause::Garbage("sent x".into())), true, true, Some("it sent x")),
            (Code(1), Some(Cause::NotStarted), true, true, None),
        ];
        for (exit, cause, connected, should_connect, expected) in table {
            let history = History { exit, cause, connected, should_connect };
            let found = failure(&history);
            match expected {
                None => assert_eq!(found, None, "{history:?}"),
                Some(part) => {
                    assert!(found.as_ref().is_some_and(|f| f.contains(part)), "{history:?}: {found:?}")
                }
            }
        }
    }

    #[test]
    fn exits_read_as_the_report_promises() {
        assert_eq!(Exit::Code(0).text(), "0");
        assert_eq!(Exit::Signal(libc::SIGKILL).text(), "signal SIGKILL");
        assert_eq!(Exit::Signal(50).text(), "signal 50");
    }
}
