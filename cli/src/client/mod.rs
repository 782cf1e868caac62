//! The command's side of `/api/control`: connect, say hello, ask, be answered, hear events.
//!
//! ```text
//!   connect ── upgrade, token ── Hello ──► Client ── ask ──► reply
//!                                             └──── event ─► a log line, a count of dropped ones, the end
//! ```
//!
//! One request at a time. Events that come before its answer are kept for [`Client::event`]. An answer may take as long
//! as the work takes (`stop` waits for nodes); what ends the wait is a coordinator that says nothing any more, not even
//! to a ping.

mod connect;
mod token;

use std::{collections::VecDeque, io, net::SocketAddr, time::Duration};

use dora_protocol::control::{
    ControlReply, ControlRequest, DORA_VERSION, Event, Method, Request, Response, ToClient,
};
use futures::{SinkExt, StreamExt};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message},
};
use uuid::Uuid;

pub(crate) use self::{connect::not_connected, token::token};
use crate::{
    args::CoordArgs,
    error::{CliError, CliResult},
};

/// A coordinator that has said nothing for this long gets a ping.
const QUIET: Duration = Duration::from_secs(5);
/// So many pings without a word from it, and it is gone.
const PINGS: u32 = 4;
/// Events kept while an answer is waited for; the oldest go first.
const EVENTS: usize = 20_000;

/// A Close frame without a reason, masked with zeros.
const CLOSE: [u8; 6] = [0x88, 0x80, 0, 0, 0, 0];

/// A connection to a coordinator that speaks our version.
pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
    address: SocketAddr,
    events: VecDeque<Event>,
    /// Its last word or our last ping.
    last: Instant,
    /// Since its last word.
    pings: u32,
}

impl Client {
    /// Connects and says hello.
    ///
    /// # Errors
    /// When there is no coordinator, it does not know our token, or its version does not fit; each with what to do.
    pub(crate) async fn connect(address: SocketAddr) -> CliResult<Self> {
        let socket = connect::open(address).await?;
        let mut client = Self { socket, address, events: VecDeque::new(), last: Instant::now(), pings: 0 };
        match client.ask(ControlRequest::Hello { dora_version: DORA_VERSION.to_owned() }).await? {
            ControlReply::HelloOk { .. } => Ok(client),
            other => Err(unexpected(&other)),
        }
    }

    /// Asks, and waits for the answer. When the future is dropped the answer is ignored and the connection stays usable.
    ///
    /// # Errors
    /// The sentence that the coordinator refuses with; or that it is gone.
    pub(crate) async fn ask(&mut self, request: ControlRequest) -> CliResult<ControlReply> {
        let id = Uuid::new_v4();
        let text = serde_json::to_string(&Request { id, method: Method::Control, params: request })
            .map_err(|error| CliError::new("failed to write the request as JSON").caused_by(&error))?;
        self.socket.send(Message::text(text)).await.map_err(|error| self.lost(&error))?;
        loop {
            match self.receive().await? {
                ToClient::Response(Response { id: answered, outcome }) if answered == id => {
                    return Result::from(outcome).map_err(CliError::new);
                }
                // To a request that somebody got tired of.
                ToClient::Response(_) => {}
                ToClient::Event(event) => {
                    if self.events.len() == EVENTS {
                        self.events.pop_front();
                    }
                    self.events.push_back(event);
                }
            }
        }
    }

    /// The next event of a subscription. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// When the coordinator is gone.
    pub(crate) async fn event(&mut self) -> CliResult<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            if let ToClient::Event(event) = self.receive().await? {
                return Ok(event);
            }
        }
    }

    /// Waits until the coordinator has closed the connection, whatever it says before.
    pub(crate) async fn closed(mut self) {
        while self.receive().await.is_ok() {}
    }

    /// The next frame that is for us.
    async fn receive(&mut self) -> CliResult<ToClient> {
        loop {
            let message = match timeout_at(self.last + QUIET, self.socket.next()).await {
                Ok(Some(Ok(message))) => message,
                Ok(Some(Err(error))) => return Err(self.lost(&error)),
                Ok(None) => return Err(self.lost(&tungstenite::Error::ConnectionClosed)),
                Err(_) if self.pings >= PINGS => {
                    let silent = io::Error::other(format!("it has said nothing for {:?}", QUIET * PINGS));
                    return Err(self.lost(&tungstenite::Error::Io(silent)));
                }
                Err(_) => {
                    (self.last, self.pings) = (Instant::now(), self.pings + 1);
                    self.socket
                        .send(Message::Ping(Vec::new().into()))
                        .await
                        .map_err(|error| self.lost(&error))?;
                    continue;
                }
            };
            (self.last, self.pings) = (Instant::now(), 0);
            match message {
                Message::Text(text) => {
                    return serde_json::from_str(&text).map_err(|error| {
                        CliError::new(format!("the coordinator at {} says what we do not understand", self.address))
                            .caused_by(&error)
                            .hint("is it of another version? `dora down` and `dora up` start the one of this program")
                    });
                }
                Message::Close(frame) => {
                    let reason =
                        frame.map(|frame| frame.reason.to_string()).filter(|reason| !reason.is_empty());
                    let reason = reason.unwrap_or_else(|| "it closed the connection".to_owned());
                    return Err(self.lost(&tungstenite::Error::Io(io::Error::other(reason))));
                }
                // Topic data is none of ours; pings are answered by the library.
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    fn lost(&self, error: &tungstenite::Error) -> CliError {
        CliError::new(format!("lost the connection to dora-coordinator at {}", self.address))
            .caused_by(error)
            .hint("the dataflows go on running; `dora up` starts a coordinator again, and `dora list` then shows them")
    }
}

impl Drop for Client {
    /// Says goodbye, without waiting for an answer. Every frame before was sent whole, so this one is understood.
    fn drop(&mut self) {
        // When there is no room for six bytes the coordinator learns it from the end of the connection.
        self.socket.get_ref().try_write(&CLOSE).map(drop).unwrap_or_default();
    }
}

/// Another answer than the protocol provides.
pub(crate) fn unexpected(reply: &ControlReply) -> CliError {
    let text = format!("{reply:?}");
    let name: String = text.chars().take_while(|c| c.is_alphanumeric()).collect();
    CliError::new(format!("the coordinator answered `{name}`, which is no answer to what was asked"))
        .hint("is it of another version? `dora down` and `dora up` start the one of this program")
}

/// Does something with a coordinator, in a runtime made for it.
///
/// # Errors
/// When there is no coordinator, or what `work` says.
pub(crate) fn with_coordinator<T>(
    coord: &CoordArgs,
    work: impl AsyncFnOnce(Client) -> CliResult<T>,
) -> CliResult<T> {
    block_on(async { work(Client::connect(coord.address()).await?).await })
}

/// Runs a future to its end on this thread.
///
/// # Errors
/// When no runtime could be made, or what the future says.
pub(crate) fn block_on<T>(future: impl Future<Output = CliResult<T>>) -> CliResult<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new("failed to start the runtime").caused_by(&error))?
        .block_on(future)
}
