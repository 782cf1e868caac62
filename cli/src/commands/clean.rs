//! `dora clean`: makes the coordinator forget dataflows that have ended.

use dora_protocol::control::{CleanFailure, ControlReply, ControlRequest, DataflowEntry};
use serde_json::{Value, json};

use super::list::name;
use crate::{
    args::{CleanArgs, OutputFormat},
    client::{unexpected, with_coordinator},
    display::{
        out::{json_lines, print},
        table::{Align, Table},
    },
    error::{CliError, CliResult},
};

/// `dora clean`
pub(crate) fn run(args: &CleanArgs) -> CliResult {
    let (cleaned, failed) =
        with_coordinator(&args.coord, async |mut client| match client.ask(ControlRequest::Clean).await? {
            ControlReply::CleanResult { cleaned, failed } => Ok((cleaned, failed)),
            other => Err(unexpected(&other)),
        })?;
    if args.quiet {
        print(&cleaned.iter().map(|entry| format!("{}\n", entry.id.uuid)).collect::<String>())?;
    } else if args.format == OutputFormat::Json {
        json_lines(&cleaned.iter().map(as_json).collect::<Vec<_>>())?;
    } else {
        print(&table(&cleaned))?;
    }
    for failure in &failed {
        eprintln!("{}", warning(failure, args.format));
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(CliError::new(format!(
        "{} of {} dataflows could not be cleaned",
        failed.len(),
        failed.len() + cleaned.len()
    ))
    .hint("`dora clean` may be called again"))
}

fn table(cleaned: &[DataflowEntry]) -> String {
    if cleaned.is_empty() {
        return "Cleaned 0 dataflow(s): none has ended.\n".to_owned();
    }
    let mut table = Table::new(&[("UUID", Align::Left), ("Name", Align::Left), ("Status", Align::Left)]);
    for entry in cleaned {
        table.row(vec![entry.id.uuid.to_string(), name(entry), entry.status.to_string()]);
    }
    format!("{}Cleaned {} dataflow(s).\n", table.render(), cleaned.len())
}

fn as_json(entry: &DataflowEntry) -> Value {
    json!({ "uuid": entry.id.uuid, "name": entry.id.name, "status": entry.status.to_string() })
}

fn warning(failure: &CleanFailure, format: OutputFormat) -> String {
    let CleanFailure { id, error } = failure;
    match format {
        OutputFormat::Json => json!({ "uuid": id.uuid, "name": id.name, "error": error }).to_string(),
        OutputFormat::Table => format!("warning: {} is still there: {error}", id.uuid),
    }
}

#[cfg(test)]
mod tests {
    use dora_protocol::control::DataflowStatus;

    use super::*;
    use crate::commands::select::tests::entry;

    #[test]
    fn answer_lists_what_is_gone_and_counts_it() {
        let gone = [entry(1, Some("arm"), DataflowStatus::Finished), entry(2, None, DataflowStatus::Failed)];
        assert_eq!(
            table(&gone),
            "UUID                                  Name  Status\n\
             00000001-0000-7000-8000-000000000000  arm   Finished\n\
             00000002-0000-7000-8000-000000000000  -     Failed\n\
             Cleaned 2 dataflow(s).\n"
        );
        assert!(table(&[]).starts_with("Cleaned 0 dataflow(s)"));
        assert_eq!(
            as_json(&gone[1]),
            json!({ "uuid": "00000002-0000-7000-8000-000000000000", "name": null, "status": "Failed" })
        );
    }

    #[test]
    fn what_is_still_there_is_named_with_the_reason() {
        let id = entry(1, Some("arm"), DataflowStatus::Finished).id;
        let failure = CleanFailure { id, error: "disk full".into() };
        assert!(warning(&failure, OutputFormat::Table).starts_with("warning: 00000001-"));
        let value: Value = serde_json::from_str(&warning(&failure, OutputFormat::Json)).unwrap();
        assert_eq!((&value["name"], &value["error"]), (&json!("arm"), &json!("disk full")));
    }
}
