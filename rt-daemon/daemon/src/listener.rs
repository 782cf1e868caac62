//! Where dynamic nodes come in: a Unix socket of this process, bound once, for all dataflows that it runs.
//!
//! ```text
//!   node ── connect, Attach ──► listener ── finds the dataflow ──► its supervisor: `guests`
//! ```
//!
//! 1. Only processes of the same user get in: the folder has mode 0700, the socket 0600, and the kernel tells who asks.
//! 2. Whoever says nothing, or nonsense, costs a task for [`PATIENCE`] and nothing else.
//! 3. The socket's file is there exactly as long as the [`Listener`] is. One that a killed daemon left behind is
//!    taken over; one that somebody listens on is not.

use std::{
    fs,
    io::{self, ErrorKind, Write},
    os::{
        fd::OwnedFd,
        unix::{
            fs::{DirBuilderExt, MetadataExt, PermissionsExt},
            net::UnixStream as StdStream,
        },
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use dora_protocol::{
    DataflowId, NodeId,
    local_socket::{self, ENV_PORT, ENV_RUNTIME_DIR},
    node_link::{ToDaemon, ToNode},
};
use tokio::{
    io::AsyncReadExt,
    net::{UnixListener, UnixStream},
    sync::mpsc,
    task::AbortHandle,
    time::timeout,
};

use crate::supervisor::Fact;

/// How long a caller may take for its first word.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest first word, bytes.
const MAX_WORD: u32 = 4096;
/// Callers that have not said their first word; more have to wait.
const CALLERS: usize = 64;

/// The socket of this process. Cheap to clone; the last clone closes it.
#[derive(Clone, Debug)]
pub struct Listener(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// Of the file that we made.
    inode: u64,
    accepting: AbortHandle,
    registry: Arc<Mutex<Vec<Entry>>>,
}

/// A dataflow with places for dynamic nodes.
#[derive(Debug)]
struct Entry {
    id: DataflowId,
    name: String,
    places: Vec<NodeId>,
    door: mpsc::Sender<Fact>,
}

/// Somebody who wants to take a place. Is told why when it is dropped without one.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) node: NodeId,
    pub(crate) pid: Option<u32>,
    /// Until it is let in or refused.
    socket: Option<OwnedFd>,
}

/// A dataflow's entry at the listener; taking it out again when dropped.
#[derive(Debug)]
pub(crate) struct Places {
    listener: Listener,
    id: DataflowId,
}

impl Listener {
    /// Listens where the environment says: `DORA_DAEMON_LOCAL_LISTEN_PORT` in the user's runtime folder.
    ///
    /// # Errors
    /// As [`bind`](Self::bind), and [`ErrorKind::InvalidInput`] when the variable holds no number.
    pub fn bind_default() -> io::Result<Self> {
        let port = local_socket::port(std::env::var(ENV_PORT).ok().as_deref())
            .map_err(|e| io::Error::new(ErrorKind::InvalidInput, e))?;
        let runtime_dir = std::env::var_os(ENV_RUNTIME_DIR).map(PathBuf::from);
        let uid = rustix::process::getuid().as_raw();
        Self::bind(&local_socket::path(runtime_dir.as_deref(), uid, port))
    }

    /// Listens on `path`, whose folder is made if need be. To be called within a tokio runtime, which then
    /// answers the callers.
    ///
    /// # Errors
    /// [`ErrorKind::AddrInUse`] when another process listens there, [`ErrorKind::PermissionDenied`] when the folder belongs to
    /// somebody else; what the kernel says.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        own_folder(folder)?;
        let listener = match UnixListener::bind(path) {
            Err(e) if e.kind() == ErrorKind::AddrInUse && is_left_behind(path) => {
                fs::remove_file(path)?;
                UnixListener::bind(path)
            }
            Err(e) if e.kind() == ErrorKind::AddrInUse => Err(io::Error::new(
                ErrorKind::AddrInUse,
                format!(
                    "another daemon listens on {}; give one of them another number with {ENV_PORT}",
                    path.display()
                ),
            )),
            bound => bound,
        }?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        let inode = fs::metadata(path)?.ino();
        let registry = Arc::new(Mutex::new(Vec::new()));
        let accepting = tokio::spawn(accept_all(listener, registry.clone())).abort_handle();
        Ok(Self(Arc::new(Inner { path: path.to_owned(), inode, accepting, registry })))
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    pub(crate) fn register(
        &self,
        id: DataflowId,
        name: &str,
        places: Vec<NodeId>,
        door: mpsc::Sender<Fact>,
    ) -> Places {
        lock(&self.0.registry).push(Entry { id, name: name.to_owned(), places, door });
        Places { listener: self.clone(), id }
    }
}

impl Places {
    /// The names are these from now on.
    pub(crate) fn set(&self, places: Vec<NodeId>) {
        for entry in lock(&self.listener.0.registry).iter_mut().filter(|entry| entry.id == self.id) {
            entry.places.clone_from(&places);
        }
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        lock(&self.listener.0.registry).retain(|entry| entry.id != self.id);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.accepting.abort();
        // A later daemon may have made its own there.
        if fs::metadata(&self.path).is_ok_and(|file| file.ino() == self.inode) {
            // If that fails the next daemon finds that nobody listens there.
            fs::remove_file(&self.path).ok();
        }
    }
}

fn lock(registry: &Mutex<Vec<Entry>>) -> MutexGuard<'_, Vec<Entry>> {
    registry.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the folder, or checks that the one that is there is ours alone.
fn own_folder(folder: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
        made => made?,
    }
    let found = fs::symlink_metadata(folder)?;
    let uid = rustix::process::getuid().as_raw();
    if !found.is_dir() || found.uid() != uid {
        let text =
            format!("{} is not a folder of this user (it belongs to user {})", folder.display(), found.uid());
        return Err(io::Error::new(ErrorKind::PermissionDenied, text));
    }
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Is this a socket that nobody listens on?
fn is_left_behind(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    is_socket && StdStream::connect(path).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused)
}

