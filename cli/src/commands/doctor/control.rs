//! The part of `dora doctor` that asks a coordinator: is it there, which daemons does it have, how are dataflows and nodes?
//!
//! `dora run` needs none of it, so a coordinator that nobody named may be missing.

use dora_protocol::control::{DEFAULT_PORT, DataflowStatus, NodeStatus};

use super::{
    super::status::{Answer, Health, health},
    local::{Level, Line},
};
use crate::{
    args::{CoordArgs, DoctorArgs},
    error::CliResult,
};

/// A daemon that was heard longer ago has missed several heartbeats.
const LATE_MS: u64 = 15_000;

/// The lines about coordinator and daemons.
///
/// # Errors
/// When this process cannot ask at all.
pub(super) fn check(args: &DoctorArgs) -> CliResult<Vec<Line>> {
    let named = args.coordinator_addr.is_some() || args.coordinator_port.is_some();
    let coord = CoordArgs {
        coordinator_addr: args.coordinator_addr.unwrap_or(std::net::Ipv4Addr::LOCALHOST.into()),
        coordinator_port: args.coordinator_port.unwrap_or(DEFAULT_PORT),
    };
    Ok(lines(&health(&coord)?, named))
}

fn lines(health: &Health, named: bool) -> Vec<Line> {
    const CHECK: &str = "coordinator";
    match &health.coordinator {
        Ok(answer) => {
            let there = Line::new(Level::Pass, CHECK, format!("reachable at {}", health.address));
            std::iter::once(there).chain(about(answer)).collect()
        }
        Err(error) if named => vec![Line::new(Level::Fail, CHECK, error.message())],
        Err(_) => {
            let detail = format!("none at {}; `dora up` starts one, `dora run` needs none", health.address);
            vec![Line::new(Level::Warn, CHECK, detail)]
        }
    }
}

fn about(answer: &Answer) -> Vec<Line> {
    vec![daemons(answer), dataflows(answer), nodes(answer)]
}

fn daemons(answer: &Answer) -> Line {
    const CHECK: &str = "daemon";
    if answer.daemons.is_empty() {
        return Line::new(Level::Fail, CHECK, "none is connected; `dora up` starts one");
    }
    let machine = |daemon: &dora_protocol::control::DaemonInfo| {
        format!("\n      {} (heard {} ms ago)", daemon.daemon_id, daemon.last_heartbeat_ago_ms)
    };
    let late = answer.daemons.iter().any(|daemon| daemon.last_heartbeat_ago_ms > LATE_MS);
    let level = if late { Level::Warn } else { Level::Pass };
    let machines: String = answer.daemons.iter().map(machine).collect();
    Line::new(level, CHECK, format!("{} connected{machines}", answer.daemons.len()))
}

fn dataflows(answer: &Answer) -> Line {
    let all = answer.dataflows.len();
    let failed = answer.dataflows.iter().filter(|entry| entry.status == DataflowStatus::Failed).count();
    let level = if failed > 0 { Level::Warn } else { Level::Pass };
    let hint = if failed > 0 { "; `dora list` shows them, `dora clean` forgets them" } else { "" };
    Line::new(level, "dataflows", format!("{} running, {failed} failed, {all} in all{hint}", answer.active()))
}

fn nodes(answer: &Answer) -> Line {
    let bad = |status| matches!(status, NodeStatus::Failed | NodeStatus::Degraded | NodeStatus::Restarting);
    let sick: Vec<&str> = answer
        .nodes
        .iter()
        .filter(|node| bad(node.state.status))
        .map(|node| node.state.node_id.as_str())
        .collect();
    let all = answer.nodes.len();
    if sick.is_empty() {
        return Line::new(Level::Pass, "nodes", format!("{all} in all, {all} healthy"));
    }
    let names = sick.join(", ");
    Line::new(
        Level::Warn,
        "nodes",
        format!("{all} in all, not healthy: {names}; `dora node list` shows them"),
    )
}

#[cfg(test)]
mod tests {
    use dora_protocol::control::{DaemonId, DaemonInfo};

    use super::*;
    use crate::{
        commands::{node::list_tests::node, select::tests::entry},
        error::CliError,
    };

    fn health(coordinator: Result<Answer, CliError>) -> Health {
        Health { address: "127.0.0.1:6013".parse().unwrap(), coordinator }
    }

    fn daemon(ago: u64) -> DaemonInfo {
        DaemonInfo {
            daemon_id: DaemonId { machine_id: Some("arm".into()), uuid: uuid::Uuid::from_u128(7) },
            labels: Default::default(),
            last_heartbeat_ago_ms: ago,
            ft_stats: None,
        }
    }

    #[test]
    fn a_coordinator_that_nobody_named_may_be_missing_and_a_named_one_may_not() {
        let missing = || health(Err(CliError::new("could not connect")));
        assert_eq!(lines(&missing(), false)[0].level, Level::Warn);
        let named = lines(&missing(), true);
        assert_eq!((named[0].level, named[0].detail.as_str()), (Level::Fail, "could not connect"));
    }

    #[test]
    fn daemons_dataflows_and_nodes_are_counted_and_what_is_wrong_is_named() {
        let mut answer = Answer {
            daemons: vec![daemon(730)],
            dataflows: vec![entry(1, None, DataflowStatus::Running)],
            nodes: vec![node("cam", NodeStatus::Running, None), node("planner", NodeStatus::Stopped, None)],
        };
        let found = lines(&health(Ok(answer.clone())), true);
        assert!(found.iter().all(|line| line.level == Level::Pass), "{found:?}");
        assert_eq!(
            found.iter().map(|line| line.check).collect::<Vec<_>>(),
            ["coordinator", "daemon", "dataflows", "nodes"]
        );
        answer.daemons = vec![daemon(20_000)];
        answer.dataflows.push(entry(2, None, DataflowStatus::Failed));
        answer.nodes.push(node("imu", NodeStatus::Degraded, None));
        let found = lines(&health(Ok(answer.clone())), true);
        assert!(found[1..].iter().all(|line| line.level == Level::Warn), "{found:?}");
        assert!(found[3].detail.contains("imu"), "{found:?}");
        answer.daemons.clear();
        assert_eq!(lines(&health(Ok(answer)), false)[1].level, Level::Fail);
    }
}
