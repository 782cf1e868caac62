//! Says which operator it was when a signal ends the process.
//!
//! The handler only looks at a thread-local number and writes texts that were made at the start; then the signal does
//! what it would have done without it, so the daemon sees the same end.
#![expect(unsafe_code, reason = "a signal handler")]

use std::{cell::Cell, ffi::c_int, mem, ptr, sync::OnceLock};

/// No operator is running on this thread.
const NONE: u32 = u32::MAX;

thread_local! {
    static CURRENT: Cell<u32> = const { Cell::new(NONE) };
}

/// Begin of the sentence, per operator; the last one is for the runtime itself.
static TEXTS: OnceLock<Vec<String>> = OnceLock::new();

const SIGNALS: [(c_int, &str); 5] = [
    (libc::SIGSEGV, "SIGSEGV (it touched memory that is not its own)\n"),
    (libc::SIGBUS, "SIGBUS (it touched memory that is not there)\n"),
    (libc::SIGFPE, "SIGFPE (an impossible calculation, such as a division by zero)\n"),
    (libc::SIGILL, "SIGILL (an instruction that this machine does not have)\n"),
    (libc::SIGABRT, "SIGABRT (it gave up, as a failed assertion does)\n"),
];

/// Runs an operator: a signal meanwhile is told of it.
pub(crate) fn during<R>(operator: u32, run: impl FnOnce() -> R) -> R {
    let before = CURRENT.replace(operator);
    let result = run();
    CURRENT.set(before);
    result
}

/// Installs the handlers. `operators` are the names, in the order of their numbers.
pub(crate) fn watch(runtime: &str, operators: &[String]) {
    let of_operator = |name: &String| format!("operator `{name}` of runtime `{runtime}` was ended by ");
    let mut texts: Vec<String> = operators.iter().map(of_operator).collect();
    texts.push(format!("runtime `{runtime}` was ended, outside of its operators, by "));
    if TEXTS.set(texts).is_err() {
        return;
    }
    for (signal, _) in SIGNALS {
        // SAFETY: a zeroed `sigaction` with handler, flags and an empty mask is a valid one; the handler is async-signal-safe.
        unsafe {
            let mut action: libc::sigaction = mem::zeroed();
            let handler: extern "C" fn(c_int) = handler;
            action.sa_sigaction = handler as usize;
            // Once: back in the operator the same instruction ends the process in the ordinary way. On the stack that Rust gives to
            // its threads for this, so that a stack overflow is told, too.
            action.sa_flags = libc::SA_RESETHAND | libc::SA_ONSTACK;
            libc::sigemptyset(&raw mut action.sa_mask);
            libc::sigaction(signal, &raw const action, ptr::null_mut());
        }
    }
}

extern "C" fn handler(signal: c_int) {
    let current = CURRENT.get();
    if let Some(texts) = TEXTS.get()
        && let Some(text) = texts.get(current as usize).or(texts.last())
    {
        write(text.as_bytes());
        let name = SIGNALS.iter().find(|(number, _)| *number == signal);
        write(name.map_or("a signal\n", |(_, name)| name).as_bytes());
    }
}

fn write(bytes: &[u8]) {
    // SAFETY: `write` is async-signal-safe; the slice is live. What could not be written cannot be told anywhere.
    unsafe { libc::write(libc::STDERR_FILENO, bytes.as_ptr().cast(), bytes.len()) };
}
