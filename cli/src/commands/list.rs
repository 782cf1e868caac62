//! `dora list`: the dataflows that a coordinator knows.

use dora_protocol::control::{DataflowEntry, DataflowStatus};
use serde_json::{Value, json};

use super::select;
use crate::{
    args::{ListArgs, OutputFormat, SortBy, StatusFilter},
    client::with_coordinator,
    display::{
        numbers::{mega, memory, percent},
        out::{json_lines, print},
        table::{Align, Table},
    },
    error::CliResult,
};

/// `dora list`
pub(crate) fn run(args: &ListArgs) -> CliResult {
    let list = with_coordinator(&args.coord, async |mut client| select::list(&mut client).await)?;
    let shown = pick(list, args);
    if args.quiet {
        let lines: String = shown.iter().map(|entry| format!("{}\n", entry.id.uuid)).collect();
        return print(&lines);
    }
    match args.format {
        OutputFormat::Table => print(&table(&shown)),
        OutputFormat::Json => json_lines(&shown.iter().map(as_json).collect::<Vec<_>>()),
    }
}

/// Those that were asked for, in the order that was asked for.
fn pick(mut list: Vec<DataflowEntry>, args: &ListArgs) -> Vec<DataflowEntry> {
    let pattern = args.name.as_deref().map(str::to_lowercase);
    list.retain(|entry| {
        let name = entry.id.name.as_deref().unwrap_or_default().to_lowercase();
        args.status.is_none_or(|status| fits(status, entry.status))
            && pattern.as_deref().is_none_or(|pattern| name.contains(pattern))
    });
    // The sort is stable: what is equal, or unknown, stays in the order of creation.
    match args.sort_by {
        Some(SortBy::Cpu) => list.sort_by(|a, b| {
            let key = |entry: &DataflowEntry| entry.cpu_usage.unwrap_or(-1.0);
            key(b).total_cmp(&key(a))
        }),
        Some(SortBy::Memory) => list.sort_by_key(|entry| std::cmp::Reverse(entry.memory_bytes)),
        None => {}
    }
    list
}

fn fits(filter: StatusFilter, status: DataflowStatus) -> bool {
    match filter {
        StatusFilter::Running => !status.has_ended(),
        StatusFilter::Finished => status == DataflowStatus::Finished,
        StatusFilter::Failed => status == DataflowStatus::Failed,
    }
}

fn table(list: &[DataflowEntry]) -> String {
    let mut table = Table::new(&[
        ("UUID", Align::Left),
        ("Name", Align::Left),
        ("Status", Align::Left),
        ("Nodes", Align::Right),
        ("CPU", Align::Right),
        ("Memory", Align::Right),
    ]);
    for entry in list {
        table.row(vec![
            entry.id.uuid.to_string(),
            name(entry),
            entry.status.to_string(),
            entry.nodes.to_string(),
            percent(entry.cpu_usage),
            memory(entry.memory_bytes),
        ]);
    }
    table.render()
}

/// A cell that is never empty, so that the columns can be counted.
pub(super) fn name(entry: &DataflowEntry) -> String {
    entry.id.name.clone().unwrap_or_else(|| "-".to_owned())
}

/// `memory` is in 10^9 bytes because scripts expect it so, `memory_mb` in 10^6.
fn as_json(entry: &DataflowEntry) -> Value {
    json!({
        "uuid": entry.id.uuid,
        "name": entry.id.name,
        "status": entry.status.to_string(),
        "nodes": entry.nodes,
        "cpu": entry.cpu_usage,
        "memory": entry.memory_bytes.map(|bytes| mega(bytes) / 1000.0),
        "memory_mb": entry.memory_bytes.map(mega),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::{
        args::{Cli, Command},
        commands::select::tests::entry,
    };
    use DataflowStatus::{Failed, Finished, Pending, Running};

    fn args(flags: &[&str]) -> ListArgs {
        let all = ["dora", "ps"].iter().chain(flags);
        let Command::List(args) = Cli::try_parse_from(all).unwrap().command else { panic!("not list") };
        args
    }

    fn list() -> Vec<DataflowEntry> {
        vec![
            entry(1, Some("Arm-left"), Running),
            entry(3, None, Finished),
            entry(2, Some("leg"), Failed),
            entry(4, Some("ARM-right"), Pending),
        ]
    }

    #[test]
    fn status_and_name_narrow_the_list_and_numbers_sort_it() {
        let table = [
            (&[][..], vec![1, 3, 2, 4]),
            (&["--status", "running"], vec![1, 4]),
            (&["--status", "finished"], vec![3]),
            (&["--status", "failed"], vec![2]),
            (&["--name", "arm"], vec![1, 4]),
            (&["--name", "x"], vec![]),
            (&["--sort-by", "cpu"], vec![4, 3, 2, 1]),
            (&["--sort-by", "memory", "--status", "running"], vec![4, 1]),
        ];
        for (flags, expected) in table {
            let shown: Vec<u64> = pick(list(), &args(flags)).iter().map(|entry| entry.created_ms).collect();
            assert_eq!(shown, expected, "{flags:?}");
        }
    }

    #[test]
    fn table_has_the_documented_columns_also_when_it_is_empty() {
        assert_eq!(table(&[]), "UUID  Name  Status  Nodes  CPU  Memory\n");
        let mut ended = entry(3, None, Finished);
        (ended.cpu_usage, ended.memory_bytes) = (None, None);
        assert_eq!(
            table(&[entry(1, Some("arm"), Running), ended]),
            "UUID                                  Name  Status    Nodes   CPU  Memory\n\
             00000001-0000-7000-8000-000000000000  arm   Running       2  1.0%  1.0 MB\n\
             00000003-0000-7000-8000-000000000000  -     Finished      2   N/A     N/A\n"
        );
    }

    #[test]
    fn json_has_the_documented_keys_and_says_which_unit_memory_has() {
        let mut value = entry(1, Some("arm"), Running);
        value.memory_bytes = Some(156_840_000);
        assert_eq!(
            as_json(&value),
            json!({ "uuid": "00000001-0000-7000-8000-000000000000", "name": "arm", "status": "Running",
                    "nodes": 2, "cpu": 1.0, "memory": 0.15684, "memory_mb": 156.84 })
        );
    }
}
