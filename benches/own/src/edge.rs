//! The same work through `lockfree-ipc`: publisher, edge, subscriber, doorbell; no node library above it.
//!
//! A run makes two channels, there and back, each with its arena, edge and doorbell. Senders write and readers read
//! all of a small payload, and the first and last byte of a large one. Readers that sleep do it as a node does:
//! prepare, look once more, park.
//!
//! The header is left empty here except where a time is measured by it; what stamping costs is part of the rows of the
//! node APIs.

use std::os::fd::OwnedFd;

pub use bench_support::Wait;
use bench_support::{
    Call, Called, Hist, Job, Metrics, Work,
    peer::{self, borrow, run},
    place::Class,
};
use eyre::{bail, eyre};
use lockfree_ipc::{
    ArenaFds, ArenaSpec, Doorbell, EdgeSpec, Header, MAX_HELD, Policy, Publisher, Sample, Subscriber, arena,
    doorbell, edge,
};
use rt_tuning::clock::monotonic_ns;

use crate::{PERIOD_NS, WARM_UP, job};

/// Payloads up to this size are written and read whole, bytes.
const WHOLE: usize = 4096;
/// Messages that a back-pressured edge of queue size 10 holds.
const LIMIT: u32 = 100;

/// One direction: an output with one reader.
struct Channel {
    arena: ArenaFds,
    edge: OwnedFd,
    bell: OwnedFd,
}

impl Channel {
    fn create(size: u64) -> eyre::Result<Self> {
        let spec = ArenaSpec {
            outstanding: LIMIT + MAX_HELD + 8,
            max_message_bytes: Some(size),
            depth: (size > WHOLE as u64).then_some(4),
        };
        Ok(Self {
            arena: arena::create(&spec, [1; 16])?,
            edge: edge::create(&EdgeSpec { limit: LIMIT, policy: Policy::Backpressure, arena: spec })?,
            bell: doorbell::create()?,
        })
    }
}

/// The sending end of a channel, from descriptors `at..at + 3`: arena, edge, doorbell.
fn sender(called: &mut Called, at: usize) -> eyre::Result<Publisher> {
    let mut publisher = Publisher::open(called.fd(at)?, None, None)?;
    let (edge, bell) = (called.fd(at + 1)?, Doorbell::open(called.fd(at + 2)?, None)?);
    publisher.add_edge(0, edge, bell)?;
    Ok(publisher)
}

/// The receiving end of a channel, from descriptors `at..at + 3`: arena, edge, doorbell.
fn receiver(called: &mut Called, at: usize) -> eyre::Result<Receiver> {
    let (arena, edge) = (called.fd(at)?, called.fd(at + 1)?);
    Ok(Receiver {
        subscriber: Subscriber::open(edge, arena)?,
        bell: Doorbell::open(called.fd(at + 2)?, None)?,
    })
}

struct Receiver {
    subscriber: Subscriber,
    bell: Doorbell,
}

impl Receiver {
    #[inline]
    fn spin(&mut self) -> eyre::Result<Sample> {
        loop {
            if self.subscriber.is_ready()
                && let Some(sample) = self.subscriber.take()?
            {
                return Ok(sample);
            }
            std::hint::spin_loop();
        }
    }

    #[inline]
    fn park(&mut self) -> eyre::Result<Sample> {
        loop {
            if let Some(sample) = self.subscriber.take()? {
                return Ok(sample);
            }
            self.bell.prepare();
            if self.subscriber.is_ready() {
                self.bell.cancel();
            } else {
                self.bell.park(None);
            }
        }
    }

    #[inline]
    fn wait(&mut self, how: Wait) -> eyre::Result<Sample> {
        if how == Wait::Spin { self.spin() } else { self.park() }
    }
}

