//! Parameters that travel with a message: a sorted map from names to a few plain types, and its bytes.
//!
//! ```text
//! map        count  { key  value }*          nothing at all for an empty map
//! key        length  UTF-8 bytes             keys strictly ascending, so equal maps have equal bytes
//! value      tag u8, then by tag:
//!              bool       one byte, 0 or 1       float      8 bytes, little endian
//!              integer    zigzag varint          string     length  UTF-8 bytes
//!              list       count  { item }*       timestamp  seconds zigzag  nanoseconds
//! ```
//!
//! Counts, lengths and nanoseconds are LEB128 varints. The bytes come from another process: every number is
//! checked against what is left before it is used, and nothing is reserved beyond a small multiple of the input.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The value of one parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Parameter {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Text.
    String(String),
    /// Whole numbers.
    ListInt(Vec<i64>),
    /// A number.
    Float(f64),
    /// Numbers.
    ListFloat(Vec<f64>),
    /// Texts.
    ListString(Vec<String>),
    /// A point in time, to the nanosecond.
    Timestamp(DateTime<Utc>),
}

/// The parameters of one message, sorted by name.
pub type MetadataParameters = BTreeMap<String, Parameter>;

/// Names a request, and the response that belongs to it.
pub const REQUEST_ID: &str = "request_id";
/// Names a goal of an action, its feedback and its result.
pub const GOAL_ID: &str = "goal_id";
/// How a goal ended: one of the `GOAL_STATUS_…` values.
pub const GOAL_STATUS: &str = "goal_status";
/// The goal was reached.
pub const GOAL_STATUS_SUCCEEDED: &str = "succeeded";
/// The server gave the goal up.
pub const GOAL_STATUS_ABORTED: &str = "aborted";
/// The client took the goal back.
pub const GOAL_STATUS_CANCELED: &str = "canceled";
/// Names a stream of segments.
pub const SESSION_ID: &str = "session_id";
/// Number of a segment inside its session.
pub const SEGMENT_ID: &str = "segment_id";
/// Number of a chunk inside its segment.
pub const SEQ: &str = "seq";
/// True on the last chunk of a segment.
pub const FIN: &str = "fin";
/// True where older queued messages of the input are to be thrown away.
pub const FLUSH: &str = "flush";
/// The trace context of the sender, as text.
pub const OPEN_TELEMETRY_CONTEXT: &str = "open_telemetry_context";

/// The text under `key`; `None` when it is missing or something else.
pub fn get_string_param<'a>(params: &'a MetadataParameters, key: &str) -> Option<&'a str> {
    match params.get(key) {
        Some(Parameter::String(text)) => Some(text),
        _ => None,
    }
}

/// The whole number under `key`; `None` when it is missing or something else.
pub fn get_integer_param(params: &MetadataParameters, key: &str) -> Option<i64> {
    match params.get(key) {
        Some(Parameter::Integer(number)) => Some(*number),
        _ => None,
    }
}

/// The truth value under `key`; `None` when it is missing or something else.
pub fn get_bool_param(params: &MetadataParameters, key: &str) -> Option<bool> {
    match params.get(key) {
        Some(Parameter::Bool(truth)) => Some(*truth),
        _ => None,
    }
}

/// Whether the message belongs to a request or a goal: queues keep such messages and type checks skip them.
pub fn is_correlated(params: &MetadataParameters) -> bool {
    [REQUEST_ID, GOAL_ID, GOAL_STATUS].iter().any(|key| params.contains_key(*key))
}

/// Whether the message asks to throw away what is queued before it.
pub fn is_flush(params: &MetadataParameters) -> bool {
    get_bool_param(params, FLUSH) == Some(true)
}

/// Removes the keys that are reserved for dora itself: those that start with `_`.
pub fn strip_reserved(params: &mut MetadataParameters) {
    params.retain(|key, _| !key.starts_with('_'));
}

