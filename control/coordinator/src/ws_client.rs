//! One connection of a client: frames become requests, answers and events become frames.

use std::{net::IpAddr, sync::Arc};

use axum::extract::ws::{Message as Frame, WebSocket};
use dora_protocol::control::{ControlReply, ControlRequest, Method, Outcome, Response};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    sync::Semaphore,
    time::{Instant, interval, timeout_at},
};
use uuid::Uuid;

use crate::{
    launch,
    outbox::{Item, Outbox},
    owner::{Handle, Message, shorten, with_address},
    state::{ClientId, Input, Waiter},
    wire::{self, FIRST_WORD_WITHIN, Gone, NORMAL, PING_EVERY, POLICY, SILENT_AFTER},
};

/// Frames without sense that are answered before the connection is closed.
const MAX_NONSENSE: u32 = 16;
/// Requests that this version knows of and cannot do.
const NOT_YET: [(&str, &str); 8] = [
    ("Build", "builds on other machines are not there yet; `dora build` builds on this one"),
    ("WaitForBuild", "builds on other machines are not there yet; `dora build` builds on this one"),
    (
        "BuildLogSubscribe",
        "builds on other machines are not there yet; `dora build` shows what it does itself",
    ),
    ("TopicSubscribe", "looking into topics is not there yet"),
    ("TopicUnsubscribe", "looking into topics is not there yet"),
    ("TopicPublish", "publishing to topics is not there yet"),
    ("GetTraces", "traces are not there yet"),
    ("GetTraceSpans", "traces are not there yet"),
];

/// What a connection needs of the coordinator.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) owner: Handle,
    /// Descriptors that are looked at at once.
    pub(crate) readers: Arc<Semaphore>,
}

/// A frame before its request is looked at.
#[derive(Debug, Deserialize)]
struct Envelope {
    id: Uuid,
    method: Option<Method>,
    #[serde(default)]
    params: Value,
}

/// What a frame asks for.
#[derive(Debug)]
enum Asked {
    Request(Uuid, ControlRequest),
    /// Answered with an error; `nonsense` is counted.
    Wrong {
        id: Uuid,
        error: String,
        nonsense: bool,
    },
}

/// Until one side has had enough.
pub(crate) async fn run(mut socket: WebSocket, peer: IpAddr, context: Context) {
    let id = context.owner.number();
    let outbox = Arc::new(Outbox::default());
    if context.owner.client_says(Message::Client(id, outbox.clone())).await.is_err() {
        return wire::close(socket, NORMAL, "the coordinator is ending").await;
    }
    let client = Client { id, peer, outbox, context, greeted: false, nonsense: 0 };
    let owner = client.context.owner.clone();
    let end = client.talk(&mut socket).await;
    // An owner that has ended knows no clients any more.
    owner.client_says(Message::Input(Input::ClientGone(id))).await.unwrap_or(());
    if let Some((code, reason)) = end {
        wire::close(socket, code, &reason).await;
    }
}

struct Client {
    id: ClientId,
    peer: IpAddr,
    outbox: Arc<Outbox>,
    context: Context,
    greeted: bool,
    nonsense: u32,
}

/// How to hang up; `None` when the other side is gone.
type End = Option<(u16, String)>;