/// Writes a message of `size` bytes that carries `number`, and sends it.
#[inline]
fn send(publisher: &mut Publisher, size: usize, number: u64, header: &Header) -> eyre::Result<()> {
    let mut loan = publisher.loan(size, 0)?;
    let bytes = loan.payload_mut();
    if size <= WHOLE {
        for word in bytes.chunks_exact_mut(8) {
            word.copy_from_slice(&number.to_ne_bytes());
        }
    } else {
        (bytes[0], bytes[size - 1]) = (number as u8, number as u8);
    }
    let report = publisher.send(loan, header);
    if report.readers != 1 { Err(eyre!("message {number} was not taken: {report:?}")) } else { Ok(()) }
}

/// Reads a message and checks that it is the expected one, whole.
#[inline]
fn read(sample: &Sample, number: u64) -> eyre::Result<()> {
    let bytes = sample.payload();
    let whole = if bytes.len() <= WHOLE {
        bytes.chunks_exact(8).all(|word| word == number.to_ne_bytes())
    } else {
        bytes[0] == number as u8 && bytes[bytes.len() - 1] == number as u8
    };
    if whole { Ok(()) } else { Err(eyre!("message {number} is not what was sent")) }
}

/// Plays a role of this file; false when it is none.
///
/// # Errors
/// As [`crate::play`].
pub fn play(called: &mut Called) -> eyre::Result<bool> {
    let role: fn(&mut Called) -> eyre::Result<Metrics> = match called.role.as_str() {
        "edge-ping" => ping,
        "edge-pong" => pong,
        "edge-paced-send" => paced_send,
        "edge-paced-take" => paced_take,
        "edge-stream-send" => stream_send,
        "edge-stream-take" => stream_take,
        "edge-timer" => timer_role,
        _ => return Ok(false),
    };
    peer::print(&role(called)?);
    Ok(true)
}

/// Half a round trip.
///
/// # Errors
/// As [`peer::run`].
pub fn round_trip(wait: Wait, class: Class, count: u64, size: u64) -> eyre::Result<Metrics> {
    one(&job(Work::RoundTrip, wait, class, count, size))
}

/// The run that a job asks for.
///
/// # Errors
/// As [`peer::run`]; for a stream also when a message was lost or out of order.
pub fn one(job: &Job) -> eyre::Result<Metrics> {
    match job.work {
        Work::RoundTrip => there_and_back(job),
        Work::Paced => one_way(["edge-paced-send", "edge-paced-take"], job),
        Work::Stream => one_way(["edge-stream-send", "edge-stream-take"], job),
    }
}

fn there_and_back(job: &Job) -> eyre::Result<Metrics> {
    let (class, size) = (job.class, job.size);
    let (there, back) = (Channel::create(size)?, Channel::create(size)?);
    let numbers = job.numbers();
    let pong =
        borrow([&there.arena.read, &there.edge, &there.bell, &back.arena.write, &back.edge, &back.bell]);
    let ping =
        borrow([&there.arena.write, &there.edge, &there.bell, &back.arena.read, &back.edge, &back.bell]);
    let pong = Call { role: "edge-pong", core: 0, class, numbers: &numbers, fds: pong };
    let ping = Call { role: "edge-ping", core: 1, class, numbers: &numbers, fds: ping };
    Ok(run(&[pong, ping])?.pop().unwrap_or_default())
}

/// Two roles over one channel: sender on core 0, reader on core 1; the metrics of the reader.
fn one_way(roles: [&str; 2], job: &Job) -> eyre::Result<Metrics> {
    let (there, class, numbers) = (Channel::create(job.size)?, job.class, &job.numbers());
    let fds = borrow([&there.arena.write, &there.edge, &there.bell]);
    let send = Call { role: roles[0], core: 0, class, numbers, fds };
    let fds = borrow([&there.arena.read, &there.edge, &there.bell]);
    let take = Call { role: roles[1], core: 1, class, numbers, fds };
    Ok(run(&[send, take])?.pop().unwrap_or_default())
}

/// From before the loan to the awakened reader that has read the message, one message per millisecond.
///
/// # Errors
/// As [`peer::run`].
pub fn paced(class: Class, count: u64, size: u64) -> eyre::Result<Metrics> {
    one(&job(Work::Paced, Wait::Park, class, count, size))
}

