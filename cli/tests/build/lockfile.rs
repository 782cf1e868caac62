//! `--write-lockfile` and `--locked`: the same commits on every machine.

use std::fs;

use crate::{
    repository::Repository,
    sources::{fails, flow, succeeds},
    support::Project,
    text,
};

const LOCKFILE: &str = "flow.dora-lock.yaml";

#[test]
fn locked_builds_and_runs_stay_at_the_commit_that_was_pinned() {
    let repository = Repository::new("one");
    let first = repository.git(&["rev-parse", "HEAD"]);
    let project = Project::new(&flow(&repository.url(), &["branch: main"]));
    let built = succeeds(&project, &["build", "flow.yml", "--write-lockfile"]);
    assert!(built.err.contains("pinned 1 repository in") && built.err.contains(LOCKFILE), "{built:?}");
    let lockfile = text(project.path(LOCKFILE));
    for part in [repository.url(), "branch: main".to_owned(), first.clone()] {
        assert!(lockfile.contains(&part), "no `{part}` in\n{lockfile}");
    }
    repository.commit_tool("two");
    // Another machine: nothing has been cloned there yet.
    let elsewhere = Project::new(&flow(&repository.url(), &["branch: main"]));
    fs::copy(project.path(LOCKFILE), elsewhere.path(LOCKFILE)).expect("the lockfile is checked in");
    for project in [&project, &elsewhere] {
        succeeds(project, &["build", "flow.yml", "--locked"]);
        let run = succeeds(project, &["run", "flow.yml", "--locked"]);
        assert!(run.out.contains("one in "), "{run:?}");
    }
    // Without the flag the branch is followed, and a locked run does not take what is there then.
    succeeds(&project, &["build", "flow.yml"]);
    assert!(succeeds(&project, &["run", "flow.yml"]).out.contains("two in "));
    fails(
        &project,
        &["run", "flow.yml", "--locked"],
        &["node `arm`", &first, "is pinned", "dora build --locked"],
    );
    let run = succeeds(&project, &["run", "flow.yml", "--locked", "--build"]);
    assert!(run.out.contains("one in "), "{run:?}");
    assert_eq!(text(project.path(LOCKFILE)), lockfile, "`--locked` writes nothing");
}

#[test]
fn a_commit_that_no_branch_leads_to_any_more_is_had_by_its_name_or_said_to_be_gone() {
    let repository = Repository::new("one");
    repository.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let project = Project::new(&flow(&repository.url(), &[]));
    succeeds(&project, &["build", "flow.yml", "--write-lockfile"]);
    repository.git(&["checkout", "--quiet", "--orphan", "fresh"]);
    repository.commit_tool("two");
    repository.git(&["branch", "--force", "main", "fresh"]);
    fs::remove_dir_all(project.path(".dora")).expect("the clone is deleted");
    succeeds(&project, &["build", "flow.yml", "--locked"]);
    assert!(succeeds(&project, &["run", "flow.yml", "--locked"]).out.contains("one in "));
    let gone = text(project.path(LOCKFILE));
    let commit = gone.lines().find_map(|line| line.trim().strip_prefix("commit: ")).expect("a commit");
    let other = "1".repeat(40);
    fs::write(project.path(LOCKFILE), gone.replace(commit.trim_matches('"'), &other)).unwrap();
    fs::remove_dir_all(project.path(".dora")).expect("the clone is deleted");
    fails(&project, &["build", "flow.yml", "--locked"], &["node `arm`", &other, "which the lockfile pins"]);
}

#[test]
fn a_lockfile_that_does_not_fit_the_dataflow_is_refused_before_anything_is_fetched() {
    let repository = Repository::new("one");
    let project = Project::new(&flow(&repository.url(), &["branch: main"]));
    fails(&project, &["build", "flow.yml", "--locked"], &["`--locked` needs", LOCKFILE, "--write-lockfile"]);
    succeeds(&project, &["build", "flow.yml", "--write-lockfile"]);
    let written = text(project.path(LOCKFILE));
    fs::remove_dir_all(project.path(".dora")).expect("the clone is deleted");
    repository.git(&["tag", "v1"]);
    for (want, words) in [
        (
            "tag: v1",
            &["flow.yml:2:", "node `arm`", "(tag `v1`) is not pinned", "no node uses", "(branch `main`)"][..],
        ),
        ("name: x", &["(default branch) is not pinned", "does not match the dataflow"]),
    ] {
        fs::write(project.path("flow.yml"), flow(&repository.url(), &[want])).unwrap();
        fails(&project, &["build", "flow.yml", "--locked"], words);
    }
    fs::write(project.path("flow.yml"), flow(&repository.url(), &["rev: 12345678"])).unwrap();
    fs::write(project.path(LOCKFILE), written.replace("branch: main", "rev: '12345678'")).unwrap();
    fails(&project, &["build", "flow.yml", "--locked"], &[LOCKFILE, "commit `12345678`", "is pinned"]);
    fs::write(project.path(LOCKFILE), written.replace("commit:", "comit:")).unwrap();
    fails(&project, &["build", "flow.yml", "--locked"], &[LOCKFILE, "did you mean `commit`?"]);
    assert!(!project.path(".dora").exists(), "nothing has been fetched");
}

#[test]
fn the_lockfile_may_be_elsewhere_and_a_run_may_write_it() {
    let repository = Repository::new("one");
    let project = Project::new(&flow(&repository.url(), &["branch: main"]));
    let run = succeeds(&project, &["run", "flow.yml", "--write-lockfile", "--lockfile", "pins.yaml"]);
    assert!(run.err.contains("pinned 1 repository in pins.yaml"), "{run:?}");
    assert!(!project.path(LOCKFILE).exists());
    repository.commit_tool("two");
    let run = succeeds(&project, &["run", "flow.yml", "--build", "--locked", "--lockfile", "pins.yaml"]);
    assert!(run.out.contains("one in "), "{run:?}");
}

#[test]
fn flags_that_cannot_be_followed_are_errors_that_name_them() {
    let project = Project::new("nodes:\n  - { id: a, path: shell, args: 'true' }\n");
    for command in ["build", "run"] {
        let both = project.dora(&[command, "flow.yml", "--locked", "--write-lockfile"]);
        assert_eq!(both.code, Some(2), "{both:?}");
        fails(
            &project,
            &[command, "flow.yml", "--lockfile", "x.yaml"],
            &["`--lockfile`", "--write-lockfile"],
        );
        fails(
            &project,
            &[command, "flow.yml", "--hub-override", "a/b=./b"],
            &["`--hub-override a/b=…`", "node hub"],
        );
    }
}
