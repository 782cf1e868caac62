//! The C API called from Rust, in this process: every path that hands memory over, in numbers and from several threads.
//!
//! For the address sanitizer of Rust, which sees the inside of the library (that of C sees only the outside): the command is in
//! `docs/testing.md`.
#![expect(unsafe_code, reason = "calls the functions as C does")]

use std::{
    ffi::{CStr, c_void},
    fs,
    path::Path,
    ptr, thread,
};

use dora_node_api_c::*;

/// Messages that are passed on.
const ROUNDS: usize = 200;

/// Room for either struct of the Arrow C data interface, and how to release it.
#[repr(C, align(8))]
struct Raw<const WORDS: usize>([usize; WORDS]);

type Array = Raw<10>;
type Schema = Raw<9>;

impl<const WORDS: usize> Raw<WORDS> {
    /// The last two words are the release function and its data.
    fn release(&mut self) {
        let function = self.0[WORDS - 2];
        if function != 0 {
            // SAFETY: the struct was filled by `dora_export_input`, so this word is its release function.
            let function: unsafe extern "C" fn(*mut c_void) = unsafe { std::mem::transmute(function) };
            // SAFETY: as the standard lays down: called once, with the struct.
            unsafe { function(self.0.as_mut_ptr().cast()) };
        }
    }
}

fn last_error() -> String {
    // SAFETY: ends with a zero, and lives until the next failure on this thread.
    unsafe { CStr::from_ptr(dora_last_error()) }.to_string_lossy().into_owned()
}

#[track_caller]
fn good(status: i32) {
    assert_eq!(status, 0, "{}", last_error());
}

/// Joins a test with a text, a list and a number per round.
fn join() -> *mut c_void {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("c-from-rust");
    fs::create_dir_all(&folder).expect("the target folder is writable");
    let row = |id: &str, data: &str| {
        format!(r#"{{"type": "Input", "time_offset_secs": 0, "id": "{id}", "data": {data}}}"#)
    };
    let rows = (0..ROUNDS).map(|n| {
        let text = format!("\"{}\"", "x".repeat(n));
        [row("text", &text), row("list", &format!("[[{n}], null, [1, 2]]")), row("number", &n.to_string())]
            .join(",\n")
    });
    let rows: Vec<String> = rows.collect();
    let events = format!(r#"{{"id": "relay", "outputs": ["out"], "events": [{}]}}"#, rows.join(",\n"));
    let inputs = folder.join("events.json");
    fs::write(&inputs, events).expect("the target folder is writable");
    // SAFETY: the only test of this binary; no other thread reads the environment yet.
    unsafe {
        std::env::set_var("DORA_TEST_WITH_INPUTS", &inputs);
        std::env::set_var("DORA_TEST_WRITE_OUTPUTS_TO", folder.join("outputs.jsonl"));
    }
    let ctx = init_dora_context_from_env();
    assert!(!ctx.is_null(), "{}", last_error());
    ctx
}

/// Passes an input on as an array that outlives its event.
///
/// # Safety
/// As the C API: `ctx` and `event` are handles.
unsafe fn relay(ctx: *mut c_void, event: *mut c_void) {
    let (mut array, mut schema) = (Raw([0; 10]) as Array, Raw([0; 9]) as Schema);
    let out = (c"out".as_ptr(), 3);
    // SAFETY: both structs are large enough and outlive the calls.
    unsafe {
        let (array, schema) = (array.0.as_mut_ptr().cast(), schema.0.as_mut_ptr().cast());
        let metadata = dora_copy_metadata(event);
        good(dora_metadata_set_string(metadata, c"from".as_ptr(), 4, c"rust".as_ptr(), 4));
        good(dora_export_input(event, array, schema));
        free_dora_event(event);
        good(dora_send_arrow(ctx, out.0, out.1, array, schema, metadata));
        good(dora_free_metadata(metadata));
        assert!(dora_send_arrow(ctx, out.0, out.1, array, schema, ptr::null()) < 0, "sent twice");
    }
    array.release();
    schema.release();
}

/// Writes a loan, and sends every second one.
///
/// # Safety
/// As the C API: `ctx` is a handle.
unsafe fn lend(ctx: *mut c_void, round: usize) {
    let (mut loan, mut room) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: the places for the results are there; the room is as long as was asked for.
    unsafe {
        good(dora_loan_output(ctx, c"out".as_ptr(), 3, 10, round, &mut loan, &mut room));
        std::slice::from_raw_parts_mut(room.cast::<f64>(), round).fill(round as f64);
        good(if round.is_multiple_of(2) {
            dora_send_loan(loan, ptr::null())
        } else {
            dora_discard_loan(loan)
        });
        assert!(dora_send_loan(loan, ptr::null()) < 0, "sent twice");
    }
}

#[test]
fn memory_that_changes_hands_is_released_once_and_stale_handles_are_refused() {
    let ctx = join();
    let mut kept = Vec::new();
    for round in 0..3 * ROUNDS {
        let event = dora_next_event(ctx);
        assert!(!event.is_null(), "round {round}: {}", last_error());
        if round % 7 == 0 {
            kept.push(event.expose_provenance());
            continue;
        }
        // SAFETY: the handles are alive.
        unsafe { relay(ctx, event) };
        assert_eq!(read_dora_event_type(event), DoraEventType::Unknown, "a freed event was read");
        // SAFETY: the context is alive.
        unsafe { lend(ctx, round / 3) };
    }
    assert!(dora_next_event(ctx).is_null());
    free_dora_context(ctx);
    // Events outlive their context, are read by several threads, and freed by one of them.
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let kept = kept.clone();
            thread::spawn(move || {
                let read = |event: &usize| read_dora_event_type(ptr::with_exposed_provenance_mut(*event));
                kept.iter().filter(|event| read(event) == DoraEventType::Input).count()
            })
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().expect("a thread"), kept.len());
    }
    for event in &kept {
        free_dora_event(ptr::with_exposed_provenance_mut(*event));
        free_dora_event(ptr::with_exposed_provenance_mut(*event));
    }
    assert!(last_error().contains("freed before"), "{}", last_error());
    assert_eq!(dora_leave(ctx), -3, "the context was freed twice");
}
