//! Starting one of our own commands in the background, and learning why it ended if it does so at once.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use crate::{
    commands::daemon::home::Home,
    error::{CliError, CliResult},
};

/// Most of a log that is shown, in bytes.
const SHOWN: u64 = 8 << 10;

/// A process that was just started.
pub(super) struct Started {
    /// What it is, for messages.
    what: &'static str,
    child: Child,
    log: PathBuf,
    /// Length of the log before.
    from: u64,
}

impl Started {
    /// Starts `dora <args>` in the home folder, without the terminal; what it says goes into its log file.
    ///
    /// # Errors
    /// When its log file cannot be opened, or it cannot be started.
    pub(super) fn new(home: &Home, what: &'static str, args: &[String]) -> CliResult<Self> {
        let failed =
            |error: std::io::Error| CliError::new(format!("failed to start the {what}")).caused_by(&error);
        let (log, file) = home.log(what)?;
        let from = file.metadata().map_err(failed)?.len();
        let also = file.try_clone().map_err(failed)?;
        let program = std::env::current_exe().map_err(failed)?;
        // Its own working directory must not keep a folder of the user's busy.
        let child = Command::new(program)
            .arg(what)
            .args(args)
            .arg("--detached")
            .current_dir(home.folder())
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(also)
            .spawn()
            .map_err(failed)?;
        Ok(Self { what, child, log, from })
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where it writes.
    pub(super) fn log(&self) -> &std::path::Path {
        &self.log
    }

    /// Does it still run?
    ///
    /// # Errors
    /// What it said before it ended.
    pub(super) fn check(&mut self) -> CliResult {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.failure(&format!("the {} ended at once ({status})", self.what))),
            Err(error) => Err(CliError::new(format!("failed to watch the {}", self.what)).caused_by(&error)),
        }
    }

    /// Gives it up: it runs and does not do what it should.
    pub(super) fn give_up(mut self, why: &str) -> CliError {
        // One that has just ended needs neither.
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
        self.failure(&format!("the {} {why}", self.what))
    }

    fn failure(&self, message: &str) -> CliError {
        let said = self.said();
        let text = if said.is_empty() { message.to_owned() } else { format!("{message}. It said:\n{said}") };
        CliError::new(text).hint(format!("its log is {}", self.log.display()))
    }

    /// What it wrote since it was started; the end of it, when that is much.
    fn said(&self) -> String {
        let read = || {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(self.from.max(length.saturating_sub(SHOWN))))?;
            let mut bytes = Vec::new();
            file.take(SHOWN).read_to_end(&mut bytes)?;
            std::io::Result::Ok(bytes)
        };
        // That the log cannot be read is less than what is told beside it.
        let text = read().unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().filter(|line| !line.is_empty() && *line != "[ERROR]");
        lines.map(|line| format!("  {line}\n")).collect::<String>().trim_end().to_owned()
    }
}
