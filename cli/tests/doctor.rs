//! `dora doctor` as a user meets it. What it says of this machine is not judged, only that it says it whole.
#![cfg(target_os = "linux")]

#[path = "cli/support.rs"]
mod support;

use std::{fs, io::ErrorKind, os::unix::process::CommandExt, process::Command};

use rustix::process::getuid;
use serde_json::Value;
use support::{Ended, Project};

const NOBODY: u32 = 65534;
const FLOW: &str = "nodes:\n  - id: a\n    path: ./a\n    outputs: [x]\n";

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error} in {ended:?}"))
}

/// Exit code and `bad` must tell the same.
fn assert_code_fits(ended: &Ended, report: &Value) {
    let bad = report["bad"].as_array().unwrap();
    assert_eq!(ended.code, Some(i32::from(!bad.is_empty())), "{ended:?}");
    for name in bad {
        assert!(ended.err.contains(name.as_str().unwrap()), "{name} is not named in {}", ended.err);
    }
}

fn assert_findings(report: &Value) {
    let findings = report["findings"].as_array().unwrap();
    assert!(findings.len() > 15, "{findings:?}");
    for finding in findings {
        let level = finding["level"].as_str().unwrap();
        assert!(["ok", "unknown", "warn", "bad"].contains(&level), "{finding}");
        assert_eq!(finding["why"].is_string(), level != "ok", "{finding}");
        assert!(finding["fix"].is_null() || finding["fix"]["how"].is_string(), "{finding}");
    }
}

#[test]
fn json_of_the_real_time_check_is_whole_and_alone_on_stdout() {
    let ended = Project::new(FLOW).dora(&["doctor", "--rt", "--json", "--duration", "1.2s"]);
    let report = json(&ended);
    assert_code_fits(&ended, &report);
    assert_findings(&report);
    let cores = report["measurement"]["cores"].as_array().unwrap();
    assert!(!cores.is_empty());
    for core in cores {
        assert_eq!(core["timer_lateness"]["count"], 1200, "{core}");
        let histogram = core["timer_lateness"]["histogram"].as_array().unwrap();
        assert_eq!(histogram.iter().map(|row| row["count"].as_u64().unwrap()).sum::<u64>(), 1200);
        assert!(core["wake_up"]["count"].as_u64().unwrap() > 0, "{core}");
    }
    let rates = report["verdict"]["rates"].as_array().unwrap();
    assert!(
        rates
            .iter()
            .any(|rate| rate["hz"] == 1000 && rate["allowed_ns"] == 100_000 && rate["holds"].is_boolean())
    );
    for rate in rates {
        assert_eq!(rate["because"].is_string(), rate["holds"] == false, "{rate}");
    }
}

#[test]
fn text_of_the_real_time_check_ends_with_a_verdict_in_sentences() {
    let ended = Project::new(FLOW).dora(&["doctor", "--rt", "--duration", "1.2s"]);
    for words in [
        "kernel-preemption: ",
        "timer lateness on core",
        "p99.9",
        "This machine holds ",
        "cannot promise a maximum",
    ] {
        assert!(ended.out.contains(words), "{words:?} is missing in {}", ended.out);
    }
    assert!(!ended.err.contains("measuring"), "progress is for terminals: {}", ended.err);
}

#[test]
fn no_duration_measures_nothing() {
    let ended = Project::new(FLOW).dora(&["doctor", "--rt", "--json", "--duration", "0"]);
    let report = json(&ended);
    assert_code_fits(&ended, &report);
    assert!(report["measurement"].is_null() && report["verdict"].is_null(), "{report}");
}

#[test]
fn a_core_that_does_not_run_is_named() {
    let ended = Project::new(FLOW).dora(&["doctor", "--rt", "--cores", "0,60000"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
    assert!(ended.err.contains("core 60000 does not run"), "{}", ended.err);
}

#[test]
fn fix_plan_is_one_script_that_bash_accepts_and_that_names_what_it_mends() {
    let project = Project::new(FLOW);
    let ended = project.dora(&["doctor", "--rt", "--fix-plan"]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    assert!(ended.out.starts_with("#!/usr/bin/env bash\n"), "{}", ended.out);
    fs::write(project.path("plan.sh"), &ended.out).unwrap();
    let checked = Command::new("bash").arg("-n").arg(project.path("plan.sh")).status().unwrap();
    assert!(checked.success(), "{}", ended.out);
    let report = json(&project.dora(&["doctor", "--rt", "--json", "--duration", "0"]));
    for finding in report["findings"].as_array().unwrap().iter().filter(|finding| finding["fix"].is_object())
    {
        let line =
            format!("# {} {}: ", finding["level"].as_str().unwrap(), finding["check"].as_str().unwrap());
        assert!(ended.out.contains(&line), "{line} is missing in {}", ended.out);
    }
}

#[test]
fn an_ordinary_user_gets_figures_and_is_told_what_they_lack() {
    if !getuid().is_root() {
        println!("skipped: needs root to become another user");
        return;
    }
    let project = Project::new(FLOW);
    let mut command = project.command(&["doctor", "--rt", "--json", "--duration", "200ms"]);
    command.current_dir("/").uid(NOBODY).gid(NOBODY);
    let ended = match command.output() {
        Ok(output) => Ended::from(output),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            println!("skipped: needs a build folder that other users can reach");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let report = json(&ended);
    assert_code_fits(&ended, &report);
    assert_findings(&report);
    let scheduling = report["measurement"]["scheduling"].as_str().unwrap();
    let limited = report["measurement"]["limited"].to_string();
    // An unlimited `ulimit -r` is inherited from whoever runs the tests.
    assert_eq!(scheduling == "other", limited.contains("SCHED_OTHER"), "{limited}");
    assert!(scheduling == "fifo 80" || report["bad"].to_string().contains("rt-priority"), "{report}");
}

#[test]
fn plain_doctor_has_a_line_per_check_and_points_to_rt() {
    let project = Project::new(FLOW);
    let ended = project.dora(&["doctor", "--dataflow", "flow.yml"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for words in [
        "PASS  version: dora ",
        "PASS  shared memory: ",
        "PASS  dataflow: flow.yml, 1 nodes",
        "dora doctor --rt",
    ] {
        assert!(ended.out.contains(words), "{words:?} is missing in {}", ended.out);
    }
    let report = json(&project.dora(&["doctor", "--json"]));
    assert_eq!(report["findings"][0]["level"], "ok", "{report}");
}

#[test]
fn plain_doctor_fails_for_a_dataflow_that_is_wrong_and_says_where() {
    let project = Project::new("nodes:\n  - id: a\n    path: ./a\n    inputs: { x: nobody/y }\n");
    let ended = project.dora(&["doctor", "--dataflow", "flow.yml"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.contains("FAIL  dataflow: flow.yml:4"), "{}", ended.out);
    assert!(ended.err.contains("failed: dataflow"), "{}", ended.err);
}