async fn accept_all(listener: UnixListener, registry: Arc<Mutex<Vec<Entry>>>) {
    let callers = Arc::new(tokio::sync::Semaphore::new(CALLERS));
    loop {
        let Ok(turn) = callers.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let registry = registry.clone();
                tokio::spawn(async move {
                    // Whoever hangs up is let go.
                    introduce(stream, &registry).await.ok();
                    drop(turn);
                });
            }
            // Out of descriptors, for a while.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Hears the first word of a caller and hands it on to its dataflow, or says why not.
async fn introduce(mut stream: UnixStream, registry: &Mutex<Vec<Entry>>) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    if peer.uid() != rustix::process::getuid().as_raw() {
        return refuse(stream, "this daemon belongs to another user".into());
    }
    let word = match timeout(PATIENCE, first_word(&mut stream)).await {
        Ok(Ok(word)) => word,
        Ok(Err(e)) => return refuse(stream, format!("this is the socket of a dora daemon, and {e}")),
        Err(_) => {
            return refuse(stream, format!("the daemon waited {PATIENCE:?} for the node to say its name"));
        }
    };
    let ToDaemon::Attach { node_id, dataflow_id } = word else {
        return refuse(stream, "the first word on this socket has to be Attach".into());
    };
    let door = match choose(&lock(registry), &node_id, dataflow_id) {
        Ok(door) => door,
        Err(why) => return refuse(stream, why),
    };
    // 0: a process outside of this pid namespace.
    let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid != 0);
    let socket = Some(OwnedFd::from(stream.into_std()?));
    // When nobody opens any more it is told so by being dropped.
    door.send(Fact::Knocked(Guest { node: node_id, pid, socket })).await.ok();
    Ok(())
}

/// Reads one frame and not a byte more.
async fn first_word(stream: &mut UnixStream) -> Result<ToDaemon, String> {
    let mut head = [0; 8];
    stream.read_exact(&mut head).await.map_err(|e| e.to_string())?;
    let [a, b, c, d, rest @ ..] = head;
    let len = u32::from_le_bytes([a, b, c, d]);
    if len > MAX_WORD || rest != [0; 4] {
        return Err("the first frame is too large, or has descriptors".into());
    }
    let mut body = vec![0; len as usize];
    stream.read_exact(&mut body).await.map_err(|e| e.to_string())?;
    serde_json::from_slice(&body).map_err(|e| format!("the first frame is no message of its protocol ({e})"))
}