/// Why bytes are not a map of parameters, or a map did not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// The buffer to write to is smaller than [`encoded_len`].
    #[error("the parameters need {needed} bytes, but the buffer has {available}")]
    TooSmall {
        /// What [`encoded_len`] says.
        needed: usize,
        /// Length of the buffer.
        available: usize,
    },
    /// The bytes end in the middle of a parameter.
    #[error("the parameters are cut off after {at} bytes")]
    Truncated {
        /// Where more was expected.
        at: usize,
    },
    /// The bytes at this place cannot be what they should be.
    #[error("the parameters hold an invalid {what} at byte {at}")]
    Invalid {
        /// What was expected there.
        what: &'static str,
        /// Where it was expected.
        at: usize,
    },
}

const BOOL: u8 = 0;
const INTEGER: u8 = 1;
const FLOAT: u8 = 2;
const STRING: u8 = 3;
const LIST_INT: u8 = 4;
const LIST_FLOAT: u8 = 5;
const LIST_STRING: u8 = 6;
const TIMESTAMP: u8 = 7;

/// Bytes that [`encode_into`] will write; 0 for an empty map.
pub fn encoded_len(params: &MetadataParameters) -> usize {
    let mut counter = Counter(0);
    encode(params, &mut counter);
    counter.0
}

/// Writes the map to the front of `out` and returns how many bytes it took.
///
/// # Errors
/// [`MetadataError::TooSmall`] when `out` is shorter than [`encoded_len`]. Nothing is written then.
///
/// # Real time
/// Two passes over the map, no allocation.
pub fn encode_into(params: &MetadataParameters, out: &mut [u8]) -> Result<usize, MetadataError> {
    let needed = encoded_len(params);
    let available = out.len();
    let Some(out) = out.get_mut(..needed) else {
        return Err(MetadataError::TooSmall { needed, available });
    };
    encode(params, &mut Cursor { out, at: 0 });
    Ok(needed)
}

/// Reads a map that fills all of `bytes`.
///
/// # Errors
/// When `bytes` is anything that [`encode_into`] would not have written: cut off, unknown tags, text that is not
/// UTF-8, keys out of order, bytes left over.
pub fn decode(bytes: &[u8]) -> Result<MetadataParameters, MetadataError> {
    let mut params = MetadataParameters::new();
    if bytes.is_empty() {
        return Ok(params);
    }
    let mut reader = Reader { bytes, at: 0 };
    for _ in 0..reader.varint("count")? {
        let at = reader.at;
        let key = reader.text()?;
        if params.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return Err(MetadataError::Invalid { what: "order of keys", at });
        }
        let value = reader.value()?;
        params.insert(key, value);
    }
    if reader.at != bytes.len() {
        return Err(MetadataError::Invalid { what: "end", at: reader.at });
    }
    Ok(params)
}

/// Where encoded bytes go: into a count, then into a buffer of that size.
trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

struct Counter(usize);

impl Sink for Counter {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

struct Cursor<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Sink for Cursor<'_> {
    fn put(&mut self, bytes: &[u8]) {
        // In bounds: `encode_into` made the buffer as long as the same map counted.
        self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }
}

fn encode(params: &MetadataParameters, sink: &mut impl Sink) {
    if params.is_empty() {
        return;
    }
    varint(sink, params.len() as u64);
    for (key, value) in params {
        text(sink, key);
        encode_value(sink, value);
    }
}

fn encode_value(sink: &mut impl Sink, value: &Parameter) {
    match value {
        Parameter::Bool(truth) => sink.put(&[BOOL, u8::from(*truth)]),
        Parameter::Integer(number) => {
            sink.put(&[INTEGER]);
            varint(sink, zigzag(*number));
        }
        Parameter::Float(number) => {
            sink.put(&[FLOAT]);
            sink.put(&number.to_le_bytes());
        }
        Parameter::String(string) => {
            sink.put(&[STRING]);
            text(sink, string);
        }
        Parameter::ListInt(list) => {
            list_head(sink, LIST_INT, list.len());
            list.iter().for_each(|number| varint(sink, zigzag(*number)));
        }
        Parameter::ListFloat(list) => {
            list_head(sink, LIST_FLOAT, list.len());
            list.iter().for_each(|number| sink.put(&number.to_le_bytes()));
        }
        Parameter::ListString(list) => {
            list_head(sink, LIST_STRING, list.len());
            list.iter().for_each(|string| text(sink, string));
        }
        Parameter::Timestamp(time) => {
            sink.put(&[TIMESTAMP]);
            varint(sink, zigzag(time.timestamp()));
            varint(sink, u64::from(time.timestamp_subsec_nanos()));
        }
    }
}

