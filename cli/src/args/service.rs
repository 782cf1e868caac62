//! The pair of background processes, and the commands that start and stop it.

use std::{collections::BTreeMap, net::IpAddr};

use clap::{ArgAction, Args, builder::BoolishValueParser};

use super::{CoordArgs, RtArg, key_value};

/// `dora up`
#[derive(Args, Debug)]
pub(crate) struct UpArgs {
    /// Let nobody in without a token; it is written to `~/.config/dora/.dora-token`
    #[arg(long)]
    pub(crate) auth: bool,
    /// Address that the coordinator listens on
    #[arg(long, value_name = "IP", env = "DORA_COORDINATOR_INTERFACE", default_value = "127.0.0.1")]
    pub(crate) interface: IpAddr,
    /// Put the coordinator's store aside and begin with an empty one
    #[arg(long)]
    pub(crate) recreate_store: bool,
    /// Real-time scheduling for nodes with an `rt:` block, in all dataflows of this daemon; as in `dora run`
    #[arg(long, value_name = "MODE", num_args = 0..=1, require_equals = true, default_missing_value = "strict")]
    pub(crate) rt: Option<RtArg>,
    /// Start nodes with `path: shell`
    #[arg(long, env = "DORA_ALLOW_SHELL_NODES", value_parser = BoolishValueParser::new())]
    pub(crate) allow_shell_nodes: bool,
    /// Where coordinator and daemon meet.
    #[command(flatten)]
    pub(crate) coord: CoordArgs,
}

/// `dora down`
#[derive(Args, Debug)]
pub(crate) struct DownArgs {
    /// Kill the nodes at once instead of stopping them
    #[arg(long)]
    pub(crate) force: bool,
    /// Whom to end.
    #[command(flatten)]
    pub(crate) coord: CoordArgs,
}

/// `dora coordinator`
#[derive(Args, Debug)]
pub(crate) struct CoordinatorArgs {
    /// Address to listen on
    #[arg(long, value_name = "IP", env = "DORA_COORDINATOR_INTERFACE", default_value = "127.0.0.1")]
    pub(crate) interface: IpAddr,
    /// Port to listen on
    #[arg(long, value_name = "PORT", env = "DORA_COORDINATOR_PORT", default_value_t = dora_protocol::control::DEFAULT_PORT)]
    pub(crate) port: u16,
    /// Say only what went wrong
    #[arg(long, env = "DORA_QUIET", value_parser = BoolishValueParser::new())]
    pub(crate) quiet: bool,
    /// Where dataflows, parameters and daemons are remembered: redb, redb:<PATH>, or memory
    #[arg(long, value_name = "STORE", default_value = "redb")]
    pub(crate) store: String,
    /// Put that store aside and begin with an empty one
    #[arg(long)]
    pub(crate) recreate_store: bool,
    /// Let nobody in without a token, also on a loopback address
    #[arg(long)]
    pub(crate) auth: bool,
    /// Leave the session of the terminal
    #[arg(long, hide = true)]
    pub(crate) detached: bool,
}

/// `dora daemon`
#[derive(Args, Debug)]
pub(crate) struct DaemonArgs {
    /// Name of this machine, as `deploy:` blocks call it; the daemon without one is the default
    #[arg(long, value_name = "ID", value_parser = machine_id)]
    pub(crate) machine_id: Option<String>,
    /// Address of this machine that other daemons reach it at
    #[arg(long, value_name = "IP")]
    pub(crate) interface: Option<IpAddr>,
    /// Address of the coordinator
    #[arg(long, short = 'c', value_name = "IP", env = "DORA_COORDINATOR_ADDR", default_value = "127.0.0.1")]
    pub(crate) coordinator_addr: IpAddr,
    /// Port of the coordinator
    #[arg(long, value_name = "PORT", env = "DORA_COORDINATOR_PORT", default_value_t = dora_protocol::control::DEFAULT_PORT)]
    pub(crate) coordinator_port: u16,
    /// Number in the name of the socket at which dynamic nodes find this daemon
    #[arg(long, value_name = "PORT", env = dora_protocol::local_socket::ENV_PORT, value_parser = clap::value_parser!(u16).range(1..), default_value_t = dora_protocol::local_socket::DEFAULT_PORT)]
    pub(crate) local_listen_port: u16,
    /// What `deploy:` blocks may ask for: key=value,key2=value2
    #[arg(long, value_name = "LABELS", value_delimiter = ',', value_parser = key_value, action = ArgAction::Append)]
    pub(crate) labels: Vec<(String, String)>,
    /// Keep what nodes print in their files, and do not pass it on
    #[arg(long, env = "DORA_QUIET", value_parser = BoolishValueParser::new())]
    pub(crate) quiet: bool,
    /// Start nodes with `path: shell`
    #[arg(long, env = "DORA_ALLOW_SHELL_NODES", value_parser = BoolishValueParser::new())]
    pub(crate) allow_shell_nodes: bool,
    /// Accepted and without effect: each dataflow has a thread of its own
    #[arg(long, value_name = "N")]
    pub(crate) worker_threads: Option<u16>,
    /// Real-time scheduling for nodes with an `rt:` block, in all dataflows; as in `dora run`
    #[arg(long, value_name = "MODE", num_args = 0..=1, require_equals = true, default_missing_value = "strict")]
    pub(crate) rt: Option<RtArg>,
    /// Between machines.
    #[command(flatten)]
    pub(crate) zenoh: ZenohArgs,
    /// Leave the session of the terminal, and be the one that `dora up` and `dora down` know
    #[arg(long, hide = true)]
    pub(crate) detached: bool,
}

