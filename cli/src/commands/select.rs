//! Which dataflow is meant: by UUID, by name, or because there is only one.
//!
//! | typed                         | is                                                                       |
//! |-------------------------------|--------------------------------------------------------------------------|
//! | UUID, or the beginning of one | that dataflow                                                            |
//! | name                          | the running one of that name, else the latest that ended                 |
//! | nothing                       | the only one that runs; several: a picker on a terminal, else an error   |

use std::io::{self, IsTerminal};

use dora_protocol::control::{ControlReply, ControlRequest, DataflowEntry};

use crate::{
    client::{Client, unexpected},
    error::{CliError, CliResult},
};

/// Fewer characters do not name a UUID.
const SHORTEST_PREFIX: usize = 4;

/// Which dataflows a command is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Among {
    /// Those that have not ended.
    Running,
    /// Those that have ended, too, when they are named.
    All,
}

/// The dataflow that was meant; `None` when none was named and none runs.
///
/// # Errors
/// When there is no such dataflow, or nobody can say which of several is meant.
pub(crate) async fn dataflow(
    client: &mut Client,
    typed: Option<&str>,
    among: Among,
) -> CliResult<Option<DataflowEntry>> {
    let list = list(client).await?;
    match choose(&list, typed, among)? {
        Choice::None => Ok(None),
        Choice::One(entry) => Ok(Some(entry.clone())),
        Choice::Several(entries) => pick(&entries).map(|entry| Some(entry.clone())),
    }
}

/// As [`dataflow`], where there has to be one.
///
/// # Errors
/// As [`dataflow`], and when none runs.
pub(crate) async fn some_dataflow(
    client: &mut Client,
    typed: Option<&str>,
    among: Among,
) -> CliResult<DataflowEntry> {
    let none = || {
        CliError::new("no dataflow is running")
            .hint("start one with `dora start`; `dora list` shows those that ended")
    };
    dataflow(client, typed, among).await?.ok_or_else(none)
}

/// Every dataflow that the coordinator knows.
///
/// # Errors
/// When the coordinator cannot say.
pub(crate) async fn list(client: &mut Client) -> CliResult<Vec<DataflowEntry>> {
    match client.ask(ControlRequest::List).await? {
        ControlReply::DataflowList(list) => Ok(list),
        other => Err(unexpected(&other)),
    }
}

/// `name (uuid)`, or the UUID alone.
pub(crate) fn label(entry: &DataflowEntry) -> String {
    match &entry.id.name {
        Some(name) => format!("{name} ({})", entry.id.uuid),
        None => entry.id.uuid.to_string(),
    }
}

#[derive(Debug, PartialEq)]
enum Choice<'a> {
    None,
    One(&'a DataflowEntry),
    Several(Vec<&'a DataflowEntry>),
}

fn choose<'a>(list: &'a [DataflowEntry], typed: Option<&str>, among: Among) -> CliResult<Choice<'a>> {
    let running: Vec<&DataflowEntry> = list.iter().filter(|entry| !entry.status.has_ended()).collect();
    let Some(typed) = typed else {
        return Ok(match running[..] {
            [] => Choice::None,
            [one] => Choice::One(one),
            _ => Choice::Several(running),
        });
    };
    let candidates: Vec<&DataflowEntry> = match among {
        Among::Running => running.clone(),
        Among::All => list.iter().collect(),
    };
    if let Some(found) = by_name(&candidates, typed) {
        return Ok(Choice::One(found));
    }
    let prefix = typed.to_ascii_lowercase();
    let fits = |entry: &&&DataflowEntry| {
        prefix.len() >= SHORTEST_PREFIX && entry.id.uuid.to_string().starts_with(&prefix)
    };
    let mut fitting = candidates.iter().filter(fits);
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => Ok(Choice::One(one)),
        (Some(_), Some(_)) => {
            Err(CliError::new(format!("the UUIDs of several dataflows begin with `{typed}`"))
                .hint("write more of it; `dora list` shows them"))
        }
        (None, _) => Err(not_found(list, &running, typed)),
    }
}

/// The latest of those that run, else of those that ended.
fn by_name<'a>(candidates: &[&'a DataflowEntry], name: &str) -> Option<&'a DataflowEntry> {
    let named = candidates.iter().filter(|entry| entry.id.name.as_deref() == Some(name));
    named.max_by_key(|entry| (!entry.status.has_ended(), entry.created_ms)).copied()
}

fn not_found(list: &[DataflowEntry], running: &[&DataflowEntry], typed: &str) -> CliError {
    let ended = list.iter().find(|entry| {
        entry.status.has_ended()
            && (entry.id.name.as_deref() == Some(typed)
                || entry.id.uuid.to_string() == typed.to_ascii_lowercase())
    });
    let error = match ended {
        Some(entry) => CliError::new(format!(
            "no running dataflow with ID or name `{typed}`: it has ended ({})",
            entry.status
        )),
        None => CliError::new(format!("no running dataflow with ID or name `{typed}`")),
    };
    if running.is_empty() {
        return error.hint("no dataflow is running; start one with `dora start`");
    }
    error.hint(format!("running:{}", lines(running)))
}

