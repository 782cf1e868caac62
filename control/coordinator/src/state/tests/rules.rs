//! Single rules that time decides.

use dora_protocol::control::{ControlReply, ControlRequest, DataflowStatus};

use std::time::Duration;

use dora_protocol::{
    control::{DORA_VERSION, FtStats},
    daemon_link::{DaemonCommand, DaemonEvent, Register},
};
use uuid::Uuid;

use super::{
    super::{Effect, Input, Limits, LinkId, Now, State},
    Step,
    sim::{Sim, launch},
};

fn started(steps: &[Step]) -> Sim {
    let mut sim = Sim::new();
    let waiter = sim.waiter();
    sim.input(Input::Start(waiter, Box::new(launch(Some("arm")))));
    for step in [Step::Work, Step::Deliver, Step::Ready(0), Step::Deliver].iter().chain(steps) {
        sim.step(step);
    }
    sim
}

fn status(sim: &Sim) -> DataflowStatus {
    sim.state.flows.values().next().unwrap().status
}

fn error(sim: &Sim) -> String {
    let flow = sim.state.flows.values().next().unwrap();
    flow.result.as_ref().and_then(|result| result.error.clone()).unwrap_or_default()
}

#[test]
fn a_daemon_that_is_gone_for_less_than_thirty_seconds_keeps_its_dataflows() {
    let sim = started(&[Step::BreakLink, Step::Seconds(29)]);
    assert_eq!(status(&sim), DataflowStatus::Running);
    let mut sim = started(&[Step::BreakLink, Step::Seconds(31)]);
    assert_eq!(status(&sim), DataflowStatus::Failed);
    assert!(error(&sim).contains("has not come back"), "{}", error(&sim));
    // Late, but it knows better.
    sim.step(&Step::Connect);
    assert_eq!(status(&sim), DataflowStatus::Running);
}

#[test]
fn after_a_restart_a_daemon_has_sixty_seconds_to_report() {
    let sim = started(&[Step::CoordinatorKilled { store: true }, Step::Seconds(59)]);
    assert_eq!(status(&sim), DataflowStatus::Recovering);
    let mut sim = started(&[Step::CoordinatorKilled { store: true }, Step::Seconds(61)]);
    assert_eq!(status(&sim), DataflowStatus::Failed);
    assert!(error(&sim).starts_with("coordinator restarted"), "{}", error(&sim));
    sim.step(&Step::Connect);
    assert_eq!(status(&sim), DataflowStatus::Running, "a daemon that reports late is believed");
}

#[test]
fn nodes_that_died_with_their_daemon_while_the_coordinator_was_away_are_not_started_again() {
    let steps = [Step::CoordinatorKilled { store: true }, Step::DaemonKilled, Step::Connect];
    let sim = started(&steps);
    assert_eq!(status(&sim), DataflowStatus::Failed);
    assert!(error(&sim).contains("the daemon as well"), "{}", error(&sim));
}

#[test]
fn a_dataflow_that_is_not_ready_in_time_is_stopped_and_says_how_long_it_had() {
    let mut sim = Sim::new();
    let waiter = sim.waiter();
    sim.input(Input::Start(waiter, Box::new(launch(None))));
    for step in [Step::Work, Step::Deliver, Step::Seconds(301)] {
        sim.step(&step);
    }
    assert_eq!(status(&sim), DataflowStatus::Stopping);
    for step in [Step::Work, Step::Deliver, Step::Deliver] {
        sim.step(&step);
    }
    assert_eq!(status(&sim), DataflowStatus::Failed);
    assert!(
        error(&sim).contains("300s") && error(&sim).contains("DORA_SPAWN_RESULT_TIMEOUT_SECS"),
        "{}",
        error(&sim)
    );
}

#[test]
fn a_stop_that_takes_too_long_is_answered_and_goes_on() {
    let mut sim = started(&[]);
    sim.make_stubborn();
    for step in [Step::Stop(0), Step::Work, Step::Deliver, Step::Seconds(50)] {
        sim.step(&step);
    }
    let (_, last) = sim.replies.last().unwrap();
    assert!(last.as_ref().is_err_and(|error| error.contains("--force")), "{last:?}");
    assert_eq!(status(&sim), DataflowStatus::Stopping);
    for step in [Step::End(0, false), Step::Deliver] {
        sim.step(&step);
    }
    assert_eq!(status(&sim), DataflowStatus::Finished);
}

