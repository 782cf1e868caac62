//! What is asked for is what `/proc` shows. Needs the rights; without them each test says so.
#![cfg(target_os = "linux")]

use std::{process, thread, time::Duration};

use rt_tuning::{
    clock,
    latency::CpuDmaLatency,
    memory,
    readback::{self, ThreadFacts},
    sched::{self, Policy},
    throttle,
};

/// Runs `work` in a thread and reads back what that thread has while it still lives.
fn facts_after(name: &str, work: impl FnOnce() -> bool + Send + 'static) -> Option<ThreadFacts> {
    let name = name.to_owned();
    thread::Builder::new()
        .name(name.clone())
        .spawn(move || {
            if !work() {
                return None;
            }
            let all = readback::threads(process::id()).unwrap();
            Some(all.into_iter().find(|facts| facts.name == name).expect("the thread is listed"))
        })
        .unwrap()
        .join()
        .unwrap()
}

/// False, with a line that says so, when this machine does not grant SCHED_FIFO.
fn may_use_fifo() -> bool {
    let granted = thread::spawn(|| sched::set_current(Policy::Fifo, 1).is_ok()).join().unwrap();
    if !granted {
        println!("skipped: needs CAP_SYS_NICE");
    }
    granted
}

fn set(policy: Policy, priority: u8) -> bool {
    sched::set_current(policy, priority).unwrap();
    true
}

#[test]
fn fifo_and_rr_are_read_back_with_their_priority() {
    if !may_use_fifo() {
        return;
    }
    let fifo = facts_after("t-fifo", || set(Policy::Fifo, 37)).unwrap();
    assert_eq!((fifo.policy.as_str(), fifo.priority), ("FIFO", 37));
    let rr = facts_after("t-rr", || set(Policy::Rr, 2)).unwrap();
    assert_eq!((rr.policy.as_str(), rr.priority), ("RR", 2));
    let back = facts_after("t-back", || set(Policy::Fifo, 9) && set(Policy::Other, 0)).unwrap();
    assert_eq!((back.policy.as_str(), back.priority), ("OTHER", 0));
}

#[test]
fn deadline_is_granted_or_the_kernel_says_why_not() {
    if !may_use_fifo() {
        return;
    }
    let deadline = Policy::Deadline { runtime_ns: 1_000_000, deadline_ns: 10_000_000, period_ns: 10_000_000 };
    let facts = facts_after("t-deadline", move || match sched::set_current(deadline, 0) {
        Ok(()) => true,
        Err(error) => {
            println!("not granted: {error}");
            assert!(error.fix.is_some(), "{error:?}");
            false
        }
    });
    assert!(facts.is_none_or(|facts| facts.policy == "DEADLINE"));
    let impossible =
        Policy::Deadline { runtime_ns: 20_000_000, deadline_ns: 10_000_000, period_ns: 10_000_000 };
    let error = sched::set_current(impossible, 0).unwrap_err();
    assert!(error.reason.contains("runtime <= deadline"), "{error}");
}

#[test]
fn threads_of_a_real_time_thread_start_ordinary() {
    if !may_use_fifo() {
        return;
    }
    let child = thread::spawn(|| {
        set(Policy::Fifo, 5);
        facts_after("t-child", || true).unwrap()
    });
    assert_eq!(child.join().unwrap().policy, "OTHER");
}

#[test]
fn a_priority_out_of_range_is_refused_before_the_kernel_sees_it() {
    for priority in [0, 100] {
        let error = sched::set_current(Policy::Fifo, priority).unwrap_err();
        assert!(error.reason.contains("1 to 99"), "{error}");
    }
}

#[test]
fn affinity_of_one_core_and_of_several_is_read_back() {
    let allowed = sched::allowed_current();
    let last = *allowed.last().unwrap();
    let one =
        facts_after("t-one", move || sched::set_affinity_current(&[last]).map(|()| true).unwrap()).unwrap();
    assert_eq!(readback::core_list(&one.cpus), [last]);
    let [first, second, ..] = allowed[..] else {
        println!("skipped: needs two cores");
        return;
    };
    let two =
        facts_after("t-two", move || sched::set_affinity_current(&[first, second]).map(|()| true).unwrap());
    assert_eq!(readback::core_list(&two.unwrap().cpus), [first, second]);
}

