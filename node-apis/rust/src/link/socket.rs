//! The socket to the daemon: inherited as a number in the environment, which becomes an owned descriptor once; or connected by a
//! node that no daemon started.
#![expect(unsafe_code, reason = "takes over a descriptor that was inherited by number, asks who listens")]

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use dora_protocol::{NodeId, local_socket};
use rustix::{
    fs::FileType,
    io::FdFlags,
    net::sockopt::{Timeout, set_socket_timeout},
    process::Uid,
};

use crate::error::{NodeError, NodeResult};

/// A daemon that does not read for this long counts as gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// Numbers that a live [`DaemonSocket`] of this process owns.
static CLAIMED: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// The connection to the daemon. Closed on drop.
#[derive(Debug)]
pub(crate) struct DaemonSocket {
    fd: OwnedFd,
}

impl DaemonSocket {
    /// Takes over descriptor `number` and makes it close-on-exec, so that children of the node do not keep the
    /// connection open.
    ///
    /// # Errors
    /// [`NodeError::Init`] when it is no socket or the process is a node by it already.
    pub(crate) fn claim(number: i32) -> NodeResult<Self> {
        let refuse =
            |why: &str| Err(NodeError::Init(format!("the daemon's socket, descriptor {number}, {why}")));
        let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
        if claimed.contains(&number) {
            return refuse("is in use: this process was initialised as a node before");
        }
        if number < 0 {
            return refuse("is not a descriptor");
        }
        // SAFETY: only asked what it is; a number that is not open makes the calls fail and nothing else.
        let candidate = unsafe { BorrowedFd::borrow_raw(number) };
        let Ok(stat) = rustix::fs::fstat(candidate) else {
            return refuse(
                "is not open: the node was initialised and dropped before, or something closed it",
            );
        };
        if !FileType::from_raw_mode(stat.st_mode).is_socket() {
            return refuse("is not a socket: something closed it and opened another file");
        }
        // SAFETY: the daemon left this descriptor to this library alone, and `claimed` says that nobody took it yet.
        let fd = unsafe { OwnedFd::from_raw_fd(number) };
        let prepared = rustix::io::fcntl_getfd(&fd)
            .and_then(|flags| rustix::io::fcntl_setfd(&fd, flags | FdFlags::CLOEXEC))
            .and_then(|()| set_socket_timeout(&fd, Timeout::Send, Some(SEND_TIMEOUT)));
        if let Err(error) = prepared {
            return refuse(&format!("cannot be used: {error}"));
        }
        claimed.insert(number);
        Ok(Self { fd })
    }

    /// Connects to the daemon of this user that listens under this number, or under that of the environment.
    ///
    /// # Errors
    /// [`NodeError::Connection`] when none does, [`NodeError::Init`] when somebody else does.
    pub(crate) fn connect(node: &NodeId, port: Option<u16>) -> NodeResult<Self> {
        let from_env = || local_socket::port(std::env::var(local_socket::ENV_PORT).ok().as_deref());
        let port = port.map_or_else(from_env, Ok).map_err(NodeError::Init)?;
        let runtime_dir = std::env::var_os(local_socket::ENV_RUNTIME_DIR).map(PathBuf::from);
        let own = rustix::process::getuid();
        let path = local_socket::path(runtime_dir.as_deref(), own.as_raw(), port);
        Self::connect_to(node, &path, own)
    }

    fn connect_to(node: &NodeId, path: &Path, own: Uid) -> NodeResult<Self> {
        let place = path.display();
        let stream = UnixStream::connect(path).map_err(|error| {
            let why = match error.kind() {
                ErrorKind::NotFound | ErrorKind::ConnectionRefused => format!(
                    "no daemon listens at `{place}`; start the dataflow that has a node `{node}` with `path: dynamic`, or \
                     set `{}` to the number of its daemon",
                    local_socket::ENV_PORT
                ),
                _ => format!("the daemon's socket `{place}` cannot be used: {error}"),
            };
            NodeError::Connection(format!("node `{node}` cannot join a running dataflow: {why}"))
        })?;
        // The folder in /tmp may be anybody's.
        let theirs = user_of_peer(&stream)
            .map_err(|e| NodeError::Connection(format!("who listens at `{place}` is unknown: {e}")))?;
        if theirs != own && !theirs.is_root() {
            return Err(NodeError::Init(format!(
                "node `{node}` does not join: `{place}` belongs to a process of user {}, and not of user {}",
                theirs.as_raw(),
                own.as_raw()
            )));
        }
        let prepared = set_socket_timeout(&stream, Timeout::Send, Some(SEND_TIMEOUT));
        prepared.map_err(|e| NodeError::Connection(format!("`{place}` cannot be used: {e}")))?;
        let fd = OwnedFd::from(stream);
        CLAIMED.lock().unwrap_or_else(PoisonError::into_inner).insert(fd.as_raw_fd());
        Ok(Self { fd })
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The user whose process listens. Not by rustix: its type for the answer cannot hold the process id 0, which the kernel gives
/// for a daemon outside of the container that this node runs in.
fn user_of_peer(stream: &UnixStream) -> std::io::Result<Uid> {
    let mut peer = libc::ucred { pid: 0, uid: libc::uid_t::MAX, gid: libc::gid_t::MAX };
    let mut size = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `size` bytes, and `peer` is as large and holds any bits.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut size,
        )
    };
    if result != 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(Uid::from_raw(peer.uid))
}

impl Drop for DaemonSocket {
    fn drop(&mut self) {
        // The number is free for others only after the descriptor is closed, which comes next.
        CLAIMED.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.fd.as_raw_fd());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use std::os::fd::IntoRawFd;

    #[test]
    fn a_claimed_socket_becomes_close_on_exec_and_cannot_be_claimed_twice() {
        let pair = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::empty(), None);
        let number = pair.unwrap().0.into_raw_fd();
        let socket = DaemonSocket::claim(number).unwrap();
        assert!(rustix::io::fcntl_getfd(socket.as_fd()).unwrap().contains(FdFlags::CLOEXEC));
        assert!(DaemonSocket::claim(number).unwrap_err().to_string().contains("in use"));
    }

    #[test]
    fn what_is_no_socket_is_refused_and_left_alone() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(DaemonSocket::claim(file.as_raw_fd()).unwrap_err().to_string().contains("not a socket"));
        assert!(file.metadata().is_ok());
        assert!(DaemonSocket::claim(-1).unwrap_err().to_string().contains("-1"));
    }
}
