//! Lockfiles: what is written reads back, and what is wrong with one is told with its place.

use dora_descriptor::{Lockfile, Pin};
use dora_protocol::dataflow::{GitRef, GitSource, Location};

fn read(text: &str) -> Result<Lockfile, String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("flow.dora-lock.yaml");
    std::fs::write(&file, text).unwrap();
    Lockfile::read(&file)
        .map_err(|errors| errors.to_string().replace(&format!("{}/", dir.path().display()), ""))
}

fn pin(url: &str, want: GitRef, digit: &str) -> Pin {
    let source = GitSource { url: url.to_owned(), want };
    Pin { source, commit: digit.repeat(40), at: Location::default() }
}

#[test]
fn what_was_pinned_reads_back_as_it_was() {
    let pins = [
        pin("https://example.com/a b.git", GitRef::Default, "0"),
        pin("../repo: x", GitRef::Branch("feature/x#1".to_owned()), "1"),
        pin("https://example.com/a.git", GitRef::Tag("1.10".to_owned()), "2"),
        pin("https://example.com/a.git", GitRef::Rev("12345678".to_owned()), "e"),
    ];
    let text = Lockfile { git: pins.to_vec() }.text();
    let again = read(&text).unwrap_or_else(|errors| panic!("{text}\n{errors}"));
    assert_eq!(again.git.len(), pins.len());
    for pin in &pins {
        let found = again.pin(&pin.source).unwrap_or_else(|| panic!("{pin:?} is not in\n{text}"));
        assert_eq!(found.commit, pin.commit);
        assert!(found.at.line > 0, "{found:?}");
    }
    let empty = Lockfile::default().text();
    assert!(read(&empty).unwrap_or_else(|errors| panic!("{empty}\n{errors}")).git.is_empty());
}

#[test]
fn a_wrong_lockfile_is_refused_with_the_place_of_each_mistake() {
    let entry = |more: &str| format!("version: 1\ngit:\n  - {{ url: x, {more} }}\n");
    let commit = "0".repeat(40);
    for (text, said) in [
        ("".to_owned(), "flow.dora-lock.yaml:1:1: the file is empty"),
        (
            "version: 7\ngit: []\n".to_owned(),
            "flow.dora-lock.yaml:1:10: version: version 7 is not known; expected 1",
        ),
        ("git: []\n".to_owned(), "a lockfile needs `version`"),
        (
            entry("commit: 1234"),
            "flow.dora-lock.yaml:3:23: git: `1234` is not a commit; expected all of its 40",
        ),
        (
            entry(&format!("commit: {commit}, branch: a, tag: b")),
            "`branch`, `tag` and `rev` exclude each other",
        ),
        (entry(&format!("comit: {commit}")), "did you mean `commit`?"),
        (
            entry(&format!("commit: {commit} }}\n  - {{ url: x, commit: {commit}")),
            ":4:5: git: `x` is pinned twice",
        ),
    ] {
        let message = read(&text).map(drop).expect_err(&text);
        assert!(message.contains(said), "{text}\nsays\n{message}\nwithout\n{said}");
    }
    let missing =
        Lockfile::read(std::path::Path::new("/nowhere/x.yaml")).map(drop).expect_err("not there").to_string();
    assert!(missing.contains("/nowhere/x.yaml: cannot be read"), "{missing}");
}
