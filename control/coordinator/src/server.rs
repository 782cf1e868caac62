//! The socket, and who may come in.
//!
//! | check                                        | answer               |
//! |----------------------------------------------|----------------------|
//! | more TCP connections than [`MAX_SOCKETS`]    | hung up              |
//! | more than 20 in a minute from one address    | 429                  |
//! | a browser (`Origin`) on a WebSocket route    | 403                  |
//! | no token where one is asked for              | 401                  |
//! | more than 256 clients, or 256 daemons        | 503                  |
//!
//! A browser is refused because any web page could otherwise start programs here, through the loopback address of whoever looks at it.

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Extension, Router,
    extract::{
        State,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use dora_protocol::control::{CONTROL_ROUTE, DAEMON_ROUTE, MAX_CONTROL_FRAME, MAX_DATA_FRAME};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
};

use crate::{
    CoordinatorError, Options,
    admission::Rate,
    auth::Token,
    owner::Owner,
    state::{self, Limits},
    store::writer::Writer,
    ws_client::{self, Context},
    ws_daemon,
};

/// WebSockets of each kind.
const MAX_CONNECTIONS: usize = 256;
const ALL_CONNECTIONS: u32 = MAX_CONNECTIONS as u32;
/// TCP connections of any kind.
const MAX_SOCKETS: usize = 1024;
/// Time for the head of an HTTP request.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Descriptors that are read at once.
const READERS: usize = 4;
/// Time for connections to say goodbye when the coordinator ends.
const GOODBYE_WITHIN: Duration = Duration::from_secs(3);

/// A coordinator that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    owner: Owner,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    context: Context,
    token: Option<Token>,
    /// Places, taken by connections for as long as they last.
    clients: Arc<Semaphore>,
    daemons: Arc<Semaphore>,
}

/// Who is at the other end, and may it come in?
#[derive(Clone, Copy, Debug)]
struct Peer {
    address: IpAddr,
    admitted: bool,
}

impl Server {
    /// Opens the store and the port. Connections are taken once it [runs](Self::run).
    ///
    /// # Errors
    /// When the port, the store or the token cannot be had. Nothing was changed then, except that missing folders and files were made.
    pub async fn bind(options: &Options) -> Result<Self, CoordinatorError> {
        let asked = SocketAddr::new(options.interface, options.port);
        // Before somebody can connect, who then looks for it.
        let needs_token = options.auth || !asked.ip().is_loopback();
        let token = needs_token.then(|| Token::find_or_make(options.token_file.as_deref())).transpose()?;
        // Before the store: a second coordinator should hear of the port.
        let listener = TcpListener::bind(asked)
            .await
            .map_err(|source| CoordinatorError::Listen { address: asked, source })?;
        let address =
            listener.local_addr().map_err(|source| CoordinatorError::Listen { address: asked, source })?;
        let mut store = options.store.open()?;
        let contents = store.load()?;
        let writer = Writer::start(store)
            .map_err(|source| CoordinatorError::Machinery { what: "to start the store thread", source })?;
        let limits = Limits { spawn_result: options.spawn_result_timeout };
        let (owner, handle) = Owner::new(|now| state::State::new(limits, now, contents), writer);
        let shared = Arc::new(Shared {
            context: Context { owner: handle, readers: Arc::new(Semaphore::new(READERS)) },
            token,
            clients: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            daemons: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        });
        Ok(Self { listener, address, owner, shared })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Is a token asked for?
    pub fn needs_token(&self) -> bool {
        self.shared.token.is_some()
    }

    /// Until a client says `Destroy`, or `shutdown` is done. Dataflows go on running in the latter case. The store is whole when this returns.
    ///
    /// # Errors
    /// None at present; a listener that fails for a moment is tried again.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), CoordinatorError> {
        let Self { listener, owner, shared, .. } = self;
        let (stop, stopped) = watch::channel(false);
        let mut owner = tokio::spawn(owner.run(stopped));
        let router = router(shared.clone());
        let mut rate = Rate::default();
        let sockets = Arc::new(Semaphore::new(MAX_SOCKETS));
        let mut connections = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let Ok(place) = sockets.clone().try_acquire_owned() else { continue };
                        let peer = peer.ip().to_canonical();
                        let admitted = rate.admit(peer, Instant::now());
                        connections.spawn(connection(stream, Peer { address: peer, admitted }, router.clone(), place));
                    }
                    Err(error) => pause_after(&error).await,
                },
                Some(_) = connections.join_next() => {}
                _ = &mut owner => break,
                () = &mut shutdown => {
                    // The owner is there as long as this is.
                    stop.send(true).unwrap_or_default();
                    if owner.await.is_err() {
                        tracing::error!("the owner of the state panicked");
                    }
                    break;
                }
            }
        }
        drop(listener);
        // Last answers are on their way: whoever ends the process after this must not cut them off.
        let goodbye = async {
            for places in [&shared.clients, &shared.daemons] {
                drop(places.acquire_many(ALL_CONNECTIONS).await);
            }
        };
        if tokio::time::timeout(GOODBYE_WITHIN, goodbye).await.is_err() {
            tracing::debug!("some connections did not close in time");
        }
        // Those that never became one of these.
        connections.shutdown().await;
        Ok(())
    }
}