impl Client {
    async fn talk(mut self, socket: &mut WebSocket) -> End {
        let outbox = self.outbox.clone();
        let first_word_by = Instant::now() + FIRST_WORD_WITHIN;
        let mut pings = interval(PING_EVERY);
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                frame = socket.recv() => {
                    heard = Instant::now();
                    let text = match frame {
                        None => return None,
                        Some(Err(error)) => {
                            let wire::Fault { code, reason, its_own } = wire::fault(&error);
                            if its_own {
                                tracing::warn!("a client at {} is cut off: {reason}", self.peer);
                            }
                            return Some((code, reason));
                        }
                        Some(Ok(Frame::Close(_))) => return None,
                        Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => continue,
                        Some(Ok(Frame::Binary(_))) => None,
                        Some(Ok(Frame::Text(text))) => Some(text),
                    };
                    match self.frame(socket, text.as_deref()).await {
                        Ok(None) => {}
                        Ok(end) => return end,
                        Err(Gone) => return None,
                    }
                }
                item = outbox.next() => match item {
                    None => return Some((NORMAL, "the coordinator is ending".to_owned())),
                    Some(item) => if self.send(socket, item).await.is_err() { return None },
                },
                _ = pings.tick() => {
                    if heard.elapsed() > SILENT_AFTER {
                        return Some((POLICY, "silent for too long".to_owned()));
                    }
                    if wire::ping(socket).await.is_err() { return None }
                }
                () = too_late(first_word_by), if !self.greeted => {
                    return Some((POLICY, "no Hello came".to_owned()));
                }
            }
        }
    }

    async fn send(&self, socket: &mut WebSocket, item: Item) -> Result<(), Gone> {
        match item {
            Item::Event(event) => wire::send(socket, &event).await,
            Item::Reply(id, mut result) => {
                with_address(&mut result, self.peer);
                let outcome = Outcome::from(*result);
                wire::send(socket, &Response { id, outcome }).await
            }
        }
    }

    /// One frame; `Some` when it was the last.
    async fn frame(&mut self, socket: &mut WebSocket, text: Option<&str>) -> Result<End, Gone> {
        let asked = text.map_or_else(
            || Asked::Wrong {
                id: Uuid::nil(),
                error: "binary frames mean nothing here".into(),
                nonsense: true,
            },
            understand,
        );
        let (id, request) = match asked {
            Asked::Request(id, request) => (id, request),
            Asked::Wrong { id, error, nonsense } => {
                answer(socket, id, Err(error)).await?;
                self.nonsense += u32::from(nonsense);
                if nonsense && self.nonsense == 1 {
                    tracing::warn!("a client at {} sends frames without sense", self.peer);
                }
                let enough = self.nonsense >= MAX_NONSENSE;
                return Ok(enough.then(|| (POLICY, "too many frames without sense".to_owned())));
            }
        };
        let hello = matches!(request, ControlRequest::Hello { .. });
        if !self.greeted && !hello {
            let error = "the first request of a connection must be `Hello` with the version of the client";
            answer(socket, id, Err(error.to_owned())).await?;
            return Ok(None);
        }
        if let ControlRequest::Hello { dora_version } = &request {
            if let Err(error) = crate::version::check("client", dora_version) {
                answer(socket, id, Err(error.clone())).await?;
                return Ok(Some((POLICY, error)));
            }
            self.greeted = true;
        }
        if !self.outbox.begin() {
            let error = "too many requests of this connection wait for their answer; wait for some of them";
            answer(socket, id, Err(error.to_owned())).await?;
            return Ok(None);
        }
        let waiter = Waiter { client: self.id, id };
        match request {
            ControlRequest::Start(request) => {
                let (owner, readers, outbox) =
                    (self.context.owner.clone(), self.context.readers.clone(), self.outbox.clone());
                tokio::spawn(async move {
                    let place = readers.acquire_owned().await;
                    let read = tokio::task::spawn_blocking(move || launch::prepare(*request)).await;
                    drop(place);
                    let launch = read.unwrap_or_else(|_| Err("the descriptor could not be read".to_owned()));
                    match launch {
                        Ok(launch) => {
                            let message = Message::Input(Input::Start(waiter, Box::new(launch)));
                            // When the owner has ended, so has the connection.
                            owner.client_says(message).await.unwrap_or(());
                        }
                        Err(mut error) => {
                            shorten(&mut error);
                            outbox.reply(waiter.id, Box::new(Err(error)));
                        }
                    }
                });
            }
            request => {
                let message = Message::Input(Input::Ask(waiter, request));
                if self.context.owner.client_says(message).await.is_err() {
                    return Ok(Some((NORMAL, "the coordinator is ending".to_owned())));
                }
            }
        }
        Ok(None)
    }
}

