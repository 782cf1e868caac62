//! `dora up`: coordinator and daemon in the background.
//!
//! Whatever of the two runs already is left as it is, so the command may be given at any time. It returns when a daemon is
//! connected; a process that does not get that far is ended, and what it said is shown.

mod background;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use dora_protocol::{
    control::{ControlReply, ControlRequest, DEFAULT_PORT},
    local_socket,
};
use tokio::{net::TcpStream, time::sleep};

use self::background::Started;
use super::daemon::home::Home;
use crate::{
    args::{RtArg, UpArgs},
    client::{Client, block_on, unexpected},
    display::out::print,
    error::{CliError, CliResult},
};

/// For a process to become ready. A store is opened and memory locked meanwhile, on a machine that may be busy.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks whether it is.
const LOOK: Duration = Duration::from_millis(10);

/// `dora up`
pub(crate) fn run(args: &UpArgs) -> CliResult {
    let address = address(args)?;
    let home = Home::new(address.port())?;
    let _alone = home.alone()?;
    block_on(async {
        let mut client = coordinator(args, &home, address).await?;
        daemon(args, &home, address, &mut client).await
    })
}

/// Where the coordinator is to be reached from here.
fn address(args: &UpArgs) -> CliResult<SocketAddr> {
    let (addr, port) = (args.coord.coordinator_addr, args.coord.coordinator_port);
    if !addr.is_loopback() && addr != args.interface {
        return Err(CliError::new(format!("the coordinator at {addr} is not on this machine, so it is not started from here"))
            .hint(format!("if {addr} is an address of this machine, listen on it with --interface {addr}"))
            .hint("a daemon of this machine for a coordinator elsewhere is started with `dora daemon --coordinator-addr`"));
    }
    // One that listens on another address of this machine is not on the loopback one.
    let addr = match args.interface {
        all if all.is_unspecified() => addr,
        interface => interface,
    };
    Ok(SocketAddr::new(addr, port))
}

/// Connects to the coordinator, and starts it before when nobody listens there.
async fn coordinator(args: &UpArgs, home: &Home, address: SocketAddr) -> CliResult<Client> {
    if TcpStream::connect(address).await.is_ok() {
        let client = Client::connect(address).await?;
        print(&format!("the coordinator runs already at {address}\n"))?;
        if args.recreate_store {
            eprintln!(
                "warning: its store is left as it is; `dora down` first, then `dora up --recreate-store`"
            );
        }
        return Ok(client);
    }
    let mut started = Started::new(home, "coordinator", &coordinator_args(args, home, address.port()))?;
    let begin = Instant::now();
    loop {
        started.check()?;
        if TcpStream::connect(address).await.is_ok() {
            let client = Client::connect(address).await?;
            // Somebody else may have been faster at that address.
            started.check()?;
            print(&format!(
                "started the coordinator at {address} (process {}, log {})\n",
                started.id(),
                started.log().display()
            ))?;
            return Ok(client);
        }
        if begin.elapsed() > PATIENCE {
            return Err(started.give_up(&format!("was not ready within {PATIENCE:?}")));
        }
        sleep(LOOK).await;
    }
}

fn coordinator_args(args: &UpArgs, home: &Home, port: u16) -> Vec<String> {
    let mut flags =
        vec!["--interface".to_owned(), args.interface.to_string(), "--port".to_owned(), port.to_string()];
    if port != DEFAULT_PORT {
        let store = home.file("coordinator", "redb");
        flags.extend(["--store".to_owned(), format!("redb:{}", store.display())]);
    }
    flags.extend(args.auth.then(|| "--auth".to_owned()));
    flags.extend(args.recreate_store.then(|| "--recreate-store".to_owned()));
    flags
}

/// Waits until a daemon is connected, and starts one before when there is none.
async fn daemon(args: &UpArgs, home: &Home, address: SocketAddr, client: &mut Client) -> CliResult {
    if connected(client).await? {
        return print("a daemon is connected already\n");
    }
    // One that is there finds a coordinator that has come back by itself.
    let mut started = match home.daemon() {
        Some(_) => None,
        None => Some(Started::new(home, "daemon", &daemon_args(args, address))?),
    };
    let begin = Instant::now();
    loop {
        if connected(client).await? {
            return match started {
                Some(started) => print(&format!(
                    "started the daemon (process {}, log {})\n",
                    started.id(),
                    started.log().display()
                )),
                None => print("the daemon runs already, and is connected again\n"),
            };
        }
        if let Some(started) = &mut started {
            started.check()?;
        }
        if begin.elapsed() > PATIENCE {
            return Err(match started {
                Some(started) => started.give_up(&format!("has not connected within {PATIENCE:?}")),
                None => CliError::new(format!("the daemon that runs has not connected within {PATIENCE:?}"))
                    .hint(format!("its log is {}", home.file("daemon", "log").display()))
                    .hint("`dora down` ends it, and its dataflows with it"),
            });
        }
        sleep(LOOK).await;
    }
}

fn daemon_args(args: &UpArgs, address: SocketAddr) -> Vec<String> {
    // The socket of dynamic nodes belongs to one daemon: those of other coordinators get the coordinator's number.
    let listen = if address.port() == DEFAULT_PORT { local_socket::DEFAULT_PORT } else { address.port() };
    let mut flags = vec![
        "--coordinator-addr".to_owned(),
        address.ip().to_string(),
        "--coordinator-port".to_owned(),
        address.port().to_string(),
    ];
    if std::env::var_os(local_socket::ENV_PORT).is_none() {
        flags.extend(["--local-listen-port".to_owned(), listen.to_string()]);
    }
    flags.extend(args.allow_shell_nodes.then(|| "--allow-shell-nodes".to_owned()));
    flags.extend(args.rt.map(|mode| match mode {
        RtArg::Strict => "--rt=strict".to_owned(),
        RtArg::BestEffort => "--rt=best-effort".to_owned(),
    }));
    flags
}

async fn connected(client: &mut Client) -> CliResult<bool> {
    match client.ask(ControlRequest::DaemonConnected).await? {
        ControlReply::DaemonConnected(connected) => Ok(connected),
        other => Err(unexpected(&other)),
    }
}
