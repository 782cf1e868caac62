//! The measurement on this machine, and the verdict on figures that are made up. No test judges how fast anything is.
#![cfg(target_os = "linux")]

use std::time::Duration;

use rt_tuning::{
    doctor::{self, CoreResult, Finding, Histogram, Level, Measurement, Rate, Request, Summary, Verdict},
    sched,
};

#[test]
fn every_core_is_measured_and_every_tick_is_counted() {
    let cores = sched::allowed_current();
    let mut shares = Vec::new();
    let request = Request::new(cores.clone(), Duration::from_millis(300));
    let measured = doctor::measure(&request, &mut |share| shares.push(share)).unwrap();
    assert_eq!(measured.cores.iter().map(|result| result.core).collect::<Vec<_>>(), cores);
    for result in &measured.cores {
        assert_eq!(result.timer.count(), 300, "{result:?}");
        assert_eq!(result.slept.count() + result.missed, 300, "{result:?}");
        assert!(result.wake.count() > 0, "{result:?}");
        assert_eq!(result.wake_from == result.core, cores.len() == 1, "{result:?}");
    }
    assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)) && shares.is_sorted(), "{shares:?}");
    // Whatever was refused is named, and only that.
    assert!(measured.limited.iter().all(|limit| limit.starts_with("Measured ") && limit.ends_with('.')));
    assert!(measured.fifo || measured.limited.iter().any(|limit| limit.contains("SCHED_OTHER")));
}

#[test]
fn a_core_that_does_not_exist_is_an_error_and_not_a_hang() {
    let request = Request::new(vec![sched::allowed_current()[0], 999], Duration::from_secs(600));
    let error = doctor::measure(&request, &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("999"), "{error}");
}

/// 10 000 ticks, of which 9980 are `usual_ns` late and 20 `tail_ns`, and one more `longest_ns`.
fn core(core: usize, usual_ns: u64, tail_ns: u64, longest_ns: u64) -> CoreResult {
    let mut timer = Histogram::default();
    (0..9980).for_each(|_| timer.add(usual_ns));
    (0..20).for_each(|_| timer.add(tail_ns));
    timer.add(longest_ns);
    let slept = timer.clone();
    CoreResult {
        core,
        timer,
        slept,
        missed: 0,
        wake: Histogram::default(),
        wake_from: core,
        stolen: Some(0.0),
    }
}

fn measurement(cores: Vec<CoreResult>) -> Measurement {
    let (duration, interval_ns) = (Duration::from_secs(10), 1_000_000);
    Measurement { cores, duration, interval_ns, fifo: true, limited: Vec::new() }
}

fn judge(cores: Vec<CoreResult>) -> Verdict {
    doctor::judge(&measurement(cores), None, &[]).unwrap()
}

#[test]
fn a_rate_is_held_up_to_a_tenth_of_its_period_at_p999() {
    let verdict = judge(vec![core(0, 5_000, 60_000, 80_000)]);
    assert_eq!(verdict.highest(), Some(1000));
    assert!(
        verdict.sentences[0].starts_with("This machine holds 1 kHz: at most 60."),
        "{:?}",
        verdict.sentences
    );
    let Some(Rate::No(because)) = verdict.of(5000) else { panic!("{verdict:?}") };
    assert!(because.contains("20.0 µs are allowed"), "{because}");
    assert!(verdict.sentences.iter().any(|sentence| sentence.starts_with("5 kHz: no, because core 0")));
    assert!(verdict.sentences.last().unwrap().contains("cannot promise a maximum"));
    assert_eq!(judge(vec![core(0, 1_000, 2_000, 3_000)]).highest(), Some(10_000));
    assert_eq!(judge(vec![core(0, 1_000, 50_000_000, 60_000_000)]).highest(), None);
}

#[test]
fn one_tick_that_is_a_whole_period_late_loses_the_rate() {
    let verdict = judge(vec![core(0, 5_000, 10_000, 1_500_000)]);
    assert_eq!(verdict.highest(), Some(500));
    let Some(Rate::No(because)) = verdict.of(1000) else { panic!("{verdict:?}") };
    assert!(because.contains("1500 µs late, more than the whole period"), "{because}");
}

#[test]
fn the_worst_of_the_judged_cores_decides_and_the_others_are_told() {
    let cores = || vec![core(0, 5_000, 900_000, 900_000), core(1, 5_000, 15_000, 50_000)];
    let all = judge(cores());
    assert_eq!((all.worst, all.highest()), (0, Some(100)));
    assert_eq!(all.sentences[1], "One by one: core 0 holds up to 100 Hz, core 1 holds up to 5 kHz.");
    let only = doctor::judge(&measurement(cores()), Some(&[1]), &[]).unwrap();
    assert_eq!((only.cores.as_slice(), only.highest()), (&[1][..], Some(5000)));
    assert_eq!(doctor::judge(&measurement(cores()), Some(&[7]), &[]), None);
    // The core with the best tail can still be the one that lost a tick.
    let lost = judge(vec![core(0, 5_000, 60_000, 90_000), core(1, 5_000, 10_000, 2_000_000)]);
    assert!(lost.sentences[0].contains("at most 2000 µs seen"), "{:?}", lost.sentences);
    assert!(matches!(lost.of(1000), Some(Rate::No(because)) if because.contains("core 1")), "{lost:?}");
}

#[test]
fn causes_are_those_that_were_found() {
    let finding = |check, level| Finding { check, level, found: "x.".into(), why: "y.", fix: None };
    let findings = [finding("kernel-preemption", Level::Bad), finding("idle-states", Level::Ok)];
    let mut late = measurement(vec![core(0, 5_000, 900_000, 900_000)]);
    late.cores[0].stolen = Some(0.02);
    late.fifo = false;
    let text = doctor::judge(&late, None, &findings).unwrap().sentences.join("\n");
    for words in ["no real-time priority", "the host took 2.0 %", "`kernel-preemption` above"] {
        assert!(text.contains(words), "{words} in {text}");
    }
    assert!(!text.contains("idle-states"), "{text}");
}

#[test]
fn too_few_ticks_are_no_verdict() {
    let mut few = measurement(vec![core(0, 1, 1, 1)]);
    few.cores[0].timer = Histogram::default();
    (0..999).for_each(|_| few.cores[0].timer.add(1_000));
    assert_eq!(
        few.cores[0].timer.summary(),
        Summary { count: 999, p50_ns: 1000, p99_ns: 1000, p999_ns: None, max_ns: 1000 }
    );
    let verdict = doctor::judge(&few, None, &[]).unwrap();
    assert_eq!((verdict.highest(), verdict.of(1000)), (None, Some(&Rate::Unknown)));
    assert!(verdict.sentences[0].contains("Too few ticks"), "{verdict:?}");
}
