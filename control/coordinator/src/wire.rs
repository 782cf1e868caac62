//! Frames in and out of a WebSocket, with their bounds.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use serde::Serialize;
use tokio::time::timeout;

/// A peer that takes longer to read one frame is gone.
const SEND_WITHIN: Duration = Duration::from_secs(20);
/// Time between pings, and how long a peer may be silent.
pub(crate) const PING_EVERY: Duration = Duration::from_secs(20);
pub(crate) const SILENT_AFTER: Duration = Duration::from_secs(65);
/// Time for the first word.
pub(crate) const FIRST_WORD_WITHIN: Duration = Duration::from_secs(10);
/// Close codes of RFC 6455.
pub(crate) const NORMAL: u16 = 1000;
pub(crate) const POLICY: u16 = 1008;
const TOO_BIG: u16 = 1009;
const PROTOCOL: u16 = 1002;

/// The peer cannot be reached any more.
#[derive(Debug)]
pub(crate) struct Gone;

pub(crate) async fn send(socket: &mut WebSocket, frame: &impl Serialize) -> Result<(), Gone> {
    let Ok(text) = serde_json::to_string(frame) else { return Err(Gone) };
    put(socket, Message::Text(text.into())).await
}

pub(crate) async fn ping(socket: &mut WebSocket) -> Result<(), Gone> {
    put(socket, Message::Ping(Vec::new().into())).await
}

async fn put(socket: &mut WebSocket, message: Message) -> Result<(), Gone> {
    match timeout(SEND_WITHIN, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(Gone),
    }
}

/// Says why, waits a moment for the peer to hear it, and hangs up.
pub(crate) async fn close(mut socket: WebSocket, code: u16, reason: &str) {
    // A close frame holds 123 bytes of reason.
    let mut end = reason.len().min(120);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let frame = CloseFrame { code, reason: Utf8Bytes::from(&reason[..end]) };
    if put(&mut socket, Message::Close(Some(frame))).await.is_ok() {
        let until_gone = async { while let Some(Ok(_)) = socket.recv().await {} };
        // A peer that does not answer in this time is left.
        timeout(Duration::from_secs(1), until_gone).await.unwrap_or_default();
    }
}

/// Why reading failed.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) code: u16,
    pub(crate) reason: String,
    /// The peer broke the rules; it did not merely vanish.
    pub(crate) its_own: bool,
}

/// What an error of the socket means.
pub(crate) fn fault(error: &axum::Error) -> Fault {
    let reason = error.to_string();
    let too_big = reason.contains("too long") || reason.contains("too big") || reason.contains("Space limit");
    let vanished = reason.contains("without closing handshake") || reason.starts_with("IO error");
    Fault { code: if too_big { TOO_BIG } else { PROTOCOL }, reason, its_own: !vanished }
}
