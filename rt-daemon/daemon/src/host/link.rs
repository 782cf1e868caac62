//! The connection to the coordinator: made again and again for as long as the daemon lives.
//!
//! ```text
//!   pause ─► connect ─► Register ─► Up ─► frames in both directions ─► Down ─┐
//!     ▲                                                                      │
//!     └──────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! The dataflows notice nothing of it. What the host has to say goes before log lines, and the first thing it says is the
//! status report: until then no line is sent. Both directions are given up after the same silence: a coordinator that does
//! not read is as good as one that is gone.

use std::{io, time::Duration};

use dora_protocol::{
    control::{DAEMON_ROUTE, DaemonId, MAX_DATA_FRAME, MAX_ERROR, Method, Outcome, Request, Response},
    daemon_link::{
        COORDINATOR_SILENT_AFTER, DaemonCommand, DaemonEvent, DaemonFrame, DaemonReply, EventReply,
        FromDaemon, Register, ToDaemonLink,
    },
};
use futures::{Sink, SinkExt, Stream, StreamExt};
use tokio::{
    net::TcpStream,
    sync::mpsc,
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        http::{HeaderValue, StatusCode, header},
        protocol::WebSocketConfig,
    },
};
use uuid::Uuid;

use super::{
    backoff::{Backoff, dice},
    log_queue::LogQueue,
    options::HostOptions,
};

/// For the TCP connection, for the upgrade, and for the answer to `Register`.
const PATIENCE: Duration = Duration::from_secs(5);

/// A frame with so many lines is followed by a pause.
const MANY_LINES: usize = 128;
/// Or with so much text.
const MANY_BYTES: usize = 64 << 10;
/// So some 50 000 lines can be shown per second.
const PAUSE: Duration = Duration::from_millis(10);

const ENDS: &str = "the daemon ends";

/// What the connection tells the host.
#[derive(Debug)]
pub(super) enum LinkEvent {
    /// There is one.
    Up(Outgoing),
    /// The coordinator wants something. The answer goes to the connection of this number, if it is still there.
    Command { connection: u64, request: Box<Request<DaemonCommand>> },
    /// The coordinator said something that is no frame of ours. One with an id gets an error for an answer.
    Unknown { connection: u64, id: Option<Uuid>, error: String },
    /// The status report was taken.
    Accepted,
    /// There is none any more, and why.
    Down(String),
    /// An attempt came to nothing; the next one is after a pause.
    Failed { failure: Failure, failures: u32, pause: Duration },
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nobody there, or nobody who speaks to us.
    Unreachable(String),
    /// The coordinator answered, and does not want us.
    Refused(String),
}

/// Where the host puts what it has to say on one connection.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub(super) connection: u64,
    pub(super) daemon_id: DaemonId,
    frames: mpsc::UnboundedSender<FromDaemon>,
}

impl Outgoing {
    /// Says that something happened. A connection that is gone swallows it.
    pub(super) fn event(&self, event: DaemonEvent) {
        self.frames.send(event_frame(Some(&self.daemon_id), event)).unwrap_or_default();
    }

    /// Answers a command.
    pub(super) fn answer(&self, id: Uuid, outcome: Result<DaemonReply, String>) {
        let outcome = Outcome::from(outcome.map_err(short));
        self.frames.send(FromDaemon::Response(Response { id, outcome })).unwrap_or_default();
    }
}

/// An error text within the limit of the protocol.
fn short(error: String) -> String {
    if error.len() <= MAX_ERROR {
        return error;
    }
    let end =
        error.char_indices().map(|(at, _)| at).take_while(|at| *at <= MAX_ERROR - 4).last().unwrap_or(0);
    format!("{}…", &error[..end])
}

fn event_frame(daemon_id: Option<&DaemonId>, event: DaemonEvent) -> FromDaemon {
    let params = DaemonFrame { daemon_id: daemon_id.cloned(), event };
    FromDaemon::Event(Request { id: Uuid::new_v4(), method: Method::DaemonEvent, params })
}

/// Keeps a connection up until `events` is closed.
pub(super) async fn keep_up(
    options: HostOptions,
    register: Register,
    logs: LogQueue,
    events: mpsc::UnboundedSender<LinkEvent>,
) {
    let mut backoff = Backoff::new(options.coordinator.ip());
    for connection in 0.. {
        let failure = match open(&options, &register).await {
            Ok((socket, daemon_id)) => {
                backoff.reset();
                let (frames, outgoing) = mpsc::unbounded_channel();
                let up = Outgoing { connection, daemon_id: daemon_id.clone(), frames };
                if events.send(LinkEvent::Up(up)).is_err() {
                    return;
                }
                let why = pump(socket, connection, &daemon_id, outgoing, &logs, &events).await;
                if events.send(LinkEvent::Down(why)).is_err() {
                    return;
                }
                None
            }
            Err(failure) => Some(failure),
        };
        let pause = backoff.after_failure(dice());
        if let Some(failure) = failure {
            let failed = LinkEvent::Failed { failure, failures: backoff.failures(), pause };
            if events.send(failed).is_err() {
                return;
            }
        }
        tokio::time::sleep(pause).await;
    }
}

