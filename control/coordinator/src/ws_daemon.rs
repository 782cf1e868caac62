//! One connection of a daemon.

use std::net::IpAddr;

use axum::extract::ws::{Message as Frame, WebSocket};
use dora_protocol::{
    control::{Method, Outcome, Request, Response},
    daemon_link::{DaemonEvent, DaemonFrame, DaemonReply, EventReply},
};
use serde::Deserialize;
use tokio::{
    sync::mpsc,
    time::{interval, timeout},
};
use uuid::Uuid;

use crate::{
    owner::{Handle, Message, ToLink},
    state::{Input, LinkId},
    wire::{self, FIRST_WORD_WITHIN, Gone, NORMAL, PING_EVERY, POLICY},
};

/// Frames without sense that are borne.
const MAX_NONSENSE: u32 = 16;

/// The part of a frame that says what it is.
#[derive(Debug, Deserialize)]
struct Probe {
    id: Uuid,
    method: Option<Method>,
}

/// What a daemon said.
#[derive(Debug)]
enum Said {
    Event(Uuid, Box<DaemonFrame>),
    Response(Uuid, Result<DaemonReply, String>),
    /// Answered with an error when it was an event.
    Wrong(Option<Uuid>, String),
}

/// Until one side has had enough.
pub(crate) async fn run(mut socket: WebSocket, peer: IpAddr, owner: Handle) {
    let link = owner.number();
    let first = match timeout(FIRST_WORD_WITHIN, first_word(&mut socket)).await {
        Ok(Ok(first)) => first,
        Ok(Err(Some(reason))) => return wire::close(socket, POLICY, &reason).await,
        Ok(Err(None)) => return,
        Err(_) => return wire::close(socket, POLICY, "no Register came").await,
    };
    let (outbox, inbox) = mpsc::unbounded_channel();
    let (id, register) = first;
    let input = Input::Register { link, id, address: Some(peer), register };
    let known = async {
        owner.link_says(Message::Link(link, outbox)).await?;
        owner.link_says(Message::Input(input)).await
    };
    if known.await.is_err() {
        return wire::close(socket, NORMAL, "the coordinator is ending").await;
    }
    let end = Link { link, peer, owner: owner.clone(), nonsense: 0 }.talk(&mut socket, inbox).await;
    // An owner that has ended knows no links any more.
    owner.link_says(Message::Input(Input::LinkGone(link))).await.unwrap_or(());
    if let Some(reason) = end {
        tracing::info!("the connection to the daemon at {peer} is closed: {reason}");
        wire::close(socket, POLICY, &reason).await;
    }
}

/// The `Register` that a connection begins with.
///
/// # Errors
/// What came instead; `None` when the daemon has gone.
async fn first_word(
    socket: &mut WebSocket,
) -> Result<(Uuid, dora_protocol::daemon_link::Register), Option<String>> {
    loop {
        match socket.recv().await {
            None | Some(Ok(Frame::Close(_))) => return Err(None),
            Some(Err(error)) => return Err(Some(wire::fault(&error).reason)),
            Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
            Some(Ok(Frame::Binary(_))) => return Err(Some("binary frames mean nothing here".into())),
            Some(Ok(Frame::Text(text))) => {
                let reason = match understand(&text) {
                    Said::Event(id, frame) => match frame.event {
                        DaemonEvent::Register(register) => return Ok((id, register)),
                        _ => "the first frame must be `Register`".to_owned(),
                    },
                    Said::Response(..) => "the first frame must be `Register`".to_owned(),
                    Said::Wrong(id, error) => {
                        if let Some(id) = id {
                            refuse(socket, id, error.clone()).await.map_err(|Gone| None)?;
                        }
                        error
                    }
                };
                return Err(Some(reason));
            }
        }
    }
}

async fn refuse(socket: &mut WebSocket, id: Uuid, mut error: String) -> Result<(), Gone> {
    crate::owner::shorten(&mut error);
    wire::send(socket, &Response::<EventReply> { id, outcome: Outcome::Error(error) }).await
}

