//! Frames with file descriptors over a Unix stream socket.
//!
//! A frame is 8 bytes (length of the body, number of descriptors; u32, little-endian), then the body. Descriptors
//! ride on the first byte as SCM_RIGHTS. Received descriptors are close-on-exec. Limits are the caller's: a peer
//! that exceeds them gets [`io::ErrorKind::InvalidData`], and the socket is of no more use.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{BorrowedFd, OwnedFd},
};

use rustix::{
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, recvmsg, sendmsg,
    },
};

/// The kernel passes no more with one message (SCM_MAX_FD).
pub const MAX_FDS: usize = 253;

/// Sends one frame; blocks until all of it is in the socket.
///
/// # Errors
/// [`io::ErrorKind::BrokenPipe`] when the peer is gone, [`io::ErrorKind::InvalidInput`] for more than [`MAX_FDS`].
pub fn send_frame(sock: BorrowedFd<'_>, body: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    if fds.len() > MAX_FDS || u32::try_from(body.len()).is_err() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "frame too large"));
    }
    let mut head = [0u8; 8];
    head[..4].copy_from_slice(&(body.len() as u32).to_le_bytes());
    head[4..].copy_from_slice(&(fds.len() as u32).to_le_bytes());
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors"));
    }
    let total = head.len() + body.len();
    let mut sent = 0;
    while sent < total {
        let parts = [
            IoSlice::new(head.get(sent..).unwrap_or(&[])),
            IoSlice::new(&body[sent.saturating_sub(head.len())..]),
        ];
        match sendmsg(sock, &parts, &mut control, SendFlags::NOSIGNAL) {
            Ok(n) => {
                sent += n;
                // They went with the first byte.
                control.clear();
            }
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// Receives one frame; blocks until all of it is there. `None` when the peer closed between two frames.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] when the peer announces more than `max_len` bytes or `max_fds` descriptors, or
/// another number of descriptors than it sends; [`io::ErrorKind::UnexpectedEof`] when it closes within a frame.
pub fn recv_frame(
    sock: BorrowedFd<'_>,
    max_len: u32,
    max_fds: u32,
) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let mut head = [0u8; 8];
    let mut fds = Vec::new();
    let got = fill(sock, &mut head, &mut fds)?;
    if got == 0 {
        return Ok(None);
    }
    if got < head.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (len, count) = (number(0), number(4));
    if len > max_len || count > max_fds {
        return Err(invalid("a frame larger than allowed"));
    }
    let mut body = vec![0; len as usize];
    if fill(sock, &mut body, &mut fds)? < body.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if fds.len() != count as usize {
        return Err(invalid("another number of descriptors than announced"));
    }
    Ok(Some((body, fds)))
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Reads until `buffer` is full or the peer closed; returns the bytes read.
fn fill(sock: BorrowedFd<'_>, buffer: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut part = [IoSliceMut::new(&mut buffer[got..])];
        let n = match recvmsg(sock, &mut part, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(message) => message.bytes,
            Err(Errno::INTR) => continue,
            // A peer that ended with unread data in its socket resets the connection: it is gone all the same.
            Err(Errno::CONNRESET) => 0,
            Err(e) => return Err(e.into()),
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                fds.extend(received);
            }
        }
        if fds.len() > MAX_FDS {
            return Err(invalid("more descriptors than one frame may carry"));
        }
        if n == 0 {
            break;
        }
        got += n;
    }
    Ok(got)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use std::os::fd::AsFd;

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap()
    }

    #[test]
    fn frames_arrive_whole_with_their_descriptors() {
        let (a, b) = pair();
        let body = vec![7u8; 1 << 20];
        let copy = body.clone();
        let sender = std::thread::spawn(move || {
            send_frame(a.as_fd(), &copy, &[a.as_fd(), a.as_fd()]).unwrap();
            send_frame(a.as_fd(), b"", &[]).unwrap();
        });
        let (got, fds) = recv_frame(b.as_fd(), 1 << 21, 2).unwrap().unwrap();
        assert_eq!((got == body, fds.len()), (true, 2));
        assert!(recv_frame(b.as_fd(), 10, 0).unwrap().unwrap().0.is_empty());
        sender.join().unwrap();
        drop(fds);
        assert!(recv_frame(b.as_fd(), 10, 0).unwrap().is_none());
    }

    #[test]
    fn a_peer_that_exceeds_the_limits_is_refused() {
        let (a, b) = pair();
        send_frame(a.as_fd(), &[0; 100], &[]).unwrap();
        assert_eq!(recv_frame(b.as_fd(), 99, 0).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let (a, b) = pair();
        send_frame(a.as_fd(), b"x", &[a.as_fd()]).unwrap();
        assert_eq!(recv_frame(b.as_fd(), 99, 0).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_frame_cut_off_by_death_is_no_frame() {
        let (a, b) = pair();
        rustix::io::write(&a, &[9, 0, 0, 0, 0, 0, 0, 0, 1, 2]).unwrap();
        drop(a);
        assert_eq!(recv_frame(b.as_fd(), 99, 0).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
