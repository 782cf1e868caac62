//! `docs/coverage.md` says of each feature of the interface what proves it; here it is held to its word.
//!
//! A row that says "done" names a test as `path::test name`, or for what no test can show a document behind `doc:`.

use std::path::Path;

const ROWS: usize = 482;

struct Row {
    number: usize,
    state: String,
    note: String,
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn table() -> (String, Vec<Row>) {
    let text = std::fs::read_to_string(root().join("docs/coverage.md")).unwrap();
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix('|')?.strip_suffix('|')?.split(" | ").map(str::trim);
        let number = cells.next()?.parse().ok()?;
        let rest: Vec<&str> = cells.skip(1).collect();
        let (state, note) = rest.split_first()?;
        Some(Row { number, state: (*state).to_owned(), note: note.join(" | ") })
    });
    let rows = rows.collect();
    (text, rows)
}

/// What stands between backquotes.
fn quoted(note: &str) -> impl Iterator<Item = &str> {
    note.split('`').skip(1).step_by(2)
}

/// Is there a function of this name in the file?
fn is_there(path: &str, name: &str) -> bool {
    let source = std::fs::read_to_string(root().join(path)).unwrap_or_default();
    let named = |line: &str| {
        let after = line.split_once("fn ").or_else(|| line.split_once("def ")).map(|(_, after)| after);
        after.and_then(|after| after.split_once('(')).is_some_and(|(found, _)| found == name)
    };
    source.lines().any(named)
}

#[test]
fn every_feature_has_one_row_and_the_counts_are_right() {
    let (text, rows) = table();
    let numbers: Vec<usize> = rows.iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..=ROWS).collect::<Vec<_>>());
    let count = |state: &str| rows.iter().filter(|row| row.state == state).count();
    let counts = format!("{} done, {} partly, {} missing", count("done"), count("partly"), count("missing"));
    assert!(text.contains(&counts), "the rows count {counts}");
    assert_eq!(count("done") + count("partly") + count("missing"), ROWS, "a row has another state");
}

#[test]
fn what_is_done_is_proved_by_a_test_or_document_that_exists() {
    let mut wrong = Vec::new();
    for Row { number, state, note } in table().1 {
        let mut proofs = 0;
        for (path, name) in quoted(&note).filter_map(|words| words.split_once("::")) {
            if is_there(path, name) {
                proofs += 1;
            } else {
                wrong.push(format!("row {number}: there is no `{name}` in `{path}`"));
            }
        }
        let documents = note.split("doc: ").skip(1).filter_map(|after| quoted(after).next());
        for path in documents {
            if root().join(path).exists() {
                proofs += 1;
            } else {
                wrong.push(format!("row {number}: there is no `{path}`"));
            }
        }
        if state == "done" && proofs == 0 {
            wrong.push(format!("row {number}: done, says it, and names no test"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