/// The dataflow that a node means.
fn choose(entries: &[Entry], node: &NodeId, id: Option<DataflowId>) -> Result<mpsc::Sender<Fact>, String> {
    let here = || entries.iter().filter(|entry| id.is_none_or(|id| entry.id == id));
    let mut found = here().filter(|entry| entry.places.contains(node));
    match (found.next(), found.next()) {
        (Some(entry), None) => Ok(entry.door.clone()),
        (Some(_), Some(_)) => {
            let names: Vec<_> = here()
                .filter(|entry| entry.places.contains(node))
                .map(|entry| format!("`{}` ({})", entry.name, entry.id))
                .collect();
            let names = names.join(", ");
            Err(format!("several running dataflows have a dynamic node `{node}`: {names}; name the dataflow"))
        }
        (None, _) => {
            let mut places: Vec<_> = Vec::new();
            for entry in here() {
                places.extend(entry.places.iter().map(|place| format!("`{place}` of `{}`", entry.name)));
            }
            let known = if places.is_empty() { "none at all".to_owned() } else { places.join(", ") };
            Err(format!("no running dataflow has a dynamic node `{node}`; there is {known}"))
        }
    }
}

fn refuse(stream: UnixStream, reason: String) -> io::Result<()> {
    write_refusal(stream.into_std()?, reason)
}

impl Guest {
    /// Says why not.
    pub(crate) fn refuse(mut self, reason: String) {
        self.tell(reason);
    }

    /// A second descriptor of its connection, for whoever lets it in.
    pub(crate) fn connection(&self) -> io::Result<OwnedFd> {
        self.socket.as_ref().ok_or(ErrorKind::NotConnected)?.try_clone()
    }

    /// It is in: somebody else speaks to it from now on.
    pub(crate) fn let_in(mut self) {
        self.socket = None;
    }

    fn tell(&mut self, reason: String) {
        if let Some(socket) = self.socket.take() {
            // Whoever has gone already does not mind.
            write_refusal(StdStream::from(socket), reason).ok();
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.tell("the dataflow has just ended".into());
    }
}

/// A sentence fits into the socket of somebody who was not told anything before.
fn write_refusal(mut stream: StdStream, reason: String) -> io::Result<()> {
    let body = serde_json::to_vec(&ToNode::Refused { reason })?;
    let mut frame = (body.len() as u32).to_le_bytes().to_vec();
    frame.extend([0; 4]);
    frame.extend(body);
    stream.write_all(&frame)?;
    stream.shutdown(std::net::Shutdown::Write)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, places: &[&str]) -> Entry {
        let places = places.iter().map(|place| place.parse().unwrap()).collect();
        Entry { id: DataflowId::new_v4(), name: name.into(), places, door: mpsc::channel(1).0 }
    }

    #[test]
    fn a_place_is_found_by_name_and_what_is_free_is_told_otherwise() {
        let entries = [entry("one", &["plot", "ui"]), entry("two", &["plot"])];
        let ask = |node: &str, id| choose(&entries, &node.parse().unwrap(), id).map(drop);
        assert_eq!(ask("ui", None), Ok(()));
        assert!(ask("plot", None).unwrap_err().contains("several"));
        assert_eq!(ask("plot", Some(entries[1].id)), Ok(()));
        assert!(ask("ui", Some(entries[1].id)).unwrap_err().contains("there is `plot` of `two`"));
        let unknown = ask("nobody", None).unwrap_err();
        assert!(unknown.contains("`plot` of `one`, `ui` of `one`, `plot` of `two`"), "{unknown}");
        assert!(choose(&[], &"x".parse().unwrap(), None).unwrap_err().contains("none at all"));
    }

    #[tokio::test]
    async fn the_socket_is_private_and_vanishes_with_its_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dora/daemon-1.sock");
        let listener = Listener::bind(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let second = Listener::bind(&path).unwrap_err();
        assert!(second.to_string().contains(ENV_PORT), "{second}");
        drop(listener.clone());
        assert!(path.exists());
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_that_a_killed_daemon_left_behind_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("daemon-1.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        Listener::bind(&path).unwrap();
        fs::write(&path, "no socket").unwrap();
        assert!(Listener::bind(&path).is_err(), "a file that is no socket is not ours to remove");
    }
}
