//! `dora logs --local`: the files in `out/` of the working directory.

use std::{io, path::Path, time::Duration};

use super::{
    Screen,
    files::{self, Folder, Follower, NodeLines},
    pick::{Filter, Merge, tail},
};
use crate::{
    args::LogsArgs,
    client::block_on,
    error::{CliError, CliResult},
    interrupts::Interrupts,
};

/// How often files are looked at under `--follow`.
const LOOK: Duration = Duration::from_millis(200);
/// Fewer characters of a UUID may be a node.
const SHORTEST_PREFIX: usize = 6;

/// Shows the files.
pub(super) fn run(args: &LogsArgs, filter: &Filter) -> CliResult {
    let folders = files::folders(Path::new("out"))?;
    let (folder, node) = choose(&folders, args.dataflow.as_deref(), args.node())?;
    if args.dataflow.as_deref() != Some(&folder.id) && folders.len() > 1 {
        eprintln!("showing dataflow {}, one of {} in out/", folder.id, folders.len());
    }
    let nodes = folder.nodes().map_err(|error| unreadable(folder, &error))?;
    if let Some(node) = node
        && !nodes.iter().any(|known| known == node)
    {
        return Err(no_such_node(folder, node, &nodes));
    }
    let mut screen = Screen::new(args.log_format);
    if args.follow {
        return follow(folder, node, args.tail, filter, &mut screen);
    }
    let wanted = nodes.iter().filter(|name| node.is_none_or(|node| node == **name));
    let opened: io::Result<Vec<_>> = wanted.map(|node| NodeLines::open(folder, node)).collect();
    let lines = Merge::new(opened.map_err(|error| unreadable(folder, &error))?);
    screen
        .show_all(tail(lines.filter(|entry| filter.passes(entry)), args.tail))
        .or_else(|gone| gone.into_result())
}

fn follow(
    folder: &Folder,
    node: Option<&str>,
    count: Option<usize>,
    filter: &Filter,
    screen: &mut Screen,
) -> CliResult {
    let failed = |error: io::Error| unreadable(folder, &error);
    let mut follower = Follower::open(folder, node).map_err(failed)?;
    block_on(async {
        let mut interrupts = Interrupts::new()
            .map_err(|error| CliError::new("failed to listen for signals").caused_by(&error))?;
        let mut count = count;
        loop {
            let lines = follower.new_lines().map_err(failed)?.filter(|entry| filter.passes(entry));
            if let Err(gone) = screen.show_all(tail(lines, count.take())) {
                return gone.into_result();
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = interrupts.next() => return Ok(()),
            }
        }
    })
}

/// Which dataflow and which node are meant. One word may be either: it is a dataflow when it is (the beginning of) a UUID that
/// is there.
fn choose<'a>(
    folders: &'a [Folder],
    first: Option<&'a str>,
    node: Option<&'a str>,
) -> CliResult<(&'a Folder, Option<&'a str>)> {
    let Some(newest) = folders.first() else {
        return Err(CliError::new("there are no logs in out/")
            .hint("start a dataflow with `dora run` or `dora start`"));
    };
    let Some(word) = first else { return Ok((newest, node)) };
    let prefix = word.to_ascii_lowercase();
    let mut fitting = folders.iter().filter(|folder| {
        folder.id == prefix || (prefix.len() >= SHORTEST_PREFIX && folder.id.starts_with(&prefix))
    });
    match (fitting.next(), fitting.next(), node) {
        (Some(folder), None, node) => Ok((folder, node)),
        (Some(_), Some(_), _) => Err(CliError::new(format!("several dataflows in out/ begin with `{word}`"))
            .hint("write more of the UUID")),
        (None, _, None) => Ok((newest, Some(word))),
        (None, _, Some(_)) => {
            let known: Vec<String> =
                folders.iter().take(8).map(|folder| format!("\n  {}", folder.id)).collect();
            Err(CliError::new(format!(
                "there is no dataflow `{word}` in out/; the newest are:{}",
                known.concat()
            ))
            .hint("files have the UUID of their dataflow, not its name"))
        }
    }
}

fn unreadable(folder: &Folder, error: &io::Error) -> CliError {
    CliError::new(format!("failed to read the logs in out/{}", folder.id)).caused_by(error)
}

fn no_such_node(folder: &Folder, node: &str, nodes: &[String]) -> CliError {
    let known =
        if nodes.is_empty() { "no logs at all".to_owned() } else { format!("logs of {}", nodes.join(", ")) };
    CliError::new(format!("dataflow {} has no log of a node `{node}`, but {known}", folder.id))
        .hint("another dataflow is named by its UUID: `dora logs --local UUID NODE`")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const OLD: &str = "01990000-0000-7000-8000-000000000001";
    const NEW: &str = "01990000-1000-7000-8000-000000000002";

    fn folders() -> (tempfile::TempDir, Vec<Folder>) {
        let out = tempfile::tempdir().unwrap();
        for id in [OLD, NEW] {
            fs::create_dir(out.path().join(id)).unwrap();
        }
        let mut found = files::folders(out.path()).unwrap();
        found.sort_by(|a, b| b.id.cmp(&a.id));
        (out, found)
    }

    #[test]
    fn one_word_is_a_node_of_the_newest_dataflow_unless_it_is_a_uuid_that_is_there() {
        let (_out, folders) = folders();
        let table = [
            (None, None, NEW, None),
            (None, Some("cam"), NEW, Some("cam")),
            (Some("cam"), None, NEW, Some("cam")),
            (Some(OLD), None, OLD, None),
            (Some("01990000-0000"), Some("cam"), OLD, Some("cam")),
            (Some("0199"), None, NEW, Some("0199")),
        ];
        for (first, node, id, expected) in table {
            let (folder, found) = choose(&folders, first, node).unwrap();
            assert_eq!((folder.id.as_str(), found), (id, expected), "{first:?} {node:?}");
        }
    }

    #[test]
    fn a_dataflow_that_is_not_there_is_an_error_that_lists_those_that_are() {
        let (_out, folders) = folders();
        let error = choose(&folders, Some("my-robot"), Some("cam")).unwrap_err().to_string();
        assert!(
            error.contains("`my-robot`") && error.contains(OLD) && error.contains("not its name"),
            "{error}"
        );
        let error = choose(&folders, Some("01990000"), Some("cam")).unwrap_err().to_string();
        assert!(error.contains("several"), "{error}");
        assert!(choose(&[], None, None).unwrap_err().to_string().contains("dora run"));
    }
}
