use super::*;

#[test]
fn every_finding_that_is_not_good_has_a_sentence_and_a_fix() {
    for finding in findings() {
        assert!(finding.detail.ends_with('.'), "{finding:?}");
        assert_eq!(finding.ok, finding.fix.is_none(), "{finding:?}");
    }
}

#[test]
fn preemption_model_is_told_from_the_version_line() {
    let ok = |version, realtime| preemption(version, realtime).ok;
    assert!(ok("#1 SMP PREEMPT_RT Thu Jan 1 UTC", None));
    assert!(ok("#1 SMP", Some("1\n")));
    let dynamic = preemption("#1 SMP PREEMPT_DYNAMIC Thu Jan 1 UTC", None);
    assert!(!dynamic.ok && dynamic.fix.unwrap().contains("preempt=full"));
    assert!(!ok("#1 SMP PREEMPT Thu Jan 1 UTC", Some("0\n")));
    assert!(preemption("#1 SMP Thu", None).detail.contains("does not preempt"));
}

#[test]
fn throttling_that_is_off_is_a_danger_and_the_default_is_not() {
    assert!(!throttling(None, 1_000_000_000).ok);
    assert!(!throttling(Some(0), 1_000_000_000).ok);
    let usual = throttling(Some(950_000_000), 1_000_000_000);
    assert!(usual.ok && usual.detail.contains("50 ms in every 1000 ms"), "{usual:?}");
}

#[test]
fn a_finite_memory_limit_without_the_capability_is_told_with_its_size() {
    assert!(memory(true, Some(1)).ok && memory(false, None).ok);
    let limited = memory(false, Some(8 << 20));
    assert!(!limited.ok && limited.detail.contains("8192 KiB"), "{limited:?}");
}

#[test]
fn cores_with_another_governor_are_named() {
    let set = |names: [&str; 2]| governors(&[(0, names[0].into()), (1, names[1].into())]).unwrap();
    assert!(set(["performance", "performance"]).ok);
    assert!(set(["performance", "powersave"]).detail.contains("1 (powersave)"));
    assert_eq!(governors(&[]), None);
}

#[test]
fn files_of_the_kernel_are_judged() {
    assert!(!huge_pages("[always] madvise never\n").ok && huge_pages("always [madvise] never\n").ok);
    assert!(clock_source("tsc\n").ok && !clock_source("hpet\n").ok);
    assert!(isolation("1\n").ok && !isolation("\n").ok);
    let missing = idle_states(false, &Err("not found".into()));
    assert!(!missing.ok && missing.fix.unwrap().contains("--device"));
}