type Socket = WebSocketStream<TcpStream>;

async fn open(options: &HostOptions, register: &Register) -> Result<(Socket, DaemonId), Failure> {
    let unreachable = |why: String| Failure::Unreachable(why);
    let silent = |_| unreachable(format!("no answer within {PATIENCE:?}"));
    let address = options.coordinator;
    let stream = timeout(PATIENCE, TcpStream::connect(address)).await.map_err(silent)?;
    let stream = stream.map_err(|error| unreachable(error.to_string()))?;
    // When the option is refused, answers are only slower.
    stream.set_nodelay(true).unwrap_or_default();
    let mut request = format!("ws://{address}{DAEMON_ROUTE}")
        .into_client_request()
        .map_err(|error| unreachable(error.to_string()))?;
    let bearer =
        options.token.as_ref().and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok());
    if let Some(bearer) = bearer {
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
    }
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_DATA_FRAME))
        .max_frame_size(Some(MAX_DATA_FRAME));
    let upgraded =
        timeout(PATIENCE, client_async_with_config(request, stream, Some(config))).await.map_err(silent)?;
    let (mut socket, _) = upgraded.map_err(|error| not_upgraded(&error))?;
    let registered = timeout(PATIENCE, registered(&mut socket, register)).await.map_err(silent)?;
    registered.map(|daemon_id| (socket, daemon_id))
}

fn not_upgraded(error: &tungstenite::Error) -> Failure {
    match error {
        tungstenite::Error::Http(response)
            if matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) =>
        {
            Failure::Refused(
                "it does not know our token; give the content of its token file in DORA_AUTH_TOKEN"
                    .to_owned(),
            )
        }
        tungstenite::Error::Http(response) => {
            Failure::Unreachable(format!("what listens there answers {}", response.status()))
        }
        error => Failure::Unreachable(error.to_string()),
    }
}

/// Says who we are and is told our id.
async fn registered(socket: &mut Socket, register: &Register) -> Result<DaemonId, Failure> {
    let lost = |why: String| Failure::Unreachable(why);
    let frame = event_frame(None, DaemonEvent::Register(register.clone()));
    send(socket, &frame).await.map_err(lost)?;
    loop {
        // A heartbeat may be faster than the answer.
        if let Received::Frame(ToDaemonLink::Response(Response { outcome, .. })) =
            receive(socket).await.map_err(lost)?
        {
            return match Result::from(outcome) {
                Ok(EventReply::Registered { daemon_id, .. }) => Ok(daemon_id),
                Ok(EventReply::Accepted) => Err(lost("it accepted what was not asked".to_owned())),
                Err(reason) => Err(Failure::Refused(reason)),
            };
        }
    }
}

/// Carries frames in both directions until one of them ends; says why.
async fn pump(
    socket: Socket,
    connection: u64,
    daemon_id: &DaemonId,
    mut outgoing: mpsc::UnboundedReceiver<FromDaemon>,
    logs: &LogQueue,
    events: &mpsc::UnboundedSender<LinkEvent>,
) -> String {
    let (mut sink, mut stream) = socket.split();
    let writing = async {
        // The status report.
        let mut next = outgoing.recv().await;
        let mut pause_until = Instant::now();
        while let Some(frame) = next {
            match timeout(COORDINATOR_SILENT_AFTER, send(&mut sink, &frame)).await {
                Ok(Ok(())) => {}
                Ok(Err(why)) => return why,
                Err(_) => return format!("it has not read for {COORDINATOR_SILENT_AFTER:?}"),
            }
            next = tokio::select! {
                biased;
                frame = outgoing.recv() => frame,
                event = logs_after(pause_until, logs) => {
                    pause_until = Instant::now() + pause_after(&event);
                    Some(event_frame(Some(daemon_id), event))
                }
            };
        }
        // The host says no more. A coordinator that does not wait for the farewell notices all the same.
        drop(timeout(PATIENCE, sink.close()).await);
        ENDS.to_owned()
    };
    let reading = async {
        loop {
            match timeout(COORDINATOR_SILENT_AFTER, receive(&mut stream)).await {
                Ok(Ok(received)) => {
                    if let Some(event) = meaning(received, connection)
                        && events.send(event).is_err()
                    {
                        return ENDS.to_owned();
                    }
                }
                Ok(Err(why)) => return why,
                Err(_) => return format!("it has said nothing for {COORDINATOR_SILENT_AFTER:?}"),
            }
        }
    };
    tokio::select! {
        why = writing => why,
        why = reading => why,
    }
}

