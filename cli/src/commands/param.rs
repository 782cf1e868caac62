//! `dora param`: values that a node is told while it runs. The coordinator keeps them.

use dora_protocol::control::{ControlReply, ControlRequest, Delivery, MAX_PARAM_KEY, MAX_PARAM_VALUE};
use serde_json::Value;

use super::{
    node::{node_id, place},
    select::Among,
};
use crate::{
    args::{InDataflow, OutputFormat, ParamCommand, ParamKeyArgs, ParamListArgs, ParamSetArgs},
    client::{unexpected, with_coordinator},
    display::out::{json_document, print},
    error::{CliError, CliResult},
};

/// `dora param`
pub(crate) fn run(command: &ParamCommand) -> CliResult {
    match command {
        ParamCommand::List(args) => list(args),
        ParamCommand::Get(args) => get(args),
        ParamCommand::Set(args) => set(args),
        ParamCommand::Delete(args) => delete(args),
    }
}

fn list(args: &ParamListArgs) -> CliResult {
    let node_id = node_id(&args.node)?;
    match ask(&args.place, |dataflow_id| ControlRequest::GetParams { dataflow_id, node_id })? {
        ControlReply::ParamList { params } => match args.format {
            OutputFormat::Json => json_document(&params),
            OutputFormat::Table if params.is_empty() => {
                print(&format!("No parameters for node `{}`.\n", args.node))
            }
            OutputFormat::Table => {
                let lines: String =
                    params.iter().map(|(key, value)| format!("  {key} = {value}\n")).collect();
                print(&format!("Parameters for node `{}`:\n{lines}", args.node))
            }
        },
        other => Err(unexpected(&other)),
    }
}

fn get(args: &ParamKeyArgs) -> CliResult {
    let (node_id, key) = (node_id(&args.node)?, args.key.clone());
    let reply = ask(&args.place, |dataflow_id| ControlRequest::GetParam { dataflow_id, node_id, key })
        .map_err(|error| error.hint(format!("`dora param list {}` shows what there is", args.node)))?;
    match reply {
        ControlReply::ParamValue { value, .. } => print(&format!("{value}\n")),
        other => Err(unexpected(&other)),
    }
}

fn set(args: &ParamSetArgs) -> CliResult {
    let (node_id, key) = (node_id(&args.node)?, checked_key(&args.key)?);
    let value = value(&args.value)?;
    let text = value.to_string();
    match ask(&args.place, |dataflow_id| ControlRequest::SetParam { dataflow_id, node_id, key, value })? {
        ControlReply::ParamSet(delivery) => {
            print(&format!("Set `{}` = {text} on node `{}`{}\n", args.key, args.node, told(delivery)))
        }
        other => Err(unexpected(&other)),
    }
}

fn delete(args: &ParamKeyArgs) -> CliResult {
    let (node_id, key) = (node_id(&args.node)?, args.key.clone());
    match ask(&args.place, |dataflow_id| ControlRequest::DeleteParam { dataflow_id, node_id, key })? {
        ControlReply::ParamDeleted(delivery) => {
            print(&format!("Deleted `{}` from node `{}`{}\n", args.key, args.node, told(delivery)))
        }
        other => Err(unexpected(&other)),
    }
}

fn ask(
    where_to: &InDataflow,
    request: impl FnOnce(dora_protocol::DataflowId) -> ControlRequest,
) -> CliResult<ControlReply> {
    with_coordinator(&where_to.coord, async |mut client| {
        let entry = place(&mut client, where_to, Among::All).await?;
        client.ask(request(entry.id.uuid)).await
    })
}

fn told(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::Delivered => "",
        Delivery::Stored => " (it is told when its daemon is connected again)",
    }
}

fn checked_key(key: &str) -> CliResult<String> {
    if key.is_empty() || key.len() > MAX_PARAM_KEY {
        return Err(CliError::new(format!(
            "a key has 1 to {MAX_PARAM_KEY} bytes, this one has {}",
            key.len()
        )));
    }
    Ok(key.to_owned())
}

fn value(text: &str) -> CliResult<Value> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        CliError::new(format!("`{text}` is not JSON"))
            .caused_by(&error)
            .hint(format!("text needs quotes of its own: '{}'", Value::from(text)))
    })?;
    let length = value.to_string().len();
    if length > MAX_PARAM_VALUE {
        return Err(CliError::new(format!(
            "a value has at most {MAX_PARAM_VALUE} bytes as JSON, this one has {length}"
        ))
        .hint("give the node the name of a file instead"));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_json_and_text_without_quotes_is_told_how_to_get_them() {
        assert_eq!(value(" 42 ").unwrap(), 42);
        assert_eq!(value(r#"{"nms": 0.5}"#).unwrap()["nms"], 0.5);
        assert_eq!(value("null").unwrap(), Value::Null);
        let error = value("1080p").unwrap_err().to_string();
        assert!(error.contains("`1080p` is not JSON") && error.contains(r#"'"1080p"'"#), "{error}");
    }

    #[test]
    fn keys_and_values_that_are_too_long_are_refused_before_anybody_is_asked() {
        assert!(checked_key(&"k".repeat(256)).is_ok());
        for bad in [String::new(), "k".repeat(257), "ä".repeat(129)] {
            assert!(checked_key(&bad).is_err(), "{}", bad.len());
        }
        let fits = format!("\"{}\"", "x".repeat((64 << 10) - 2));
        assert!(value(&fits).is_ok());
        assert!(value(&format!("\"x{}", &fits[1..])).unwrap_err().to_string().contains("65537"));
    }
}