#[test]
fn a_core_that_does_not_exist_is_refused_and_those_that_do_are_named() {
    let first = sched::allowed_current()[0];
    for cores in [vec![1000], vec![first, 1000], vec![100_000], vec![]] {
        let error = sched::set_affinity_current(&cores).unwrap_err();
        assert!(error.what.starts_with("affinity"), "{error}");
    }
    let error = sched::set_affinity_current(&[first, 1000]).unwrap_err();
    assert!(error.reason.contains(&format!("[{first}")), "{error}");
}

#[test]
fn locked_memory_shows_in_vm_lck_and_a_locked_process_can_still_map() {
    if let Err(error) = memory::lock_all() {
        println!("skipped: needs CAP_IPC_LOCK ({error})");
        return;
    }
    assert!(readback::process(process::id()).unwrap().vm_lck_kb > 0);
    let reserved = Vec::<u8>::with_capacity(1 << 30);
    assert!(reserved.capacity() >= 1 << 30);
    assert!(thread::spawn(|| true).join().unwrap());
}

#[test]
fn huge_pages_are_off_after_asking() {
    memory::disable_thp().unwrap();
    let thp = readback::process(process::id()).unwrap().thp_enabled;
    assert_ne!(thp, Some(true));
    assert!(rustix::thread::transparent_huge_pages_are_disabled().unwrap());
}

#[test]
fn timer_slack_is_read_back() {
    let facts = facts_after("t-slack", || clock::set_timer_slack(1234).map(|()| true).unwrap()).unwrap();
    assert_eq!(facts.timer_slack_ns, Some(1234));
}

#[test]
fn a_touched_stack_faults_no_more() {
    // Faults are counted per thread, and a fresh thread has an untouched stack.
    let (touched, again) = thread::Builder::new()
        .name("t-stack".into())
        .stack_size(4 << 20)
        .spawn(|| {
            let faults = || {
                let all = readback::threads(process::id()).unwrap();
                all.iter().find(|facts| facts.name == "t-stack").unwrap().minflt
            };
            faults(); // the reader's own buffers
            let start = faults();
            assert_eq!(memory::prefault_stack(1 << 20) / (1 << 20), 1);
            let middle = faults();
            memory::prefault_stack(1 << 20);
            (middle - start, faults() - middle)
        })
        .unwrap()
        .join()
        .unwrap();
    assert!(touched > again, "first {touched} faults, then {again}");
}

#[test]
fn more_stack_than_there_is_stops_before_the_guard_page() {
    // A page too many kills the test. The C library may give a larger stack than asked for, if it has one left over.
    let bytes = thread::Builder::new().stack_size(1 << 20).spawn(|| memory::prefault_stack(1 << 30)).unwrap();
    let bytes = bytes.join().unwrap();
    assert!((512 << 10..1 << 30).contains(&bytes), "{bytes}");
}

#[test]
fn sleep_until_does_not_return_early() {
    let until = clock::monotonic_ns() + 2_000_000;
    assert!(clock::sleep_until(until) >= until);
    assert!(clock::sleep_until(0) >= until);
}

#[test]
fn idle_latency_is_held_as_long_as_the_value_lives() {
    let open = || {
        let all = std::fs::read_dir("/proc/self/fd").unwrap();
        all.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok())
            .any(|to| to.ends_with("cpu_dma_latency"))
    };
    match CpuDmaLatency::hold(0) {
        Ok(held) => {
            assert!(open());
            drop(held);
            assert!(!open());
        }
        Err(error) => {
            assert!(error.fix.is_some(), "{error}");
            println!("skipped: needs write access to /dev/cpu_dma_latency ({error})");
        }
    }
}

#[test]
fn an_ordinary_thread_on_the_core_of_a_spinner_gets_its_turn() {
    if !may_use_fifo() {
        return;
    }
    let (runtime, period) = throttle::runtime_ns_period_ns().unwrap();
    if runtime.is_none_or(|runtime| runtime >= period) {
        println!("skipped: needs real-time throttling switched on");
        return;
    }
    let core = *sched::allowed_current().last().unwrap();
    let stops = throttle::measure(core, Duration::from_secs(3), true).unwrap();
    assert!(stops.wall_ns >= 3_000_000_000, "{stops:?}");
    assert!(stops.competitor_ns > 0 && stops.off_core_ns > 0, "{stops:?}");
}
