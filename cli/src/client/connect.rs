//! Reaching a coordinator, and saying what is wrong when there is none.

use std::{io, net::SocketAddr, time::Duration};

use dora_protocol::control::{CONTROL_ROUTE, DEFAULT_PORT, MAX_DATA_FRAME};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        self,
        client::IntoClientRequest,
        http::{HeaderValue, StatusCode, header},
        protocol::WebSocketConfig,
    },
};

use super::token::{ENV_TOKEN, token};
use crate::error::{CliError, CliResult};

/// For the TCP connection, and again for the upgrade.
const PATIENCE: Duration = Duration::from_secs(5);

/// The WebSocket at `/api/control` of the coordinator at `address`.
///
/// # Errors
/// [`not_connected`], with what the other side said.
pub(super) async fn open(address: SocketAddr) -> CliResult<WebSocketStream<TcpStream>> {
    let failed = |cause: String| not_connected(address).caused_by(&io::Error::other(cause));
    let stream = match timeout(PATIENCE, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(failed(error.to_string())),
        Err(_) => return Err(failed(format!("no answer within {PATIENCE:?}"))),
    };
    // A control message is small and waited for. When the option is refused it is only slower.
    stream.set_nodelay(true).unwrap_or_default();
    let mut request = format!("ws://{address}{CONTROL_ROUTE}")
        .into_client_request()
        .map_err(|error| failed(error.to_string()))?;
    let header = token().and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok());
    if let Some(value) = header {
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_DATA_FRAME))
        .max_frame_size(Some(MAX_DATA_FRAME));
    match timeout(PATIENCE, client_async_with_config(request, stream, Some(config))).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(error)) => Err(refused(address, &error)),
        Err(_) => Err(failed("something listens there, but it does not speak to us".to_owned())),
    }
}

/// There is nobody, or nobody who speaks to us.
pub(crate) fn not_connected(address: SocketAddr) -> CliError {
    let up = match (address.ip().is_loopback(), address.port()) {
        (true, DEFAULT_PORT) => "start one with `dora up`".to_owned(),
        (true, port) => format!("start one with `dora up --coordinator-port {port}`"),
        (false, _) => format!("start one with `dora up` on the machine with the address {}", address.ip()),
    };
    CliError::new(format!("could not connect to dora-coordinator at {address}"))
        .hint(up)
        .hint("another one is chosen with --coordinator-addr and --coordinator-port, or with DORA_COORDINATOR_ADDR and DORA_COORDINATOR_PORT")
}

fn refused(address: SocketAddr, error: &tungstenite::Error) -> CliError {
    let tungstenite::Error::Http(response) = error else {
        return not_connected(address).caused_by(error);
    };
    match response.status() {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => CliError::new(format!(
            "the coordinator at {address} does not accept our token"
        ))
        .hint(format!("give the content of its token file in {ENV_TOKEN}, or in ~/.config/dora/.dora-token")),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            CliError::new(format!("the coordinator at {address} has too many connections"))
                .hint("try again in a minute")
        }
        status => {
            let cause =
                io::Error::other(format!("what listens there answers {status}: it is no coordinator"));
            not_connected(address).caused_by(&cause)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn nobody_there_is_told_with_address_port_and_the_command_that_helps() {
        let text = not_connected("127.0.0.1:6013".parse().unwrap()).to_string();
        assert!(text.contains("could not connect to dora-coordinator at 127.0.0.1:6013"), "{text}");
        assert!(text.contains("hint: start one with `dora up`\n"), "{text}");
        let text = not_connected("127.0.0.1:7000".parse().unwrap()).to_string();
        assert!(text.contains("`dora up --coordinator-port 7000`"), "{text}");
        let text = not_connected("192.0.2.7:6013".parse().unwrap()).to_string();
        assert!(text.contains("on the machine with the address 192.0.2.7"), "{text}");
    }

    /// What `open` makes of a server that answers anything with `answer`.
    fn against(answer: &'static [u8]) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut buffer = [0; 4096];
            assert!(stream.read(&mut buffer).unwrap() > 0);
            stream.write_all(answer).unwrap();
        });
        let error = crate::client::block_on(async { open(address).await.map(drop) }).unwrap_err();
        server.join().unwrap();
        error.to_string()
    }

    #[test]
    fn whatever_else_listens_there_is_told_apart_from_a_coordinator() {
        let table: [(&[u8], &str); 5] = [
            (b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n", "does not accept our token"),
            (b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", "too many connections"),
            (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "it is no coordinator"),
            (b"220 smtp.example ESMTP\r\n", "could not connect"),
            (b"", "could not connect"),
        ];
        for (answer, expected) in table {
            let text = against(answer);
            assert!(text.contains(expected), "{}: {text}", String::from_utf8_lossy(answer));
        }
    }
}
