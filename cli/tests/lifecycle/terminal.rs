//! A terminal for a command, and what stands on it.

use std::{
    fs::File,
    io::{Read, Write},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize},
};

use crate::wait;

/// A command on a pseudo-terminal of 160 × 24.
pub(crate) struct OnTerminal {
    child: Child,
    keyboard: File,
    /// Everything that was written to the terminal.
    shown: Arc<Mutex<String>>,
    reader: thread::JoinHandle<()>,
    before: Termios,
}

impl OnTerminal {
    pub(crate) fn start(command: &mut Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("a usable terminal");
        let name = ptsname(&master, Vec::new()).expect("a name").into_string().expect("text");
        tcsetwinsize(&master, Winsize { ws_row: 24, ws_col: 160, ws_xpixel: 0, ws_ypixel: 0 })
            .expect("a size");
        let slave = || Stdio::from(File::options().read(true).write(true).open(&name).expect("the terminal"));
        let before = tcgetattr(&master).expect("its settings");
        let child = command.env("TERM", "xterm").stdin(slave()).stdout(slave()).stderr(slave()).spawn();
        let keyboard = File::from(master);
        let shown: Arc<Mutex<String>> = Arc::default();
        let (mut screen, text) = (keyboard.try_clone().expect("a copy"), shown.clone());
        let reader = thread::spawn(move || {
            let mut bytes = [0; 4096];
            // An error: the command has ended and nobody holds the terminal any more.
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                let new = String::from_utf8_lossy(&bytes[..count]).into_owned();
                text.lock().unwrap_or_else(PoisonError::into_inner).push_str(&new);
            }
        });
        Self { child: child.expect("dora starts"), keyboard, shown, reader, before }
    }

    pub(crate) fn shown(&self) -> String {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until this was shown.
    pub(crate) fn wait_for(&self, text: &str) {
        wait(&format!("`{text}` on the terminal"), || self.shown().contains(text));
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// Waits for the end; the terminal must be as it was.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().expect("dora ends");
        let modes = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        let after = tcgetattr(&self.keyboard).expect("its settings");
        assert_eq!(
            after.local_modes & modes,
            self.before.local_modes & modes,
            "the terminal was left in raw mode"
        );
        self.reader.join().expect("everything was read");
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let count = |code: &str| shown.matches(code).count();
        assert_eq!(count("\x1b[?1049h"), count("\x1b[?1049l"), "the alternate screen was not left");
        (status, shown)
    }
}
