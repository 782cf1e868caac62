//! Waiting for the reply to a request or a goal, without losing what else happens.

use std::time::{Duration, Instant};

use dora_protocol::{
    NodeId,
    metadata::{
        GOAL_ID, GOAL_STATUS, GOAL_STATUS_ABORTED, GOAL_STATUS_CANCELED, GOAL_STATUS_SUCCEEDED, REQUEST_ID,
        get_string_param,
    },
};

use crate::{Event, EventStream, PatternError};

/// Waits without a limit are cut off here: 100 years.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 86_400);

fn is_response(event: &Event, request_id: &str) -> bool {
    matches!(event, Event::Input { metadata, .. }
        if get_string_param(&metadata.parameters, REQUEST_ID) == Some(request_id))
}

fn is_result(event: &Event, goal_id: &str) -> bool {
    let Event::Input { metadata, .. } = event else { return false };
    let status = get_string_param(&metadata.parameters, GOAL_STATUS);
    get_string_param(&metadata.parameters, GOAL_ID) == Some(goal_id)
        && matches!(status, Some(GOAL_STATUS_SUCCEEDED | GOAL_STATUS_ABORTED | GOAL_STATUS_CANCELED))
}

impl EventStream {
    /// Waits for the response to a request. Everything else that happens meanwhile comes later, in order.
    ///
    /// # Errors
    /// See [`PatternError`]. A response that comes after that is an ordinary input.
    pub async fn recv_service_response(
        &mut self,
        request_id: &str,
        expected_server: &NodeId,
        timeout: Duration,
    ) -> Result<Event, PatternError> {
        self.wait_for(|event| is_response(event, request_id), expected_server, timeout).await
    }

    /// Waits for the final result of a goal. Feedback and everything else that happens meanwhile comes later,
    /// in order.
    ///
    /// # Errors
    /// See [`PatternError`]. A result that comes after that is an ordinary input.
    pub async fn recv_action_result(
        &mut self,
        goal_id: &str,
        expected_server: &NodeId,
        timeout: Duration,
    ) -> Result<Event, PatternError> {
        self.wait_for(|event| is_result(event, goal_id), expected_server, timeout).await
    }

    async fn wait_for(
        &mut self,
        is_reply: impl Fn(&Event) -> bool,
        server: &NodeId,
        timeout: Duration,
    ) -> Result<Event, PatternError> {
        let kept = self.kept.iter().position(&is_reply);
        if let Some(reply) = kept.and_then(|at| self.kept.remove(at)) {
            return Ok(reply);
        }
        let deadline = Instant::now() + timeout.min(FOREVER);
        loop {
            let Some(event) = self.new_before(deadline).await else { return Err(PatternError::Timeout) };
            let Some(event) = event else { return Err(PatternError::StreamEnded) };
            if is_reply(&event) {
                return Ok(event);
            }
            let end = match event {
                Event::Error(text) => return Err(PatternError::StreamError(text)),
                Event::Stop(_) => Some(PatternError::StreamEnded),
                Event::NodeRestarted { ref id } if id == server => {
                    Some(PatternError::ServerRestarted(id.to_string()))
                }
                ref other if self.inputs.ends(other, server) => {
                    Some(PatternError::ServerGone(server.to_string()))
                }
                _ => None,
            };
            self.kept.push_back(event);
            if let Some(end) = end {
                return Err(end);
            }
        }
    }
}
