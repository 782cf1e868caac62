//! What becomes of the connection to the coordinator, as the owner sees it: it comes, brings commands, is lost, or is refused.
//! Nothing of it changes a dataflow.

use std::time::Duration;

use dora_protocol::{
    daemon_link::{DaemonEvent, DaemonReply},
    log::LogLevel,
};
use tokio::sync::mpsc;

use super::{
    core::Host,
    link::{Failure, LinkEvent},
    options::HostError,
};

/// For the last words to a coordinator.
const FAREWELL: Duration = Duration::from_secs(2);
/// So many failed attempts to connect between two sentences about it.
const TOLD_EVERY: u32 = 30;

impl Host {
    pub(super) fn link_event(&mut self, event: LinkEvent) -> Result<(), HostError> {
        match event {
            LinkEvent::Up(outgoing) => {
                (self.was_up, self.up) = (true, Some(outgoing.connection));
                self.early.clear();
                self.options.say(
                    LogLevel::Info,
                    format!("connected to the coordinator at {}", self.options.coordinator),
                );
                self.collect(outgoing);
            }
            LinkEvent::Command { connection, request } => match self.link.clone() {
                Some(link) if link.connection == connection => self.command(link, *request),
                // Faster than our status report: it is carried out after that.
                None if self.up == Some(connection) => self.early.push(*request),
                // Of a connection that is gone.
                _ => {}
            },
            LinkEvent::Unknown { connection, id, error } => {
                self.options.say(LogLevel::Warn, error.clone());
                let link = self.link.iter().find(|link| link.connection == connection);
                if let Some((link, id)) = link.zip(id) {
                    link.answer(id, Err(error));
                }
            }
            LinkEvent::Accepted => {}
            LinkEvent::Down(why) => {
                (self.up, self.link) = (None, None);
                let text = format!(
                    "lost the coordinator: {why}; the dataflows go on, and so do the attempts to reach it"
                );
                self.options.say(LogLevel::Warn, text);
            }
            LinkEvent::Failed { failure, failures, pause } => {
                return self.not_connected(failure, failures, pause);
            }
        }
        Ok(())
    }

    fn not_connected(&self, failure: Failure, failures: u32, pause: Duration) -> Result<(), HostError> {
        let address = self.options.coordinator;
        match failure {
            Failure::Refused(reason) if !self.was_up && self.flows.is_empty() => {
                return Err(HostError::Refused { address, reason });
            }
            Failure::Refused(why) | Failure::Unreachable(why) if failures % TOLD_EVERY == 1 => {
                let text = format!(
                    "no connection to a coordinator at {address}: {why}; next attempt in {pause:.1?}"
                );
                self.options.say(LogLevel::Warn, text);
            }
            Failure::Refused(_) | Failure::Unreachable(_) => {}
        }
        Ok(())
    }

    /// Tells the coordinator the last results, and that this daemon goes; waits a moment until it was said.
    pub(super) async fn farewell(&mut self, mut from_link: mpsc::UnboundedReceiver<LinkEvent>) {
        let Some(link) = self.link.take() else { return };
        let words = async {
            // What is taken from there is sent before anything that is said after.
            while !self.logs.is_empty() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            if let Some((asked_on, id)) = self.ending.take().flatten() {
                asked_on.answer(id, Ok(DaemonReply::Done));
            }
            link.event(DaemonEvent::Exit);
            drop(link);
            while let Some(event) = from_link.recv().await {
                if matches!(event, LinkEvent::Down(_)) {
                    return;
                }
            }
        };
        // The coordinator notices the end of the connection, too.
        drop(tokio::time::timeout(FAREWELL, words).await);
    }
}