async fn too_late(at: Instant) {
    timeout_at(at, std::future::pending::<()>()).await.unwrap_or(());
}

/// An answer that the owner has no part in.
async fn answer(socket: &mut WebSocket, id: Uuid, result: Result<ControlReply, String>) -> Result<(), Gone> {
    let result = result.map_err(|mut error| {
        shorten(&mut error);
        error
    });
    let outcome = Outcome::from(result);
    wire::send(socket, &Response { id, outcome }).await
}

fn understand(text: &str) -> Asked {
    let wrong = |id, error, nonsense| Asked::Wrong { id, error, nonsense };
    let envelope = match serde_json::from_str::<Envelope>(text) {
        Ok(envelope) => envelope,
        Err(error) => {
            let id = serde_json::from_str::<Value>(text)
                .ok()
                .and_then(|frame| frame.get("id")?.as_str()?.parse().ok());
            let error = format!("this is no request (`id`, `method`, `params`): {error}");
            return wrong(id.unwrap_or_default(), error, true);
        }
    };
    let id = envelope.id;
    if envelope.method != Some(Method::Control) {
        return wrong(id, "the method of a client's request must be `control`".to_owned(), true);
    }
    let name = match &envelope.params {
        Value::String(name) => Some(name.clone()),
        Value::Object(map) if map.len() == 1 => map.keys().next().cloned(),
        _ => None,
    };
    let Some(name) = name else {
        return wrong(
            id,
            "`params` must be the name of a request, or a map with that name as its only key".to_owned(),
            true,
        );
    };
    if let Some((_, why)) = NOT_YET.iter().find(|(known, _)| *known == name) {
        return wrong(id, format!("`{name}`: {why}"), false);
    }
    match serde_json::from_value::<ControlRequest>(envelope.params) {
        Ok(request) => Asked::Request(id, request),
        Err(error) => {
            let error = error.to_string();
            let shown: String = name.chars().take(80).collect();
            let text = match error.starts_with("unknown variant") {
                true => format!("unknown request `{shown}`"),
                false => format!("the request `{shown}` cannot be understood: {error}"),
            };
            wrong(id, text, false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sends_is_understood_or_answered_with_the_reason() {
        let id = "00000000-0000-0000-0000-000000000007";
        let frame =
            |method: &str, params: &str| format!(r#"{{"id":"{id}","method":"{method}","params":{params}}}"#);
        let good = frame("control", "\"List\"");
        assert!(
            matches!(understand(&good), Asked::Request(found, ControlRequest::List) if found.to_string() == id)
        );
        for (text, part, nonsense) in [
            (String::new(), "no request", true),
            ("[]".into(), "no request", true),
            ("[".repeat(100_000), "no request", true),
            (format!(r#"{{"id":"{id}"}}"#), "must be `control`", true),
            (
                format!(r#"{{"id":"{id}","method":"daemon_event","params":"List"}}"#),
                "must be `control`",
                true,
            ),
            (frame("control", "5"), "`params` must be", true),
            (frame("control", "\"Lisp\""), "unknown request `Lisp`", false),
            (frame("control", r#"{"Check":{}}"#), "`Check` cannot be understood", false),
            (frame("control", "\"GetTraces\""), "not there yet", false),
            (frame("control", r#"{"TopicSubscribe":{"x":1}}"#), "not there yet", false),
            (frame("control", &format!("\"{}\"", "x".repeat(9000))), "unknown request `xxx", false),
        ] {
            match understand(&text) {
                Asked::Wrong { error, nonsense: found, .. } => {
                    assert!(
                        error.contains(part) && found == nonsense && error.len() < 4096,
                        "{text:.200}: {error:.200}"
                    );
                }
                Asked::Request(_, request) => panic!("{text}: {request:?}"),
            }
        }
    }
}
