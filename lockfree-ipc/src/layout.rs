//! Every offset and size of the shared segments. Twin of `docs/shm-layout.md`; numbers are `u64`, never `usize`.
//!
//! Everything is little-endian and naturally aligned. A segment starts with a prefix of 16 bytes: magic, kind,
//! version. Lines that different processes write stand 128 bytes apart, because x86 fetches lines in pairs.

/// Version of all layouts. Raised with every change of this file.
pub const VERSION: u32 = 4;
/// First eight bytes of every segment: `dorashm\n`.
pub const MAGIC: u64 = u64::from_le_bytes(*b"dorashm\n");

/// What a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// Slots of one output.
    Arena = 1,
    /// Ring, return set and bell of one reader of one output.
    Edge = 2,
    /// What one node sleeps on.
    Doorbell = 3,
    /// Counters of one node.
    Status = 4,
    /// When the messages of an output that starts a chain were sent.
    Origins = 5,
}

impl Kind {
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Kind::Arena => "an arena",
            Kind::Edge => "an edge",
            Kind::Doorbell => "a doorbell",
            Kind::Status => "a status page",
            Kind::Origins => "the origins of a chain",
        }
    }
}

/// Offset of the magic (u64), in every segment.
pub const PREFIX_MAGIC: u64 = 0;
/// Offset of the kind (u32).
pub const PREFIX_KIND: u64 = 8;
/// Offset of the version (u32).
pub const PREFIX_VERSION: u64 = 12;

/// Edge segment.
pub mod edge {
    /// Storage of the ring: entries, a power of two (u32).
    pub const CAPACITY: u64 = 16;
    /// Messages before the policy acts (u32).
    pub const LIMIT: u64 = 20;
    /// 0 = drop_oldest, 1 = backpressure (u32).
    pub const POLICY: u64 = 24;
    /// Words of the return set (u32).
    pub const RETURN_WORDS: u64 = 28;

    /// Next position to write (u64). Line of the sender.
    pub const TAIL: u64 = 128;
    /// Messages the sender overwrote (u64).
    pub const OVERWRITTEN: u64 = 136;
    /// Messages the sender moved behind others to keep them (u64).
    pub const REQUEUED: u64 = 144;
    /// Messages dropped by a flush, or taken back from a reader that was disconnected (u64).
    pub const FLUSHED: u64 = 152;
    /// Slots that the reader gave back without having them (u64).
    pub const REFUSED: u64 = 160;
    /// 1 when the sender has heard that the reader leaves, and sends no more (u64).
    pub const LEFT: u64 = 168;

    /// Next position to read (u64). Both sides compare-exchange it.
    pub const HEAD: u64 = 256;
    /// Messages taken (u64). Line of the reader.
    pub const TAKEN: u64 = 384;
    /// Messages the reader skipped because more than `LIMIT` were queued (u64).
    pub const SKIPPED: u64 = 392;
    /// 1 when the reader reads no more, although its process may hold messages (u64).
    pub const DONE: u64 = 400;

    /// Position that `HEAD` must reach before the waiting sender is woken, 0 = nobody waits (u64). Line of the sender.
    pub const SPACE_WANTED: u64 = 512;
    /// Futex word of that sender (u32).
    pub const SPACE_BELL: u64 = 640;

    /// Start of the return set: one bit per slot of the arena (u64 words).
    pub const RETURNS: u64 = 768;

    /// Bytes of one ring entry: a line of header, a line for a small message.
    pub const ENTRY: u64 = 128;
    /// Bytes of payload and metadata that ride in the entry itself.
    pub const INLINE: u64 = 64;

    /// Offset of the ring entries.
    pub const fn entries(return_words: u64) -> u64 {
        (RETURNS + return_words * 8).next_multiple_of(128)
    }

    /// Size of the whole segment.
    pub const fn size(capacity: u64, return_words: u64) -> u64 {
        entries(return_words) + capacity * ENTRY
    }
}

/// Arena segment.
pub mod arena {
    /// Slots that may be in use at once (u32).
    pub const OUTSTANDING: u64 = 16;
    /// Slots of the planned size to pre-fault (u32).
    pub const PLANNED_SLOTS: u64 = 20;
    /// Declared largest message in bytes, 0 = none declared (u64).
    pub const PLANNED_BYTES: u64 = 24;
    /// Identity of the sender's hybrid logical clock (2 × u64).
    pub const HLC_ID: u64 = 32;
    /// Records in the type table (u32). Written with Release after the record.
    pub const TYPE_COUNT: u64 = 64;
    /// Directory of the type table: offset (u32, from the arena's start) and length (u32) per record, as one u64.
    pub const TYPE_DIR: u64 = 128;
    /// Most records.
    pub const TYPE_MAX: u64 = 256;
    /// Bytes of the records.
    pub const TYPE_DATA: u64 = TYPE_DIR + TYPE_MAX * 8;
    /// End of the type table.
    pub const TYPE_END: u64 = 64 << 10;
    /// First slot.
    pub const SLOTS: u64 = TYPE_END;

    /// Smallest slot: 64 bytes.
    pub const MIN_SHIFT: u32 = 6;
    /// Largest slot: 1 GiB (8 MiB where addresses have 32 bits).
    pub const MAX_SHIFT: u32 = if cfg!(target_pointer_width = "64") { 30 } else { 23 };
    /// Address space of one size class.
    pub const CLASS_BUDGET: u64 = if cfg!(target_pointer_width = "64") { 4 << 30 } else { 8 << 20 };
    /// Number of size classes.
    pub const CLASSES: usize = (MAX_SHIFT - MIN_SHIFT + 1) as usize;
}