/// Listens with these options until a client says `Destroy`.
///
/// # Errors
/// As [`Server::bind`].
pub async fn serve(options: Options) -> Result<(), CoordinatorError> {
    Server::bind(&options).await?.run(std::future::pending()).await
}

/// Out of descriptors, or a connection that broke before it was taken: neither is a reason to end, nor to spin.
async fn pause_after(error: &io::Error) {
    tracing::warn!("a connection could not be taken: {error}");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

fn router(shared: Arc<Shared>) -> Router {
    let health = || {
        async |Extension(peer): Extension<Peer>| {
            if peer.admitted { Ok("ok") } else { Err(StatusCode::TOO_MANY_REQUESTS) }
        }
    };
    Router::new()
        .route("/health", get(health()))
        .route("/api/health", get(health()))
        .route(CONTROL_ROUTE, get(control))
        .route(DAEMON_ROUTE, get(daemon))
        .with_state(shared)
}

async fn connection(stream: TcpStream, peer: Peer, router: Router, place: OwnedSemaphorePermit) {
    // Small frames that wait for an answer.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = TowerToHyperService::new(router.layer(Extension(peer)));
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = served.await {
        tracing::debug!("a connection from {}: {error}", peer.address);
    }
    drop(place);
}

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

async fn control(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Response {
    let (upgrade, place) = match admit(&shared, peer, &headers, upgrade, &shared.clients) {
        Ok(admitted) => admitted,
        Err(refusal) => return *refusal,
    };
    let context = shared.context.clone();
    upgrade.max_message_size(MAX_CONTROL_FRAME).max_frame_size(MAX_CONTROL_FRAME).on_upgrade(
        async move |socket| {
            ws_client::run(socket, peer.address, context).await;
            drop(place);
        },
    )
}

async fn daemon(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Response {
    let (upgrade, place) = match admit(&shared, peer, &headers, upgrade, &shared.daemons) {
        Ok(admitted) => admitted,
        Err(refusal) => return *refusal,
    };
    let owner = shared.context.owner.clone();
    upgrade.max_message_size(MAX_DATA_FRAME).max_frame_size(MAX_DATA_FRAME).on_upgrade(async move |socket| {
        ws_daemon::run(socket, peer.address, owner).await;
        drop(place);
    })
}

fn admit(
    shared: &Shared,
    peer: Peer,
    headers: &HeaderMap,
    upgrade: Upgrade,
    places: &Arc<Semaphore>,
) -> Result<(WebSocketUpgrade, OwnedSemaphorePermit), Box<Response>> {
    let refuse = |code: StatusCode, why: &'static str| Err(Box::new((code, why).into_response()));
    if !peer.admitted {
        return refuse(
            StatusCode::TOO_MANY_REQUESTS,
            "too many new connections from this address; wait a minute\n",
        );
    }
    if headers.contains_key(header::ORIGIN) {
        return refuse(StatusCode::FORBIDDEN, "browsers are not let in\n");
    }
    let given = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    if shared.token.as_ref().is_some_and(|token| !token.is_in(given)) {
        let why = "this coordinator asks for a token: DORA_AUTH_TOKEN, ./.dora-token or ~/.config/dora/.dora-token\n";
        return refuse(StatusCode::UNAUTHORIZED, why);
    }
    let upgrade = upgrade.map_err(|refusal| Box::new(refusal.into_response()))?;
    match places.clone().try_acquire_owned() {
        Ok(place) => Ok((upgrade, place)),
        Err(_) => {
            refuse(StatusCode::SERVICE_UNAVAILABLE, "the coordinator has as many connections as it takes\n")
        }
    }
}