impl DaemonArgs {
    /// Whom it connects to.
    pub(crate) fn coord(&self) -> CoordArgs {
        CoordArgs { coordinator_addr: self.coordinator_addr, coordinator_port: self.coordinator_port }
    }

    /// By key; the last of two wins.
    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        self.labels.iter().cloned().collect()
    }
}

/// Flags about traffic between machines; there is none yet.
#[derive(Args, Debug, Default)]
pub(crate) struct ZenohArgs {
    /// Endpoint of another daemon
    #[arg(long, value_name = "ENDPOINT", action = ArgAction::Append)]
    pub(crate) zenoh_peer: Vec<String>,
    /// Find no other daemons by multicast
    #[arg(long)]
    pub(crate) zenoh_no_multicast: bool,
    /// Where to listen for other daemons
    #[arg(long, value_name = "IP[:PORT]")]
    pub(crate) zenoh_listen: Option<String>,
    /// Endpoints to connect to
    #[arg(long, value_name = "ENDPOINTS", value_delimiter = ',')]
    pub(crate) zenoh_connect: Vec<String>,
    /// Configuration laid over the default one
    #[arg(long, value_name = "PATH")]
    pub(crate) zenoh_config_overlay: Option<std::path::PathBuf>,
}

impl ZenohArgs {
    /// The flags that were given; none of them has an effect yet.
    pub(crate) fn given(&self) -> Vec<&'static str> {
        super::given(&[
            (!self.zenoh_peer.is_empty(), "--zenoh-peer"),
            (self.zenoh_no_multicast, "--zenoh-no-multicast"),
            (self.zenoh_listen.is_some(), "--zenoh-listen"),
            (!self.zenoh_connect.is_empty(), "--zenoh-connect"),
            (self.zenoh_config_overlay.is_some(), "--zenoh-config-overlay"),
        ])
    }
}

fn machine_id(text: &str) -> Result<String, String> {
    let most = dora_protocol::control::MAX_MACHINE_ID;
    match text {
        "" => Err("it is empty".to_owned()),
        long if long.len() > most => Err(format!("it is longer than {most} bytes")),
        control if control.chars().any(char::is_control) => Err("it has control characters in it".to_owned()),
        id => Ok(id.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn daemon(flags: &[&str]) -> Result<DaemonArgs, clap::Error> {
        Cli::try_parse_from(["dora", "daemon"].iter().chain(flags)).map(|cli| match cli.command {
            Command::Daemon(args) => *args,
            other => panic!("not daemon: {other:?}"),
        })
    }

    #[test]
    fn labels_are_pairs_behind_commas() {
        let args = daemon(&["--labels", "gpu=yes,arm=left", "--labels", "gpu=no"]).unwrap();
        let labels = args.labels();
        let pairs: Vec<_> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("arm", "left"), ("gpu", "no")]);
        assert!(daemon(&["--labels", "gpu"]).is_err());
    }

    #[test]
    fn machine_id_has_limits() {
        assert_eq!(daemon(&["--machine-id", "arm"]).unwrap().machine_id.as_deref(), Some("arm"));
        assert!(daemon(&["--machine-id", ""]).is_err());
        assert!(daemon(&["--machine-id", &"x".repeat(257)]).is_err());
        assert!(daemon(&["--machine-id", "a\nb"]).is_err());
    }

    #[test]
    fn services_are_no_part_of_the_help_of_the_root() {
        use clap::CommandFactory;
        let help = Cli::command().render_long_help().to_string();
        assert!(!help.contains("  coordinator") && !help.contains("  daemon"), "{help}");
        assert!(help.contains("  up") && help.contains("  down"), "{help}");
    }
}
