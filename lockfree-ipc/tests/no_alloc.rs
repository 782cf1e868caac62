//! The hot path neither allocates nor faults.

mod support;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use lockfree_ipc::{Header, Policy};
use support::pair;

struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "an allocator that counts")]
// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.with(|c| c.set(c.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        CALLS.with(|c| c.set(c.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn faults() -> i64 {
    #[expect(unsafe_code, reason = "getrusage of one thread is only in libc")]
    // SAFETY: a plain struct for the kernel to fill.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_THREAD, &mut usage), 0);
        usage.ru_minflt + usage.ru_majflt
    }
}

fn exchange(policy: Policy, len: usize, times: u64) -> u64 {
    let (mut publisher, mut subscriber, bell) = pair(10, policy);
    let mut received = 0;
    let mut round = |n: u64| {
        let mut loan = publisher.loan(len, 16).unwrap();
        loan.payload_mut()[0] = n as u8;
        publisher.send(loan, &Header::default());
        bell.prepare();
        bell.cancel();
        if !n.is_multiple_of(3) {
            while let Some(sample) = subscriber.take().unwrap() {
                received += u64::from(sample.payload()[0] == sample.header().seq as u8);
            }
        }
    };
    (0..100).for_each(&mut round);
    let (calls, before) = (CALLS.get(), faults());
    (100..100 + times).for_each(&mut round);
    assert_eq!(CALLS.get() - calls, 0, "the hot path allocated or freed");
    assert_eq!(faults() - before, 0, "the hot path faulted");
    received
}

#[test]
fn a_hundred_thousand_messages_allocate_nothing_and_fault_nothing() {
    for policy in [Policy::DropOldest, Policy::Backpressure] {
        for len in [8, 64, 3000] {
            assert!(exchange(policy, len, 100_000) > 60_000);
        }
    }
}
