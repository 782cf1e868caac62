//! The counting allocator counts marked threads and nothing else.

use std::thread;

use rt_tuning::alloc_guard::{self, AllocGuard, Counts};

#[global_allocator]
static GUARD: AllocGuard = AllocGuard;

#[test]
fn calls_are_counted_by_kind() {
    let (_, counts) = alloc_guard::count(|| {
        let mut bytes = Vec::<u8>::with_capacity(8);
        bytes.extend_from_slice(&[1; 8]);
        bytes.reserve_exact(1000);
        drop(bytes);
    });
    assert_eq!(counts, Counts { allocations: 1, reallocations: 1, frees: 1 });
    assert!(alloc_guard::is_installed());
}

#[test]
fn an_unmarked_thread_is_not_counted_and_a_marked_one_shows_in_the_total() {
    let quiet = thread::spawn(|| {
        drop(std::hint::black_box(vec![1, 2, 3]));
        alloc_guard::of_this_thread()
    });
    assert_eq!(quiet.join().unwrap().calls(), 0);

    let before = alloc_guard::of_all_threads();
    thread::spawn(|| {
        alloc_guard::mark(true);
        drop(std::hint::black_box(Box::new(1)));
        alloc_guard::mark(false);
    })
    .join()
    .unwrap();
    let after = alloc_guard::of_all_threads();
    assert!(after.allocations > before.allocations && after.frees > before.frees);
}