fn lines(entries: &[&DataflowEntry]) -> String {
    entries.iter().map(|entry| format!("\n  {}", label(entry))).collect()
}

/// Asks the user.
fn pick<'a>(entries: &[&'a DataflowEntry]) -> CliResult<&'a DataflowEntry> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(CliError::new(format!("several dataflows are running:{}", lines(entries)))
            .hint("name one of them by its UUID or its name"));
    }
    let options: Vec<String> = entries.iter().map(|entry| label(entry)).collect();
    let chosen = inquire::Select::new("Which dataflow?", options).raw_prompt();
    let index = chosen
        .map_err(|error| {
            CliError::new("no dataflow was chosen").caused_by(&error).hint("name one by its UUID or its name")
        })?
        .index;
    entries.get(index).copied().ok_or_else(|| CliError::new("no dataflow was chosen"))
}

#[cfg(test)]
pub(super) mod tests {
    use dora_protocol::control::{DataflowName, DataflowStatus};

    use super::*;

    /// A dataflow with the UUID `<number>0…`.
    pub(in crate::commands) fn entry(
        number: u8,
        name: Option<&str>,
        status: DataflowStatus,
    ) -> DataflowEntry {
        let uuid = format!("{number:08x}-0000-7000-8000-000000000000").parse().unwrap();
        DataflowEntry {
            id: DataflowName { uuid, name: name.map(str::to_owned) },
            status,
            spawned: true,
            error: None,
            nodes: 2,
            cpu_usage: Some(f64::from(number)),
            memory_bytes: Some(u64::from(number) << 20),
            daemon: None,
            created_ms: u64::from(number),
            updated_ms: 0,
        }
    }

    use DataflowStatus::{Failed, Finished, Pending, Running};

    fn number(list: &[DataflowEntry], typed: Option<&str>, among: Among) -> Result<Vec<u64>, String> {
        match choose(list, typed, among).map_err(|error| error.to_string())? {
            Choice::None => Ok(vec![]),
            Choice::One(one) => Ok(vec![one.created_ms]),
            Choice::Several(several) => Ok(several.iter().map(|entry| entry.created_ms).collect()),
        }
    }

    #[test]
    fn without_a_word_the_only_running_one_is_meant() {
        let (a, b, c) = (entry(1, None, Running), entry(2, None, Pending), entry(3, None, Finished));
        assert_eq!(number(&[], None, Among::All), Ok(vec![]));
        assert_eq!(number(std::slice::from_ref(&c), None, Among::All), Ok(vec![]));
        assert_eq!(number(&[a.clone(), c.clone()], None, Among::Running), Ok(vec![1]));
        assert_eq!(number(&[a, b, c], None, Among::Running), Ok(vec![1, 2]));
    }

    #[test]
    fn name_means_the_running_one_and_else_the_latest() {
        let list = [
            entry(1, Some("a"), Failed),
            entry(2, Some("a"), Running),
            entry(3, Some("a"), Finished),
            entry(4, Some("b"), Finished),
            entry(5, Some("b"), Failed),
        ];
        assert_eq!(number(&list, Some("a"), Among::All), Ok(vec![2]));
        assert_eq!(number(&list, Some("b"), Among::All), Ok(vec![5]));
        assert!(number(&list, Some("b"), Among::Running).unwrap_err().contains("it has ended"));
    }

    #[test]
    fn uuid_may_be_shortened_as_long_as_it_is_clear() {
        let list = [entry(0x11, None, Running), entry(0x12, None, Running), entry(0x13, None, Finished)];
        assert_eq!(number(&list, Some("00000012"), Among::Running), Ok(vec![0x12]));
        let whole = list[0].id.uuid.to_string().to_uppercase();
        assert_eq!(number(&list, Some(&whole), Among::Running), Ok(vec![0x11]));
        assert!(number(&list, Some("0000001"), Among::Running).unwrap_err().contains("several"));
        assert!(number(&list, Some("00000013"), Among::Running).is_err());
        assert_eq!(number(&list, Some("00000013"), Among::All), Ok(vec![0x13]));
    }

    #[test]
    fn what_is_not_there_is_named_beside_what_is() {
        let list = [entry(1, Some("arm"), Running)];
        let error = number(&list, Some("leg"), Among::All).unwrap_err();
        assert!(
            error.contains("no running dataflow with ID or name `leg`") && error.contains("arm (0000"),
            "{error}"
        );
        assert!(number(&[], Some("leg"), Among::All).unwrap_err().contains("dora start"));
    }
}
