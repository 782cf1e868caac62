//! Requests, goals and streams: conventions about parameters, see [`crate::metadata`].

use dora_protocol::DataId;
use dora_protocol::metadata::{
    FIN, FLUSH, MetadataParameters, Parameter, REQUEST_ID, SEGMENT_ID, SEQ, SESSION_ID,
};
use uuid::Uuid;

use crate::{DoraNode, IntoArrow, NodeResult};

/// Stamps the chunks of a stream: session, segment, number in the segment, and whether it is the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSegment {
    session_id: String,
    segment_id: i64,
    seq: i64,
}

impl StreamSegment {
    /// A new session with a random name, at segment 0.
    pub fn new() -> Self {
        Self::with_session_id(Uuid::new_v4().to_string())
    }

    /// A session of this name, at segment 0.
    pub fn with_session_id(session_id: String) -> Self {
        Self { session_id, segment_id: 0, seq: 0 }
    }

    /// Goes to the next segment and returns its number.
    pub fn next_segment(&mut self) -> i64 {
        self.segment_id += 1;
        self.seq = 0;
        self.segment_id
    }

    /// Parameters of the next chunk; `fin` says that it is the last of its segment.
    pub fn chunk(&mut self, fin: bool) -> MetadataParameters {
        let params = MetadataParameters::from([
            (SESSION_ID.to_owned(), Parameter::String(self.session_id.clone())),
            (SEGMENT_ID.to_owned(), Parameter::Integer(self.segment_id)),
            (SEQ.to_owned(), Parameter::Integer(self.seq)),
            (FIN.to_owned(), Parameter::Bool(fin)),
        ]);
        self.seq += 1;
        params
    }

    /// Breaks the segment off: parameters of the first chunk of the next one, which makes readers throw away what
    /// they have queued.
    pub fn flush(&mut self) -> MetadataParameters {
        self.next_segment();
        let mut params = self.chunk(false);
        params.insert(FLUSH.to_owned(), Parameter::Bool(true));
        params
    }

    /// Name of the session.
    pub fn session_id(&self) -> &str {
        &self.session_id
    }

    /// Number of the segment.
    pub fn segment_id(&self) -> i64 {
        self.segment_id
    }

    /// Number that the next chunk gets.
    pub fn seq(&self) -> i64 {
        self.seq
    }
}

impl Default for StreamSegment {
    fn default() -> Self {
        Self::new()
    }
}

impl DoraNode {
    /// A name for a request: a UUID of version 7, later ones sort later.
    pub fn new_request_id() -> String {
        Uuid::now_v7().to_string()
    }

    /// A name for a goal: a UUID of version 7, later ones sort later.
    pub fn new_goal_id() -> String {
        Self::new_request_id()
    }

    /// Sends a request and returns its name, which the response will carry as `request_id`. A `request_id` among the
    /// parameters is replaced, with a warning.
    ///
    /// # Errors
    /// Those of [`DoraNode::send_output`].
    pub fn send_service_request(
        &mut self,
        output_id: DataId,
        mut parameters: MetadataParameters,
        data: impl IntoArrow,
    ) -> NodeResult<String> {
        let request_id = Self::new_request_id();
        let replaced = parameters.insert(REQUEST_ID.to_owned(), Parameter::String(request_id.clone()));
        if replaced.is_some() {
            let what =
                format!("the `{REQUEST_ID}` given for output `{output_id}` was replaced by `{request_id}`");
            super::log::warn(self.id().as_str(), &what);
        }
        self.send_output(output_id, parameters, data)?;
        Ok(request_id)
    }

    /// Sends the response to a request: pass on the parameters of the request, which name it.
    ///
    /// # Errors
    /// Those of [`DoraNode::send_output`].
    pub fn send_service_response(
        &mut self,
        output_id: DataId,
        parameters: MetadataParameters,
        data: impl IntoArrow,
    ) -> NodeResult<()> {
        self.send_output(output_id, parameters, data)
    }

    /// Sends the next chunk of a stream; `fin` says that it is the last of its segment.
    ///
    /// # Errors
    /// Those of [`DoraNode::send_output`].
    pub fn send_stream_chunk(
        &mut self,
        output_id: DataId,
        segment: &mut StreamSegment,
        fin: bool,
        data: impl IntoArrow,
    ) -> NodeResult<()> {
        let parameters = segment.chunk(fin);
        self.send_output(output_id, parameters, data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dora_protocol::metadata::{get_bool_param, get_integer_param, get_string_param};

    #[test]
    fn chunks_are_numbered_inside_their_segment() {
        let mut segment = StreamSegment::with_session_id("s".into());
        let first = segment.chunk(false);
        let last = segment.chunk(true);
        assert_eq!(get_string_param(&first, SESSION_ID), Some("s"));
        assert_eq!((get_integer_param(&first, SEQ), get_integer_param(&last, SEQ)), (Some(0), Some(1)));
        assert_eq!((get_bool_param(&first, FIN), get_bool_param(&last, FIN)), (Some(false), Some(true)));
        assert_eq!((segment.next_segment(), segment.seq()), (1, 0));
        assert_eq!(get_integer_param(&segment.chunk(false), SEGMENT_ID), Some(1));
    }

    #[test]
    fn flush_opens_the_next_segment_with_its_first_chunk() {
        let mut segment = StreamSegment::new();
        segment.chunk(false);
        let flush = segment.flush();
        assert_eq!(
            (get_integer_param(&flush, SEGMENT_ID), get_integer_param(&flush, SEQ)),
            (Some(1), Some(0))
        );
        assert_eq!((get_bool_param(&flush, FLUSH), get_bool_param(&flush, FIN)), (Some(true), Some(false)));
        assert_eq!((segment.segment_id(), segment.seq()), (1, 1));
    }

    #[test]
    fn sessions_have_names_of_their_own() {
        assert_ne!(StreamSegment::new().session_id(), StreamSegment::new().session_id());
    }

    #[test]
    fn later_requests_sort_later() {
        let ids: Vec<_> = (0..100).map(|_| DoraNode::new_request_id()).collect();
        assert!(ids.is_sorted());
        assert_eq!(Uuid::parse_str(&ids[0]).unwrap().get_version_num(), 7);
        assert_ne!(DoraNode::new_goal_id(), DoraNode::new_goal_id());
    }
}
