//! Nodes from git repositories.

use std::fs;

use crate::{
    repository::Repository,
    support::{Ended, Project},
};

/// A node `arm` that is the tool of `repository`; `more` are lines such as `branch: main`.
pub(crate) fn flow(url: &str, more: &[&str]) -> String {
    let more: String = more.iter().map(|line| format!("    {line}\n")).collect();
    format!("nodes:\n  - id: arm\n    git: {url}\n    path: ./tool\n{more}")
}

fn clones(project: &Project) -> Vec<String> {
    let entries = fs::read_dir(project.path(".dora/git")).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[track_caller]
pub(crate) fn succeeds(project: &Project, args: &[&str]) -> Ended {
    let ended = project.dora(args);
    assert_eq!(ended.code, Some(0), "{args:?}: {ended:?}");
    ended
}

/// Fails with exit code 1, and stderr has all of `words`.
#[track_caller]
pub(crate) fn fails(project: &Project, args: &[&str], words: &[&str]) -> Ended {
    let ended = project.dora(args);
    assert_eq!(ended.code, Some(1), "{args:?}: {ended:?}");
    for word in words.iter().chain(&["[ERROR]"]) {
        assert!(ended.err.contains(word), "no `{word}` in: {}", ended.err);
    }
    ended
}

#[test]
fn repository_is_cloned_and_is_the_folder_of_build_and_run() {
    let repository = Repository::new("one");
    let project = Project::new(&flow(&repository.url(), &["branch: main", "build: touch built"]));
    let built = succeeds(&project, &["build", "flow.yml"]);
    assert_eq!(built.out, "built flow: 1 source, 1 command\n");
    let [clone] = clones(&project).try_into().expect("one clone");
    let folder = fs::canonicalize(project.path(".dora/git")).unwrap().join(clone);
    assert!(folder.join("built").exists() && !project.path("built").exists());
    let run = succeeds(&project, &["run", "flow.yml"]);
    assert!(run.out.contains(&format!("one in {}", folder.display())), "{run:?}");
    assert!(project.path("out").is_dir(), "logs stay beside the descriptor");
    assert_eq!(fs::read_to_string(project.path(".dora/.gitignore")).unwrap(), "*\n");
}

#[test]
fn branch_is_followed_on_every_build_and_commit_and_tag_stand_still() {
    let repository = Repository::new("one");
    let first = repository.git(&["rev-parse", "HEAD"]);
    repository.git(&["tag", "v1"]);
    let rev = format!("rev: {}", &first[..10]);
    let wants =
        [("branch: main", "two in "), ("tag: v1", "one in "), (&*rev, "one in "), ("name: x", "two in ")];
    let projects = wants.map(|(want, _)| Project::new(&flow(&repository.url(), &[want])));
    for project in &projects {
        succeeds(project, &["build", "flow.yml"]);
        let run = succeeds(project, &["run", "flow.yml"]);
        assert!(run.out.contains("one in "), "{run:?}");
    }
    repository.commit_tool("two");
    for (project, (want, expected)) in projects.iter().zip(wants) {
        succeeds(project, &["build", "flow.yml"]);
        let run = succeeds(project, &["run", "flow.yml"]);
        assert!(run.out.contains(expected), "{want}: {run:?}");
    }
}

#[test]
fn what_was_fetched_before_needs_no_network() {
    let repository = Repository::new("one");
    repository.git(&["tag", "v1"]);
    let rev = format!("rev: {}", repository.git(&["rev-parse", "HEAD"]));
    let [branch, tag, rev] =
        ["branch: main", "tag: v1", &rev].map(|want| Project::new(&flow(&repository.url(), &[want])));
    for project in [&branch, &tag, &rev] {
        succeeds(project, &["build", "flow.yml"]);
    }
    drop(repository);
    succeeds(&tag, &["build", "flow.yml"]);
    succeeds(&rev, &["build", "flow.yml"]);
    fails(
        &branch,
        &["build", "flow.yml"],
        &["flow.yml:2:", "node `arm`", "file://", "cannot be updated", "--offline"],
    );
    succeeds(&branch, &["build", "--offline", "flow.yml"]);
    succeeds(&branch, &["run", "flow.yml"]);
}

#[test]
fn reference_that_is_not_there_is_named_with_the_nearest_one_and_leaves_nothing() {
    let repository = Repository::new("one");
    repository.git(&["tag", "v1.0"]);
    let url = repository.url();
    for (want, words) in [
        ("branch: mian", ["has no branch `mian`", "did you mean `main`?"]),
        ("tag: v1.1", ["has no tag `v1.1`", "did you mean `v1.0`?"]),
        ("rev: 0123456789012345678901234567890123456789", ["has no commit `0123456789", "pushed"]),
    ] {
        let project = Project::new(&flow(&url, &[want, "build: touch built"]));
        let ended = fails(&project, &["build", "flow.yml"], &["flow.yml:2:", "node `arm`", &url]);
        assert!(words.iter().all(|word| ended.err.contains(word)), "{want}: {}", ended.err);
        assert_eq!(clones(&project), [""; 0], "{want}");
    }
}

#[test]
fn repository_that_is_not_there_is_named_and_no_line_of_any_node_has_run() {
    let project = Project::new(&format!(
        "{}  - id: other\n    path: shell\n    args: 'true'\n    build: touch built\n",
        flow("file:///no/such/repository", &["build: touch built"])
    ));
    let words =
        ["flow.yml:2:", "node `arm`", "file:///no/such/repository", "cannot be cloned", "does not appear"];
    fails(&project, &["build", "flow.yml"], &words[..4]);
    assert!(!project.path("built").exists());
    assert_eq!(clones(&project), [""; 0]);
}

#[test]
fn mistakes_that_can_be_known_are_all_told_before_anything_is_fetched() {
    let repository = Repository::new("one");
    let project = Project::new(&format!(
        "nodes:
  - {{ id: a, path: ./tool, git: '{url}', rev: main }}
  - {{ id: b, path: ./tool, git: '{url}', branch: 'a..b' }}
  - {{ id: c, path: 'https://example.com/x', git: '{url}' }}
  - {{ id: d, path: 'http://:80/x' }}
  - {{ id: e, path: ./tool, git: '{url}' }}
",
        url = repository.url()
    ));
    let words = ["node `a`", "node `b`", "node `c`", "node `d`", "flow.yml:2:", "branch: …", "a..b"];
    let ended = fails(&project, &["build", "flow.yml"], &words);
    assert!(!ended.err.contains("cloning") && !project.path(".dora").exists(), "{}", ended.err);
    let project = Project::new(&format!(
        "{}  - {{ id: net, path: 'http://localhost/x' }}\n",
        flow(&repository.url(), &[])
    ));
    fails(
        &project,
        &["build", "--offline", "flow.yml"],
        &["node `arm`", "node `net`", "not been fetched", "--offline"],
    );
}

#[test]
fn git_that_is_not_installed_is_said_before_any_line_runs() {
    let project = Project::new(&format!(
        "{}  - id: other\n    path: shell\n    args: 'true'\n    build: touch built\n",
        flow("https://example.com/x.git", &[])
    ));
    let output =
        project.command(&["build", "flow.yml"]).env("PATH", project.path("nothing")).output().unwrap();
    let ended = Ended::from(output);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("`git` is needed") && ended.err.contains("install git"), "{}", ended.err);
}