/// Doorbell segment.
pub mod doorbell {
    /// 0 = awake, 1 = parked on this futex, 2 = wants its eventfd written (u32).
    pub const WORD: u64 = 128;
    /// Size.
    pub const SIZE: u64 = 256;
}

/// Status page.
pub mod status {
    /// Number of inputs that the descriptor declares (u32).
    pub const INPUTS: u64 = 16;
    /// Number of outputs (u32).
    pub const OUTPUTS: u64 = 20;
    /// Number of chains that end at the node (u32).
    pub const CHAINS: u64 = 24;
    /// Number of spare inputs (u32).
    pub const SPARE: u64 = 28;
    /// What the node is doing: `since_ns << 2 | state` (u64); 0 starting, 1 waiting, 2 in its handler, 3 done.
    pub const ACTIVITY: u64 = 128;
    /// Last sign of life within a handler, such as a send: CLOCK_MONOTONIC nanoseconds (u64).
    pub const ALIVE: u64 = 136;
    /// Histogram of handler times.
    pub const HANDLER: u64 = 256;
    /// Deadline misses so far (u64), then from [`MISS_RECORDS`] the newest and the worst of them.
    pub const MISSES: u64 = HANDLER + super::HISTOGRAM;
    /// First record of a deadline miss.
    pub const MISS_RECORDS: u64 = MISSES + 128;
    /// Words of a record: its seal, then its fields.
    pub const MISS_WORDS: u64 = if cfg!(loom) { 3 } else { 24 };
    /// The newest misses: record `n % MISS_NEWEST`.
    pub const MISS_NEWEST: u64 = 32;
    /// The worst ones, behind the newest, in no order.
    pub const MISS_WORST: u64 = 8;
    /// First input block.
    pub const FIRST: u64 = (MISS_RECORDS + (MISS_NEWEST + MISS_WORST) * MISS_WORDS * 8).next_multiple_of(128);
    /// Counters at the start of an input block (u64 each): received, missed ticks, deadline missed, timeouts, first_ns, copied out,
    /// skipped for being late, recoveries from a timeout, 1 while timed out.
    pub const INPUT_COUNTERS: u64 = 128;
    /// Within an input block: histogram of queue waits, behind that of latencies.
    pub const INPUT_QUEUE: u64 = INPUT_COUNTERS + super::HISTOGRAM;
    /// Size of an input block: counters, then two histograms.
    pub const INPUT: u64 = INPUT_QUEUE + super::HISTOGRAM;
    /// Counters of an output (u64 each): sent, bytes, copied, too large, no slot, unplanned slots, blocked, progress time, progress microstep.
    pub const OUTPUT: u64 = 128;

    /// Counters at the start of a chain block (u64 each): traced, untraced, missed. Then, as in an input block, a histogram of latencies.
    pub const CHAIN: u64 = INPUT_COUNTERS + super::HISTOGRAM;

    /// End of the blocks of what the descriptor declares: inputs, outputs, chains. The spare inputs follow.
    pub const fn declared(inputs: u64, outputs: u64, chains: u64) -> u64 {
        FIRST + inputs * INPUT + outputs * OUTPUT + chains * CHAIN
    }

    /// Size of the whole page.
    pub const fn size(inputs: u64, outputs: u64, chains: u64, spare: u64) -> u64 {
        declared(inputs, outputs, chains) + spare * INPUT
    }
}

/// Origins of a chain.
pub mod origins {
    /// Messages noted so far (u64).
    pub const COUNT: u64 = 128;
    /// First entry: logical time, then CLOCK_MONOTONIC of the send (u64 each).
    pub const ENTRIES: u64 = 256;
    /// Entries, a power of two: four seconds at 1 kHz.
    pub const CAPACITY: u64 = if cfg!(loom) { 2 } else { 4096 };
    /// Size.
    pub const SIZE: u64 = ENTRIES + CAPACITY * 16;
}

/// Sub-buckets per power of two of a histogram, as a power of two.
pub const HISTOGRAM_SUB_BITS: u32 = 5;
/// Largest value kept apart: 2^40 ns, about 18 minutes.
pub const HISTOGRAM_MAX_BITS: u32 = 40;
/// Buckets of a histogram.
pub const HISTOGRAM_BUCKETS: u64 =
    ((HISTOGRAM_MAX_BITS - HISTOGRAM_SUB_BITS + 1) as u64) << HISTOGRAM_SUB_BITS;
/// Bytes of a histogram: largest value, spare word, buckets; to the next line.
pub const HISTOGRAM: u64 = (16 + HISTOGRAM_BUCKETS * 8).next_multiple_of(128);

const _: () = {
    assert!(edge::REFUSED + 8 <= edge::HEAD);
    assert!(edge::RETURNS.is_multiple_of(128) && edge::SPACE_BELL + 4 <= edge::RETURNS);
    assert!(edge::entries(1).is_multiple_of(64));
    assert!(arena::TYPE_DATA < arena::TYPE_END && arena::SLOTS.is_multiple_of(4096));
    assert!(arena::CLASS_BUDGET >> arena::MAX_SHIFT >= 1);
    assert!(status::FIRST.is_multiple_of(64) && status::INPUT.is_multiple_of(64));
};