/// The next lines, and not before `begin`.
async fn logs_after(begin: Instant, logs: &LogQueue) -> DaemonEvent {
    if begin > Instant::now() {
        tokio::time::sleep_until(begin).await;
    }
    logs.next().await
}

/// Behind a frame full of lines there are more, maybe without end: what else this thread and the coordinator have to do comes
/// between them.
fn pause_after(event: &DaemonEvent) -> Duration {
    match event {
        DaemonEvent::Log { messages, .. }
            if messages.len() >= MANY_LINES
                || messages.iter().map(|line| line.message.len()).sum::<usize>() >= MANY_BYTES =>
        {
            PAUSE
        }
        _ => Duration::ZERO,
    }
}

fn meaning(received: Received, connection: u64) -> Option<LinkEvent> {
    match received {
        Received::Nothing => None,
        Received::Unknown(id, error) => Some(LinkEvent::Unknown { connection, id, error }),
        // That something came was all it had to say.
        Received::Frame(ToDaemonLink::Command(Request { params: DaemonCommand::Heartbeat, .. })) => None,
        Received::Frame(ToDaemonLink::Command(request)) => {
            Some(LinkEvent::Command { connection, request: Box::new(request) })
        }
        Received::Frame(ToDaemonLink::Response(response)) => {
            matches!(response.outcome, Outcome::Result(EventReply::Accepted)).then_some(LinkEvent::Accepted)
        }
    }
}

/// What came.
enum Received {
    Frame(ToDaemonLink),
    /// Text that is no frame of ours, and the id in it.
    Unknown(Option<Uuid>, String),
    Nothing,
}

impl Received {
    fn from_text(text: &str) -> Self {
        #[derive(serde::Deserialize)]
        struct WithId {
            id: Uuid,
        }
        match serde_json::from_str(text) {
            Ok(frame) => Received::Frame(frame),
            Err(error) => {
                let id = serde_json::from_str::<WithId>(text).ok().map(|with| with.id);
                Received::Unknown(id, format!("the daemon does not understand this request: {error}"))
            }
        }
    }
}

async fn send<S>(sink: &mut S, frame: &FromDaemon) -> Result<(), String>
where
    S: Sink<Message, Error = tungstenite::Error> + Unpin,
{
    let text = serde_json::to_string(frame).map_err(|error| error.to_string())?;
    sink.send(Message::text(text)).await.map_err(|error| error.to_string())
}

/// The next frame.
async fn receive<S>(stream: &mut S) -> Result<Received, String>
where
    S: Stream<Item = Result<Message, tungstenite::Error>> + Unpin,
{
    match stream.next().await {
        Some(Ok(Message::Text(text))) => Ok(Received::from_text(&text)),
        Some(Ok(Message::Close(frame))) => {
            let reason = frame.map(|frame| frame.reason.to_string()).filter(|reason| !reason.is_empty());
            Err(reason.unwrap_or_else(|| "it closed the connection".to_owned()))
        }
        Some(Ok(_)) => Ok(Received::Nothing),
        Some(Err(tungstenite::Error::Io(error))) if error.kind() == io::ErrorKind::ConnectionReset => {
            Err("the connection was cut".to_owned())
        }
        Some(Err(error)) => Err(error.to_string()),
        None => Err("the connection was cut".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_that_is_unknown_keeps_its_id_and_garbage_has_none() {
        let id = Uuid::from_u128(7);
        let text = format!(r#"{{"id":"{id}","method":"daemon_command","params":{{"Dance":{{}}}}}}"#);
        assert!(matches!(Received::from_text(&text), Received::Unknown(Some(found), _) if found == id));
        for garbage in ["", "{}", "[1", r#"{"id":7}"#, "null", "\u{0}"] {
            assert!(matches!(Received::from_text(garbage), Received::Unknown(None, _)), "{garbage:?}");
        }
        let beat = format!(r#"{{"id":"{id}","method":"daemon_command","params":"Heartbeat"}}"#);
        assert!(meaning(Received::from_text(&beat), 0).is_none());
    }

    #[test]
    fn long_error_text_is_cut_at_a_character() {
        assert_eq!(short("ä".to_owned()), "ä");
        let cut = short("ä".repeat(MAX_ERROR));
        assert!(cut.len() <= MAX_ERROR && cut.ends_with("ä…"), "{}", cut.len());
    }
}