#[test]
fn nodes_of_one_repository_share_its_clone() {
    let repository = Repository::new("one");
    let node = flow(&repository.url(), &["branch: main"]).replace("nodes:\n", "");
    let project = Project::new(&format!("nodes:\n{node}{}", node.replace("arm", "leg")));
    let built = succeeds(&project, &["build", "flow.yml"]);
    assert!(built.err.contains("for arm, leg") && clones(&project).len() == 1, "{built:?}");
}

#[test]
fn references_that_differ_behind_a_dot_do_not_get_into_each_others_way() {
    let repository = Repository::new("one");
    repository.git(&["tag", "v1.0"]);
    repository.commit_tool("two");
    repository.git(&["tag", "v1.1"]);
    let node = |id: &str, tag: &str| {
        flow(&repository.url(), &[tag]).replace("nodes:\n", "").replace("id: arm", &format!("id: {id}"))
    };
    let project = Project::new(&format!("nodes:\n{}{}", node("a", "tag: v1.0"), node("b", "tag: v1.1")));
    fs::create_dir_all(project.path(".dora/git/left-behind.part")).unwrap();
    succeeds(&project, &["build", "flow.yml"]);
    assert_eq!(clones(&project).len(), 2, "{:?}", clones(&project));
    let run = succeeds(&project, &["run", "flow.yml"]);
    assert!(run.out.contains("one in ") && run.out.contains("two in "), "{run:?}");
}

#[test]
fn changes_made_in_a_clone_are_not_thrown_away() {
    let repository = Repository::new("one");
    let project = Project::new(&flow(&repository.url(), &["branch: main"]));
    succeeds(&project, &["build", "flow.yml"]);
    let tool = project.path(".dora/git").join(&clones(&project)[0]).join("tool");
    fs::write(&tool, "mine").unwrap();
    succeeds(&project, &["build", "flow.yml"]);
    repository.commit_tool("two");
    fails(&project, &["build", "flow.yml"], &["node `arm`", "cannot be brought to", "tool", "clone again"]);
    assert_eq!(fs::read_to_string(&tool).unwrap(), "mine");
}

#[test]
fn submodules_come_with_the_clone() {
    let inner = Repository::new("inner");
    let outer = Repository::new("outer");
    outer.git(&["submodule", "--quiet", "add", &inner.url(), "inner"]);
    outer.git(&["commit", "--quiet", "--message", "inner"]);
    let project = Project::new(&flow(&outer.url(), &["build: ./inner/tool"]));
    // git clones submodules from local folders only when it is told to.
    let config = [
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "protocol.file.allow"),
        ("GIT_CONFIG_VALUE_0", "always"),
    ];
    let built = Ended::from(project.command(&["build", "flow.yml"]).envs(config).output().unwrap());
    assert!(built.code == Some(0) && built.err.contains("arm: inner in "), "{built:?}");
}

#[test]
fn run_fetches_what_needs_no_build_and_asks_for_a_build_otherwise() {
    let repository = Repository::new("one");
    let project = Project::new(&flow(&repository.url(), &["branch: main"]));
    let run = succeeds(&project, &["run", "flow.yml"]);
    assert!(run.out.contains("one in "), "{run:?}");
    repository.commit_tool("two");
    let run = succeeds(&project, &["run", "flow.yml"]);
    assert!(run.out.contains("one in "), "a run changes no clone: {run:?}");
    let project = Project::new(&flow(&repository.url(), &["branch: main", "build: touch built"]));
    let words = ["flow.yml:2:", "node `arm`", &repository.url(), "not been cloned", "run `dora build` first"];
    fails(&project, &["run", "flow.yml"], &words);
    let run = succeeds(&project, &["run", "--build", "flow.yml"]);
    assert!(run.out.contains("two in "), "{run:?}");
}
