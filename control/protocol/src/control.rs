//! What a client (the CLI) and the coordinator say to each other on `/api/control`.
//!
//! JSON text frames over a WebSocket. A client sends [`Request`]s with [`Method::Control`] and a [`ControlRequest`] in `params`,
//! the first one being [`ControlRequest::Hello`]; each is answered by one [`Response`] with the same `id` and a [`ControlReply`] or
//! an error text. Answers may come in another order than the requests. [`Event`]s come unasked, for subscriptions.
//!
//! ```text
//! {"id":"…","method":"control","params":{"Stop":{"dataflow_uuid":"…","force":false}}}
//! {"id":"…","result":{"DataflowStopped":{…}}}          {"id":"…","error":"no running dataflow with ID …"}
//! {"event":"log","payload":{…}}
//! ```

mod reply;
mod request;
mod state;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{DataflowId, log::LogMessage};

pub use reply::{ControlReply, Delivery, TopologyChange};
pub use request::{ControlRequest, Mapping, Prepared, StartRequest};
pub use state::{
    CleanFailure, DaemonId, DaemonInfo, DataflowEntry, DataflowInfo, DataflowName, DataflowResult,
    DataflowStatus, FtStats, NetworkMetrics, NodeInfo, NodeMetrics, NodeOutcome, NodeState, NodeStatus,
};

/// Version of dora that this library belongs to: what `Hello` and `Register` carry.
pub const DORA_VERSION: &str = env!("CARGO_PKG_VERSION");
/// TCP port of the coordinator unless told otherwise.
pub const DEFAULT_PORT: u16 = 6013;
/// Route of clients.
pub const CONTROL_ROUTE: &str = "/api/control";
/// Route of daemons.
pub const DAEMON_ROUTE: &str = "/api/daemon";
/// Largest frame that the coordinator takes from a client, in bytes.
pub const MAX_CONTROL_FRAME: usize = 1 << 20;
/// Largest frame of any kind (log files, resolved dataflows, answers), in bytes.
pub const MAX_DATA_FRAME: usize = 64 << 20;
/// Requests of one connection that may wait for their answer.
pub const MAX_PENDING: usize = 256;
/// Log subscriptions of one connection.
pub const MAX_SUBSCRIPTIONS: usize = 16;
/// Longest machine id, in bytes.
pub const MAX_MACHINE_ID: usize = 256;
/// Longest error text, in bytes; a longer one is cut.
pub const MAX_ERROR: usize = 4096;
/// Longest key of a parameter, in bytes.
pub const MAX_PARAM_KEY: usize = 256;
/// Longest value of a parameter as JSON text, in bytes.
pub const MAX_PARAM_VALUE: usize = 64 << 10;

/// What kind of request a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// A client's, see [`ControlRequest`].
    Control,
    /// A daemon's, see [`DaemonEvent`](crate::daemon_link::DaemonEvent).
    DaemonEvent,
    /// The coordinator's to a daemon, see [`DaemonCommand`](crate::daemon_link::DaemonCommand).
    DaemonCommand,
}

/// A request frame.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request<P> {
    /// Chosen by the sender, repeated in the answer.
    pub id: Uuid,
    /// What `params` is.
    pub method: Method,
    /// The request.
    pub params: P,
}

/// The answer to a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Response<R> {
    /// That of the request.
    pub id: Uuid,
    /// How it went: `result` or `error` beside the `id`.
    #[serde(flatten)]
    pub outcome: Outcome<R>,
}

/// How a request went.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome<R> {
    /// As asked.
    Result(R),
    /// Not; a sentence for the user.
    Error(String),
}

impl<R> From<Outcome<R>> for Result<R, String> {
    fn from(outcome: Outcome<R>) -> Self {
        match outcome {
            Outcome::Result(result) => Ok(result),
            Outcome::Error(error) => Err(error),
        }
    }
}

impl<R> From<Result<R, String>> for Outcome<R> {
    fn from(result: Result<R, String>) -> Self {
        match result {
            Ok(result) => Outcome::Result(result),
            Err(error) => Outcome::Error(error),
        }
    }
}