struct Link {
    link: LinkId,
    peer: IpAddr,
    owner: Handle,
    nonsense: u32,
}

impl Link {
    /// Why it ends; `None` when the daemon has gone.
    async fn talk(
        mut self,
        socket: &mut WebSocket,
        mut inbox: mpsc::UnboundedReceiver<ToLink>,
    ) -> Option<String> {
        let mut pings = interval(PING_EVERY);
        loop {
            tokio::select! {
                frame = socket.recv() => {
                    let text = match frame {
                        None | Some(Ok(Frame::Close(_))) => return None,
                        Some(Err(error)) => {
                            let wire::Fault { reason, its_own, .. } = wire::fault(&error);
                            if its_own {
                                tracing::warn!("the daemon at {} is cut off: {reason}", self.peer);
                            }
                            return Some(reason);
                        }
                        Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => continue,
                        Some(Ok(Frame::Binary(_))) => return Some("binary frames mean nothing here".to_owned()),
                        Some(Ok(Frame::Text(text))) => text,
                    };
                    match self.frame(socket, &text).await {
                        Ok(None) => {}
                        Ok(Some(reason)) => return Some(reason),
                        Err(Gone) => return None,
                    }
                }
                message = inbox.recv() => {
                    let sent = match message {
                        None => return Some("the coordinator is ending".to_owned()),
                        Some(ToLink::Close(reason)) => return Some(reason),
                        Some(ToLink::Command(id, params)) => {
                            wire::send(socket, &Request { id, method: Method::DaemonCommand, params }).await
                        }
                        Some(ToLink::Answer(id, outcome)) => {
                            wire::send(socket, &Response { id, outcome: Outcome::from(outcome) }).await
                        }
                    };
                    if sent.is_err() { return None }
                }
                // The daemon's silence is noticed by the owner: a heartbeat is a frame of its own.
                _ = pings.tick() => if wire::ping(socket).await.is_err() { return None },
            }
        }
    }

    async fn frame(&mut self, socket: &mut WebSocket, text: &str) -> Result<Option<String>, Gone> {
        let link = self.link;
        let input = match understand(text) {
            Said::Event(id, frame) => {
                let DaemonFrame { daemon_id: daemon, event } = *frame;
                Input::Event { link, id, daemon, event }
            }
            Said::Response(id, outcome) => Input::Answer { link, id, outcome },
            Said::Wrong(id, error) => {
                self.nonsense += 1;
                if self.nonsense == 1 {
                    tracing::warn!("the daemon at {} sends frames without sense: {error}", self.peer);
                }
                if let Some(id) = id {
                    refuse(socket, id, error).await?;
                }
                let enough = self.nonsense >= MAX_NONSENSE;
                return Ok(enough.then(|| "too many frames without sense".to_owned()));
            }
        };
        let ended = self.owner.link_says(Message::Input(input)).await.is_err();
        Ok(ended.then(|| "the coordinator is ending".to_owned()))
    }
}

fn understand(text: &str) -> Said {
    let probe = match serde_json::from_str::<Probe>(text) {
        Ok(probe) => probe,
        Err(error) => return Said::Wrong(None, format!("this is no frame (`id`, `method`): {error}")),
    };
    match probe.method {
        Some(Method::DaemonEvent) => match serde_json::from_str::<Request<DaemonFrame>>(text) {
            Ok(request) => Said::Event(request.id, Box::new(request.params)),
            Err(error) => Said::Wrong(Some(probe.id), format!("the event cannot be understood: {error}")),
        },
        Some(_) => {
            Said::Wrong(Some(probe.id), "the method of a daemon's frame must be `daemon_event`".to_owned())
        }
        None => match serde_json::from_str::<Response<DaemonReply>>(text) {
            Ok(response) => Said::Response(response.id, response.outcome.into()),
            // Whoever waits for it should not wait in vain.
            Err(error) => {
                Said::Response(probe.id, Err(format!("the daemon's answer cannot be understood: {error}")))
            }
        },
    }
}
