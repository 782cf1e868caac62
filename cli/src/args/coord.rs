//! Which coordinator a command talks to.

use std::net::{IpAddr, SocketAddr};

use clap::Args;
use dora_protocol::control::DEFAULT_PORT;

/// The flags of every command that asks a coordinator.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CoordArgs {
    /// Address of the coordinator
    #[arg(long, value_name = "IP", env = "DORA_COORDINATOR_ADDR", default_value = "127.0.0.1")]
    pub(crate) coordinator_addr: IpAddr,
    /// Port of the coordinator
    #[arg(long, value_name = "PORT", env = "DORA_COORDINATOR_PORT", default_value_t = DEFAULT_PORT)]
    pub(crate) coordinator_port: u16,
}

impl CoordArgs {
    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.coordinator_addr, self.coordinator_port)
    }
}