fn list_head(sink: &mut impl Sink, tag: u8, len: usize) {
    sink.put(&[tag]);
    varint(sink, len as u64);
}

fn text(sink: &mut impl Sink, text: &str) {
    varint(sink, text.len() as u64);
    sink.put(text.as_bytes());
}

fn varint(sink: &mut impl Sink, mut number: u64) {
    while number >= 0x80 {
        sink.put(&[number as u8 | 0x80]);
        number >>= 7;
    }
    sink.put(&[number as u8]);
}

/// Small numbers of either sign become small numbers without one.
fn zigzag(number: i64) -> u64 {
    (number.wrapping_shl(1) ^ (number >> 63)) as u64
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], MetadataError> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..len).ok_or(MetadataError::Truncated { at: self.at })?;
        self.at += len;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, MetadataError> {
        Ok(self.take(1)?[0])
    }

    fn varint(&mut self, what: &'static str) -> Result<u64, MetadataError> {
        let at = self.at;
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            // The tenth byte has room for one bit only.
            if shift == 63 && byte > 1 {
                break;
            }
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(MetadataError::Invalid { what, at })
    }

    /// A count of things that take at least `each` bytes, refused when they cannot all be there.
    fn count(&mut self, each: usize) -> Result<usize, MetadataError> {
        let count = self.varint("count")?;
        let room = (self.bytes.len() - self.at) / each;
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= room)
            .ok_or(MetadataError::Truncated { at: self.at })
    }

    fn text(&mut self) -> Result<String, MetadataError> {
        let len = self.count(1)?;
        let at = self.at;
        let text = std::str::from_utf8(self.take(len)?);
        text.map(str::to_owned).map_err(|_| MetadataError::Invalid { what: "text", at })
    }

    fn integer(&mut self) -> Result<i64, MetadataError> {
        self.varint("integer").map(unzigzag)
    }

    fn float(&mut self) -> Result<f64, MetadataError> {
        let at = self.at;
        let bytes = self.take(8)?.try_into().map_err(|_| MetadataError::Truncated { at })?;
        Ok(f64::from_le_bytes(bytes))
    }

    fn list<T>(
        &mut self,
        each: usize,
        item: impl Fn(&mut Self) -> Result<T, MetadataError>,
    ) -> Result<Vec<T>, MetadataError> {
        let count = self.count(each)?;
        (0..count).map(|_| item(self)).collect()
    }

    fn value(&mut self) -> Result<Parameter, MetadataError> {
        let at = self.at;
        Ok(match self.byte()? {
            BOOL => match self.byte()? {
                0 => Parameter::Bool(false),
                1 => Parameter::Bool(true),
                _ => return Err(MetadataError::Invalid { what: "bool", at }),
            },
            INTEGER => Parameter::Integer(self.integer()?),
            FLOAT => Parameter::Float(self.float()?),
            STRING => Parameter::String(self.text()?),
            LIST_INT => Parameter::ListInt(self.list(1, Self::integer)?),
            LIST_FLOAT => Parameter::ListFloat(self.list(8, Self::float)?),
            LIST_STRING => Parameter::ListString(self.list(1, Self::text)?),
            TIMESTAMP => {
                let seconds = self.integer()?;
                let nanos = u32::try_from(self.varint("timestamp")?).ok();
                let time = nanos.and_then(|nanos| DateTime::from_timestamp(seconds, nanos));
                Parameter::Timestamp(time.ok_or(MetadataError::Invalid { what: "timestamp", at })?)
            }
            _ => return Err(MetadataError::Invalid { what: "type of value", at }),
        })
    }
}