/// Every frame that the coordinator sends to a client.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ToClient {
    /// An answer.
    Response(Response<ControlReply>),
    /// Something for a subscription.
    Event(Event),
}

/// Sent unasked to clients that subscribed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", content = "payload", rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "almost every event is a log line, so a box would cost each of them"
)]
pub enum Event {
    /// A line of a node, or of dora itself (`node_id` null).
    Log(LogMessage),
    /// The client (or the daemon's link) was slower than the nodes print: so many lines are missing here.
    Dropped {
        /// Whose.
        dataflow_id: DataflowId,
        /// Lines.
        count: u64,
    },
    /// The dataflow has ended; nothing more comes for this subscription.
    Finished {
        /// Which.
        dataflow_id: DataflowId,
        /// How.
        result: DataflowResult,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::daemon_link::{DaemonEvent, DaemonFrame, FromDaemon, ParamChange, ToDaemonLink};

    #[test]
    fn frames_look_as_the_contract_says() {
        let id = Uuid::from_u128(7);
        let stop = ControlRequest::Stop { dataflow_uuid: id, grace_duration: None, force: true };
        let frame = serde_json::to_value(Request { id, method: Method::Control, params: stop }).unwrap();
        let expected = json!({ "id": id, "method": "control",
            "params": { "Stop": { "dataflow_uuid": id, "grace_duration": null, "force": true } } });
        assert_eq!(frame, expected);
        let list = Request { id, method: Method::Control, params: ControlRequest::List };
        assert_eq!(serde_json::to_value(list).unwrap()["params"], "List");
        let good: Response<ControlReply> = Response { id, outcome: Ok(ControlReply::DestroyOk).into() };
        assert_eq!(serde_json::to_value(good).unwrap(), json!({ "id": id, "result": "DestroyOk" }));
        let bad: Response<ControlReply> = Response { id, outcome: Err("no".to_owned()).into() };
        assert_eq!(serde_json::to_value(bad).unwrap(), json!({ "id": id, "error": "no" }));
        let event = Event::Dropped { dataflow_id: id, count: 3 };
        let expected = json!({ "event": "dropped", "payload": { "dataflow_id": id, "count": 3 } });
        assert_eq!(serde_json::to_value(event).unwrap(), expected);
    }

    #[test]
    fn each_side_can_tell_an_answer_from_what_comes_unasked() {
        let id = Uuid::from_u128(7);
        let answer = json!({ "id": id, "result": { "DataflowSpawned": { "uuid": id } } });
        assert!(matches!(serde_json::from_value(answer), Ok(ToClient::Response(_))));
        let event = json!({ "event": "dropped", "payload": { "dataflow_id": id, "count": 3 } });
        assert!(matches!(serde_json::from_value(event), Ok(ToClient::Event(_))));
        let params = DaemonFrame { daemon_id: None, event: DaemonEvent::Exit };
        let event = FromDaemon::Event(Request { id, method: Method::DaemonEvent, params });
        let text = serde_json::to_string(&event).unwrap();
        assert!(matches!(serde_json::from_str(&text), Ok(FromDaemon::Event(_))));
        let answer = json!({ "id": id, "error": "no" });
        assert!(matches!(serde_json::from_value(answer.clone()), Ok(FromDaemon::Response(_))));
        assert!(matches!(serde_json::from_value(answer), Ok(ToDaemonLink::Response(_))));
        assert!(serde_json::from_value::<ToClient>(json!({ "id": id })).is_err());
    }

    #[test]
    fn null_is_a_value_of_a_parameter_and_its_absence_means_deleted() {
        let change =
            |value| ParamChange { sequence: 1, node_id: "a".parse().unwrap(), key: "k".into(), value };
        for value in [None, Some(json!(null)), Some(json!(5))] {
            let text = serde_json::to_string(&change(value.clone())).unwrap();
            assert_eq!(serde_json::from_str::<ParamChange>(&text).unwrap().value, value, "{text}");
        }
    }
}
