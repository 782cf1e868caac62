//! The 64 bytes that travel for every message.

/// What a message is, apart from its bytes. One cache line with the ring's stamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// CLOCK_MONOTONIC nanoseconds at which it was sent.
    pub send_ns: u64,
    /// Hybrid logical clock, NTP64.
    pub hlc: u64,
    /// Number of the message on its output, from 0. Filled in by [`crate::Publisher::send`].
    pub seq: u64,
    /// Logical time, nanoseconds.
    pub tag_time: u64,
    /// Orders messages of the same logical time.
    pub microstep: u32,
    /// Type of the payload: a well-known number, or an index into the type table of the arena.
    pub type_id: u32,
    /// Bytes of payload. Filled in by [`crate::Publisher::send`].
    pub payload_len: u32,
    /// Bytes of metadata behind it. Filled in by [`crate::Publisher::send`].
    pub meta_len: u32,
    /// See [`flags`].
    pub flags: u32,
}

/// Bits of [`Header::flags`].
pub mod flags {
    /// Belongs to a request or goal: never dropped before an ordinary message.
    pub const CORRELATED: u32 = 1;
    /// Empties the queue it enters.
    pub const FLUSH: u32 = 2;
    /// The metadata starts with an Arrow layout record.
    pub const LAYOUT: u32 = 4;
    /// The metadata has parameters.
    pub const PARAMS: u32 = 8;
    /// The payload is an Arrow IPC stream.
    pub const ARROW_IPC: u32 = 16;
    /// The metadata has the type record: the type table was full.
    pub const INLINE_TYPE: u32 = 32;
}

/// The seven words behind the stamp of a ring entry.
pub type Words = [u64; 7];

/// Which of them says when it was sent.
pub(crate) const SEND_NS_WORD: usize = 3;

/// A small message: payload and metadata, in the second line of the entry.
pub type Line = [u64; LINE_WORDS];

/// Words of a [`Line`]. One in model tests, which go through every interleaving of every word.
pub const LINE_WORDS: usize = if cfg!(loom) { 1 } else { 8 };

/// In place of a slot number: the message is in the entry itself.
pub const INLINE: u32 = u32::MAX;

#[inline]
fn pair(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

#[inline]
fn split(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

impl Header {
    /// As it stands in the ring, with the slot that holds the bytes.
    #[inline]
    pub fn to_words(&self, slot: u32) -> Words {
        self.words_with(slot, (self.payload_len, self.meta_len), self.seq)
    }

    /// As [`to_words`](Self::to_words), with lengths and number of the message from elsewhere. Field by field: a copy of the
    /// whole header would wait for each of its parts to reach the cache.
    #[inline]
    pub(crate) fn words_with(&self, slot: u32, (payload_len, meta_len): (u32, u32), seq: u64) -> Words {
        [
            pair(slot, self.type_id),
            pair(payload_len, meta_len),
            pair(self.flags, self.microstep),
            self.send_ns,
            self.hlc,
            self.tag_time,
            seq,
        ]
    }

    /// Header and slot of an entry. Any bits give some header: the reader checks slot and lengths.
    #[inline]
    pub fn from_words(words: &Words) -> (Header, u32) {
        let (slot, type_id) = split(words[0]);
        let (payload_len, meta_len) = split(words[1]);
        let (flags, microstep) = split(words[2]);
        let [_, _, _, send_ns, hlc, tag_time, seq] = *words;
        (Header { send_ns, hlc, seq, tag_time, microstep, type_id, payload_len, meta_len, flags }, slot)
    }
}

/// Payload and metadata lengths of an entry without decoding the rest.
#[inline]
pub(crate) fn lens_of(words: &Words) -> (u32, u32) {
    split(words[1])
}

/// Forgets the lengths: the message is empty.
#[inline]
pub(crate) fn clear_lens(words: &mut Words) {
    words[1] = 0;
}

/// Flags of an entry without decoding the rest.
#[inline]
pub(crate) fn flags_of(words: &Words) -> u32 {
    words[2] as u32
}

/// Slot of an entry without decoding the rest.
#[inline]
pub(crate) fn slot_of(words: &Words) -> u32 {
    words[0] as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_survives_the_ring() {
        let header = Header {
            send_ns: 1,
            hlc: u64::MAX,
            seq: 3,
            tag_time: 4,
            microstep: 5,
            type_id: 6,
            payload_len: 7,
            meta_len: 8,
            flags: 9,
        };
        assert_eq!(Header::from_words(&header.to_words(42)), (header, 42));
    }
}