/// Messages per second, back to back, none lost: `msg/s`.
///
/// # Errors
/// As [`peer::run`]; also when a message was lost or out of order.
pub fn stream(wait: Wait, class: Class, count: u64, size: u64) -> eyre::Result<Metrics> {
    one(&job(Work::Stream, wait, class, count, size))
}

/// Lateness of a doorbell's deadline at 1 kHz, on core 1: what a node's timer sleeps on.
///
/// # Errors
/// As [`peer::run`].
pub fn timer(class: Class, count: u64) -> eyre::Result<Metrics> {
    let bell = doorbell::create()?;
    let call = Call { role: "edge-timer", core: 1, class, numbers: &[count], fds: borrow([&bell]) };
    Ok(run(&[call])?.pop().unwrap_or_default())
}

fn ping(called: &mut Called) -> eyre::Result<Metrics> {
    let (mut publisher, mut back) = (sender(called, 0)?, receiver(called, 3)?);
    let job = Job::of(called)?;
    called.settle()?;
    let header = Header::default();
    let hist = job.time_round_trips(|i| {
        send(&mut publisher, job.size as usize, i, &header)?;
        read(&back.wait(job.wait)?, i)
    })?;
    hist.finish()
}

fn pong(called: &mut Called) -> eyre::Result<Metrics> {
    let (mut there, mut publisher) = (receiver(called, 0)?, sender(called, 3)?);
    let job = Job::of(called)?;
    called.settle()?;
    let header = Header::default();
    for i in 0..job.round_trips() {
        read(&there.wait(job.wait)?, i)?;
        send(&mut publisher, job.size as usize, i, &header)?;
    }
    Ok(Metrics::new())
}

fn paced_send(called: &mut Called) -> eyre::Result<Metrics> {
    let (mut publisher, job) = (sender(called, 0)?, Job::of(called)?);
    called.settle()?;
    job.pace(|i| {
        let header = Header { send_ns: monotonic_ns(), ..Header::default() };
        send(&mut publisher, job.size as usize, i, &header)
    })
}

fn paced_take(called: &mut Called) -> eyre::Result<Metrics> {
    let (mut there, job) = (receiver(called, 0)?, Job::of(called)?);
    called.settle()?;
    let hist = job.time_paced(|i| {
        let sample = there.wait(job.wait)?;
        read(&sample, i)?;
        Ok(sample.header().send_ns)
    })?;
    hist.finish()
}

fn stream_send(called: &mut Called) -> eyre::Result<Metrics> {
    let (mut publisher, job) = (sender(called, 0)?, Job::of(called)?);
    called.settle()?;
    let header = Header::default();
    for i in 0..job.count {
        send(&mut publisher, job.size as usize, i, &header)?;
    }
    Ok(Metrics::new())
}

fn stream_take(called: &mut Called) -> eyre::Result<Metrics> {
    let (mut there, job) = (receiver(called, 0)?, Job::of(called)?);
    called.settle()?;
    let metrics = job.time_stream(|i| read(&there.wait(job.wait)?, i))?;
    if there.subscriber.queued() != 0 {
        bail!("more messages arrived than were sent");
    }
    Ok(metrics)
}

fn timer_role(called: &mut Called) -> eyre::Result<Metrics> {
    let (bell, count) = (Doorbell::open(called.fd(0)?, None)?, called.number(0)?);
    called.settle()?;
    let mut hist = Hist::new();
    let start = monotonic_ns() + 50 * PERIOD_NS;
    for i in 0..count {
        let due = start + i * PERIOD_NS;
        bell.prepare();
        while monotonic_ns() < due {
            bell.park(Some(due));
            bell.prepare();
        }
        bell.cancel();
        if i >= WARM_UP {
            hist.record((monotonic_ns() - due) as f64);
        }
    }
    Ok(hist.metrics())
}
