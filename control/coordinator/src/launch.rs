//! What a client wants started, looked at before the owner of the state hears of it: a long descriptor holds up nobody else.

use dora_protocol::{control::StartRequest, daemon_link::DataflowRecord};
use uuid::Uuid;

use crate::{descriptor, state::Launch};

/// Longest name of a dataflow, in bytes.
const MAX_NAME: usize = 256;

/// # Errors
/// What is wrong with the request or with the descriptor, as text for the user.
pub(crate) fn prepare(request: StartRequest) -> Result<Launch, String> {
    let StartRequest {
        dataflow,
        file,
        local_working_dir,
        name,
        uv,
        debug,
        rt,
        exit_when_nodes_finish,
        env,
        prepared,
    } = request;
    if let Some(name) = &name {
        check_name(name)?;
    }
    if !local_working_dir.is_absolute() {
        return Err(format!("the working directory `{}` is not absolute", local_working_dir.display()));
    }
    let record = DataflowRecord {
        name,
        file,
        working_dir: local_working_dir,
        original: dataflow.clone(),
        live: dataflow,
        changes: Vec::new(),
        env,
        prepared,
        uv,
        debug,
        rt,
        exit_when_nodes_finish,
        generation: 0,
        created_ms: 0,
    };
    let resolved = descriptor::resolve(&record)?;
    Ok(Launch { record, resolved })
}

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.trim() != name || name.chars().any(char::is_control) {
        return Err("the name of a dataflow must not be empty, nor begin or end with a space".to_owned());
    }
    if name.len() > MAX_NAME {
        return Err(format!("the name has {} bytes; {MAX_NAME} are allowed", name.len()));
    }
    if Uuid::parse_str(name).is_ok() {
        return Err(format!("the name `{name}` looks like the UUID of a dataflow; choose another one"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: Option<&str>, dir: &str, dataflow: &str) -> StartRequest {
        StartRequest {
            dataflow: dataflow.into(),
            file: "flow.yml".into(),
            local_working_dir: dir.into(),
            name: name.map(str::to_owned),
            ..StartRequest::default()
        }
    }

    #[test]
    fn what_cannot_be_started_is_refused_with_the_reason() {
        const GOOD: &str = "nodes: [{ id: a, path: ./a }]";
        let launch = prepare(request(Some("arm"), "/w", GOOD)).unwrap();
        assert_eq!(launch.record.live, GOOD);
        let long = "x".repeat(300);
        for (name, dir, dataflow, part) in [
            (Some(""), "/w", GOOD, "must not be empty"),
            (Some(" a"), "/w", GOOD, "space"),
            (Some(long.as_str()), "/w", GOOD, "300 bytes"),
            (Some("6c0f1b62-98b5-4f7c-8f0a-3d2c2f0f3c11"), "/w", GOOD, "looks like the UUID"),
            (None, "w", GOOD, "not absolute"),
            (None, "/w", "nodes: 5", "flow.yml:1"),
            (None, "/w", "[", "flow.yml"),
        ] {
            let error = prepare(request(name, dir, dataflow)).unwrap_err();
            assert!(error.contains(part), "{name:?} {dir} {dataflow}: {error}");
        }
    }
}
