//! A coordinator whose every answer is the test's.
//!
//! One thread per connection. Events wait in a queue that the connections which subscribed to logs take from.

use std::{
    collections::VecDeque,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use dora_protocol::{
    DataflowId,
    control::{
        ControlReply, ControlRequest, DORA_VERSION, DataflowEntry, DataflowName, DataflowStatus, Event,
        Outcome, Request, Response,
    },
};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, accept};
use uuid::Uuid;

use crate::support::Project;

/// What a request is answered.
pub(crate) enum Answer {
    Reply(ControlReply),
    Refusal(&'static str),
    /// Nothing, ever.
    Silence,
    /// The connection ends.
    HangUp,
}

impl From<ControlReply> for Answer {
    fn from(reply: ControlReply) -> Self {
        Answer::Reply(reply)
    }
}

type Script = dyn Fn(&ControlRequest, &Fake) -> Answer + Send + Sync;

/// The coordinator. Lives as long as the test.
#[derive(Clone)]
pub(crate) struct Fake {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<ControlRequest>>>,
    events: Arc<Mutex<VecDeque<Event>>>,
}

impl Fake {
    /// Listens; `Hello` and `LogSubscribe` are answered here, everything else by `script`.
    pub(crate) fn start(script: impl Fn(&ControlRequest, &Fake) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let fake = Self { address, heard: Arc::default(), events: Arc::default() };
        let script: Arc<Script> = Arc::new(script);
        let of_all = fake.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (fake, script) = (of_all.clone(), script.clone());
                thread::spawn(move || fake.serve(stream, &*script));
            }
        });
        fake
    }

    /// `dora <args>` that asks this coordinator.
    pub(crate) fn command(&self, project: &Project, args: &[&str]) -> std::process::Command {
        let mut command = project.command(args);
        command.env("DORA_COORDINATOR_PORT", self.address.port().to_string());
        command
    }

    /// Sends an event to whoever has subscribed, or will.
    pub(crate) fn event(&self, event: Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push_back(event);
    }

    /// The requests that came until now, `Hello` left out.
    pub(crate) fn heard(&self) -> Vec<ControlRequest> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until a request like this came.
    pub(crate) fn wait_for(&self, like: impl Fn(&ControlRequest) -> bool) {
        wait("the request", || self.heard().iter().any(&like));
    }

    fn serve(&self, stream: TcpStream, script: &Script) {
        let Ok(mut socket) = accept(stream) else { return };
        // Between two frames, events are looked for.
        socket.get_ref().set_read_timeout(Some(Duration::from_millis(5))).expect("a timeout");
        let mut subscribed = false;
        loop {
            while let Some(event) = subscribed.then(|| self.next_event()).flatten() {
                send(&mut socket, &event);
            }
            let text = match socket.read() {
                Ok(Message::Text(text)) => text,
                Ok(_) => continue,
                Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(_) => return,
            };
            let request: Request<ControlRequest> = serde_json::from_str(&text).expect("a request");
            let answer = match &request.params {
                ControlRequest::Hello { .. } => {
                    ControlReply::HelloOk { dora_version: DORA_VERSION.into() }.into()
                }
                params => {
                    self.heard.lock().unwrap_or_else(PoisonError::into_inner).push(params.clone());
                    if let ControlRequest::LogSubscribe { dataflow_id, .. } = params {
                        subscribed = true;
                        ControlReply::LogSubscribed { dataflow_id: *dataflow_id }.into()
                    } else {
                        script(params, self)
                    }
                }
            };
            let outcome = match answer {
                Answer::Reply(reply) => Outcome::Result(reply),
                Answer::Refusal(why) => Outcome::Error(why.into()),
                Answer::Silence => continue,
                Answer::HangUp => return,
            };
            send(&mut socket, &Response { id: request.id, outcome });
        }
    }

    fn next_event(&self) -> Option<Event> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

fn send(socket: &mut WebSocket<TcpStream>, frame: &impl serde::Serialize) {
    let text = serde_json::to_string(frame).expect("JSON");
    // Who asked may have gone.
    socket.send(Message::text(text)).unwrap_or_default();
}

/// Waits for a minute at most.
pub(crate) fn wait(what: &str, done: impl Fn() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what} did not come");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The UUID of dataflow `number`.
pub(crate) fn uuid(number: u32) -> DataflowId {
    Uuid::from_fields(number, 0, 0x7000, &[0x80, 0, 0, 0, 0, 0, 0, 0])
}

/// Dataflow `number`.
pub(crate) fn dataflow(number: u32, name: Option<&str>, status: DataflowStatus) -> DataflowEntry {
    DataflowEntry {
        id: DataflowName { uuid: uuid(number), name: name.map(str::to_owned) },
        status,
        spawned: true,
        error: None,
        nodes: 2,
        cpu_usage: Some(12.5),
        memory_bytes: Some(156_840_000),
        daemon: None,
        created_ms: u64::from(number),
        updated_ms: u64::from(number),
    }
}
