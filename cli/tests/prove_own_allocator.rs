//! `dora prove` on a program whose allocator it cannot see: it says so, and calls nothing clean.
#![cfg(target_os = "linux")]
#![expect(unsafe_code, reason = "a global allocator is an unsafe trait")]

#[path = "cli/support.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use std::{
    alloc::{GlobalAlloc, Layout},
    hint::black_box,
    ptr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use dora_node_api::rt::{Event, RtNode};
use serde_json::Value;
use support::Project;

const ROLE: &str = "PROVE_ROLE";
const SIZE: usize = 64 << 20;

/// Hands out one static array, and takes nothing back.
struct Own(std::cell::UnsafeCell<[u8; SIZE]>, AtomicUsize);

// SAFETY: the array is only touched through the blocks that were handed out, each once.
unsafe impl Sync for Own {}

// SAFETY: the counter gives each byte to one block at most; blocks are aligned as asked, and null when there is no room.
unsafe impl GlobalAlloc for Own {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let at = self.1.fetch_add(layout.size() + layout.align(), Relaxed);
        if at + layout.size() + layout.align() > SIZE {
            return ptr::null_mut();
        }
        // SAFETY: inside the array, as was just checked.
        let block = unsafe { self.0.get().cast::<u8>().add(at) };
        // SAFETY: as above; at most `align` further on.
        unsafe { block.add(block.align_offset(layout.align())) }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static OWN: Own = Own(std::cell::UnsafeCell::new([0; SIZE]), AtomicUsize::new(0));

/// Not a test of its own: the node. It allocates at each tick.
#[test]
fn plays_its_role() -> eyre::Result<()> {
    if std::env::var_os(ROLE).is_none() {
        return Ok(());
    }
    let mut node = RtNode::init_from_env()?;
    loop {
        match node.wait() {
            Event::Tick(tick) => drop(black_box(Box::new(tick))),
            Event::Stop(_) | Event::Closed => return Ok(()),
            _ => {}
        }
    }
}

#[test]
fn allocations_of_another_allocator_are_not_counted_and_never_zero() {
    let program = std::env::current_exe().expect("a path").display().to_string();
    let flow = Project::new(&format!(
        "nodes:\n  - id: arm\n    path: {program}\n    args: --exact plays_its_role --nocapture --quiet\n    \
         env: {{ {ROLE}: arm }}\n    inputs: {{ tick: dora/timer/millis/1 }}\n    rt: {{ lock_memory: false }}\n"
    ));
    let limits = ["--messages", "300", "--for", "100s", "--warm-up", "300ms"];
    let ended = flow.dora(&[&["prove", "flow.yml", "--json", "--strict"], &limits[..]].concat());
    let document: Value =
        serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:#?}"));
    let arm = &document["nodes"][0];
    assert!(arm["taken"].as_u64() > Some(0), "{document:#}");
    assert!(arm["not_counted"].to_string().contains("an allocator of its own"), "{document:#}");
    for thread in arm["threads"].as_array().expect("a list") {
        assert!(thread["allocator"]["allocations"].is_null(), "{document:#}");
    }
    assert_ne!(arm["verdict"], "clean", "{document:#}");
    assert_eq!(ended.code, Some(1), "--strict: {ended:#?}");
}