#[test]
fn a_stop_that_the_daemon_does_not_even_answer_is_answered_here() {
    let sim = started(&[Step::Stop(0), Step::Seconds(31)]);
    let (_, last) = sim.replies.last().unwrap();
    assert!(last.as_ref().is_err_and(|error| error.contains("did not answer in time")), "{last:?}");
}

#[test]
fn a_change_that_the_daemon_confirms_late_is_kept_all_the_same() {
    let mut sim = started(&[Step::AddNode(0)]);
    sim.seconds(200);
    let (_, last) = sim.replies.last().unwrap();
    assert!(last.as_ref().is_err_and(|error| error.contains("did not answer in time")), "{last:?}");
    sim.step(&Step::Work);
    sim.step(&Step::Deliver);
    assert_eq!(sim.state.flows.values().next().unwrap().node_ids.len(), 3);
    sim.settle();
    sim.check();
}

#[test]
fn a_silent_daemon_is_given_up_although_its_connection_looks_alive() {
    let mut sim = started(&[]);
    for _ in 0..31 {
        sim.now.mono += std::time::Duration::from_secs(1);
        sim.input(Input::Tick);
    }
    assert_eq!(status(&sim), DataflowStatus::Failed);
    assert!(sim.state.daemons.is_empty());
}

#[test]
fn destroy_does_not_wait_for_ever_for_a_daemon_that_does_not_answer() {
    let mut sim = started(&[]);
    sim.ask(ControlRequest::WaitForFinish { dataflow_id: *sim.state.flows.keys().next().unwrap() });
    sim.ask(ControlRequest::Destroy);
    sim.seconds(9);
    assert!(!matches!(sim.replies.last().unwrap().1, Ok(ControlReply::DestroyOk)));
    sim.seconds(2);
    assert!(matches!(sim.replies.last().unwrap().1, Ok(ControlReply::DestroyOk)));
    assert!(error(&sim).contains("dora down"));
    sim.check_answers();
}

#[test]
fn nothing_is_waited_for_when_there_is_nothing_to_wait_for() {
    let state = State::new(Limits { spawn_result: None }, Now::default(), Vec::new());
    assert_eq!(state.next_deadline(), None);
}

/// A state with daemons on links 1 and 2, and what each of them was sent in `seconds`; daemon 2 says nothing.
fn sent(seconds: u64) -> Vec<(LinkId, DaemonCommand)> {
    let mut state = State::new(Limits { spawn_result: None }, Now::default(), Vec::new());
    let mut sent = Vec::new();
    let mut now = Now::default();
    for link in [1, 2] {
        let register = Register {
            dora_version: DORA_VERSION.into(),
            instance: Uuid::from_u128(link.into()),
            machine_id: Some(format!("m{link}")),
            labels: Default::default(),
        };
        state.handle(now, Input::Register { link, id: Uuid::nil(), address: None, register });
    }
    let first = state.daemons[&1].id.clone();
    for _ in 0..seconds {
        now.mono += Duration::from_secs(1);
        let event = DaemonEvent::Heartbeat { ft_stats: FtStats::default() };
        state.handle(now, Input::Event { link: 1, id: Uuid::nil(), daemon: Some(first.clone()), event });
        sent.extend(state.effects().into_iter().filter_map(|effect| match effect {
            Effect::Command { link, command, .. } => Some((link, command)),
            _ => None,
        }));
    }
    sent
}

#[test]
fn every_daemon_is_sent_a_heartbeat_every_three_seconds() {
    for link in [1, 2] {
        let beat = |(to, command): &(LinkId, DaemonCommand)| {
            *to == link && matches!(command, DaemonCommand::Heartbeat)
        };
        let sent = sent(24);
        let beats = sent.iter().filter(|command| beat(command)).count();
        // The first one may have had one at once.
        assert!(beats == 8 || (link == 1 && beats == 9), "{link}: {sent:?}");
    }
}

#[test]
fn the_others_hear_of_a_daemon_that_was_silent_for_thirty_seconds_once() {
    let told = |seconds| {
        let gone = sent(seconds).into_iter().filter_map(|(link, command)| match command {
            DaemonCommand::PeerDaemonDisconnected { daemon_id } => Some((link, daemon_id.machine_id)),
            _ => None,
        });
        gone.collect::<Vec<_>>()
    };
    assert_eq!(told(29), []);
    assert_eq!(told(90), [(1, Some("m2".to_owned()))]);
}
