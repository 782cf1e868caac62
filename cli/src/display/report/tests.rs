use dora_daemon::report::OutputReport;

use super::*;

fn us(p50: f64, max: f64) -> Percentiles {
    Percentiles { count: 100, p50_us: p50, p99_us: p50 * 2.0, p999_us: p50 * 3.0, max_us: max }
}

fn edge(from: &str, to: &str) -> EdgeReport {
    EdgeReport {
        from: from.into(),
        to: to.into(),
        policy: "drop_oldest",
        sent: 1000,
        taken: 1000,
        overwritten: 0,
        flushed: 0,
        queued: 0,
        broken: None,
        latency: us(4.25, 1234.0),
        queue_wait: us(0.5, 12.0),
        deadline_us: None,
        deadline_missed: 0,
        copied_out: 0,
        skipped_late: 0,
    }
}

fn node(name: &str) -> NodeReport {
    NodeReport {
        node: name.into(),
        pid: Some(1),
        restarts: 0,
        exit: "0".into(),
        error: None,
        caused_by: None,
        stderr_tail: vec![],
        cpu_s: 0.123,
        max_rss_mb: 12.34,
        minor_faults: 3,
        major_faults: 0,
        voluntary_switches: 1001,
        involuntary_switches: 2,
        handler: us(10.0, 55.5),
        outputs: vec![],
    }
}

fn report() -> RunReport {
    RunReport {
        dataflow_id: "id".into(),
        name: "flow".into(),
        rt: "strict",
        wall_s: 10.04,
        start_ms: Some(35.25),
        first_message_ms: Some(36.5),
        edges: vec![edge("imu/sample", "controller/imu")],
        timers: vec![TimerReport {
            to: "imu/tick".into(),
            period_ns: 1_000_000,
            ticks: 10_000,
            missed: 1,
            deadline_us: None,
            deadline_missed: 0,
            lateness: us(3.0, 99.9),
        }],
        chains: vec![],
        misses: vec![],
        nodes: vec![node("imu")],
        rt_table: None,
        warnings: vec!["core 1 is not isolated".into()],
    }
}

#[test]
fn quiet_run_is_a_headline_and_three_tables() {
    assert_eq!(
        render(&report()),
        "flow: ran 10.0 s, rt strict, ready after 35.2 ms, first message after 36.5 ms\n\
         \n\
         edge                         sent  taken  dropped  late  p50 µs  p99  p99.9   max\n\
         imu/sample → controller/imu  1000   1000        0     -     4.2  8.5   12.8  1234\n\
         \n\
         timer     period  ticks  missed  late  lateness p50 µs  p99  p99.9   max\n\
         imu/tick    1 ms  10000       1     -                3    6      9  99.9\n\
         \n\
         node  exit  cpu s  rss MB  faults min/maj  switches vol/invol  handler p99 µs   max\n\
         imu   0      0.12    12.3             3/0              1001/2              20  55.5\n\
         \n\
         warning: core 1 is not isolated\n"
    );
}

#[test]
fn every_lost_message_is_explained_below_its_table() {
    let mut edge = edge("a/b", "c/d");
    (edge.taken, edge.overwritten, edge.flushed, edge.queued) = (980, 12, 3, 1);
    (edge.deadline_us, edge.deadline_missed) = (Some(500.0), 7);
    (edge.copied_out, edge.broken) = (5, Some("corrupt".into()));
    let text = render(&RunReport { edges: vec![edge], ..report() });
    assert!(
        text.contains(
            "  a/b → c/d: 12 dropped because the queue was full, 3 dropped by a flush, 1 still queued at \
             the end, 4 lost with the reader, 7 later than 500 µs, 5 copied, because the reader holds on to too \
             many messages, closed: corrupt\n"
        ),
        "{text}"
    );
    let row = text.lines().find(|line| line.starts_with("a/b → c/d")).unwrap();
    assert_eq!(row.split_whitespace().collect::<Vec<_>>()[3..7], ["1000", "980", "19", "7"]);
}

#[test]
fn long_names_take_a_line_of_their_own_and_numbers_stay_in_100_columns() {
    let long = "front_left_wide_angle_camera/rectified_image";
    let text = edges(&[edge(long, "object_detector_on_the_gpu/front_left_image")]);
    assert!(text.contains(&format!("\n{long} →\n  object_detector_on_the_gpu/front_left_image")), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
}

#[test]
fn edge_without_messages_has_dashes_for_latencies() {
    let mut silent = edge("a/b", "c/d");
    (silent.sent, silent.taken, silent.latency) = (0, 0, Percentiles::default());
    let text = edges(&[silent]);
    assert_eq!(text.lines().nth(1).unwrap().matches(" -").count(), 5, "{text}");
}

#[test]
fn refused_and_unplanned_messages_name_their_output() {
    let mut imu = node("imu");
    imu.outputs = vec![OutputReport {
        output: "sample".into(),
        sent: 5,
        bytes: 40,
        copied: 5,
        too_large: 2,
        no_slot: 0,
        unplanned_slots: 1,
        blocked: 0,
    }];
    let text = render(&RunReport { nodes: vec![imu], ..report() });
    assert!(text.contains("  imu/sample: 2 messages refused: larger than `max_message_bytes`\n"), "{text}");
    assert!(text.contains("  imu/sample: 1 slots first touched after the start"), "{text}");
    assert!(!text.contains("held every slot"), "{text}");
}

#[test]
fn restarted_nodes_say_how_often() {
    let mut once = node("imu");
    once.restarts = 1;
    let mut often = node("arm");
    often.restarts = 12;
    let text = render(&RunReport { nodes: vec![once, often, node("well")], ..report() });
    assert!(
        text.contains("  imu: restarted once\n") && text.contains("  arm: restarted 12 times\n"),
        "{text}"
    );
    assert_eq!(text.matches("restarted").count(), 2, "{text}");
}

#[test]
fn failed_nodes_are_listed_with_cause_and_last_words() {
    let mut a = node("a");
    a.error = Some("exited with code 3".into());
    a.stderr_tail = vec!["cannot open".into(), "/dev/video9".into()];
    let mut b = node("b");
    b.error = Some("exited before it was ready".into());
    b.caused_by = Some("a".into());
    let text = failures(&RunReport { nodes: vec![a, b, node("c")], ..report() });
    assert_eq!(
        text,
        "2 of 3 nodes failed\n\n  a: exited with code 3\n    | cannot open\n    | /dev/video9\n\n  \
         b: exited before it was ready (after `a` failed)"
    );
}

#[test]
fn periods_are_shown_in_the_unit_that_fits() {
    for (ns, text) in [
        (1_000_000_000, "1 s"),
        (200_000, "200 µs"),
        (20_000_000, "20 ms"),
        (33_333_333, "33.33 ms"),
        (333, "333 ns"),
    ] {
        assert_eq!(period(ns), text);
    }
}
