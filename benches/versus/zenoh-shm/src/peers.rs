//! The roles: what `bench_own::edge` does, through zenoh.
//!
//! A message is words of 8 bytes: its time or number first, its number last; of a small one all of them are written and
//! read.

use std::net::{Ipv4Addr, TcpListener};

use bench_support::{
    Call, Called, Job, Metrics, Wait as Waiting, Work,
    peer::{self, run},
    place::settle_with_helpers,
};
use eyre::{bail, eyre};
use rt_tuning::clock::monotonic_ns;
use zenoh::{
    Session, Wait,
    bytes::ZBytes,
    handlers::FifoChannelHandler,
    pubsub::{Publisher, Subscriber},
    qos::CongestionControl,
    sample::Sample,
    shm::{BlockOn, GarbageCollect, PosixShmProviderBackend, ShmProvider, ShmProviderBuilder},
};

/// Payloads up to this size are written and read whole, bytes.
const WHOLE: usize = 4096;
/// From this size on messages lie in shared memory, bytes: zenoh's own default.
const SHARED_FROM: usize = 3072;
/// Messages that the shared memory holds, and its least size, bytes.
const POOL: (usize, usize) = (16, 1 << 20);
/// Bytes of a word.
const WORD: usize = size_of::<u64>();

/// Does one run: the first role on core 0, the second on core 1; the metrics of the second.
///
/// # Errors
/// As [`peer::run`]; readers that spin are refused.
pub fn one(job: &Job) -> eyre::Result<Metrics> {
    if job.wait == Waiting::Spin {
        bail!("a spinning reader keeps zenoh's own threads from their core: ask for wait=park");
    }
    let roles = match job.work {
        Work::RoundTrip => ["pong", "ping"],
        Work::Paced => ["paced-send", "paced-take"],
        Work::Stream => ["stream-send", "stream-take"],
    };
    let mut numbers = job.numbers().to_vec();
    // Free a moment ago; the first role takes it at once.
    numbers.push(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port().into());
    let call =
        |core: usize| Call { role: roles[core], core, class: job.class, numbers: &numbers, fds: vec![] };
    Ok(run(&[call(0), call(1)])?.pop().unwrap_or_default())
}

/// Plays a role and prints what it measured.
///
/// # Errors
/// What zenoh refused, or a message that was not the expected one.
pub fn play(called: &Called) -> eyre::Result<()> {
    settle_with_helpers(called.core, called.class)?;
    let job = Job::of(called)?;
    let session = session(called)?;
    let peer = Peer { session: &session, job };
    let metrics = match called.role.as_str() {
        "ping" => peer.ping()?,
        "pong" => peer.pong()?,
        "paced-send" => peer.paced_send()?,
        "paced-take" => peer.receiver("there")?.time_paced()?,
        "stream-send" => peer.stream_send()?,
        "stream-take" => peer.receiver("there")?.time_stream()?,
        other => bail!("unknown role {other}"),
    };
    peer::print(&metrics);
    Ok(())
}

/// What zenoh refused, as text.
fn refused(e: impl std::fmt::Display) -> eyre::Report {
    eyre!("zenoh: {e}")
}

/// The role on core 0 listens, the other connects; neither looks for others.
fn session(called: &Called) -> eyre::Result<Session> {
    let endpoint = format!("[\"tcp/127.0.0.1:{}\"]", called.number(6)?);
    let mut config = zenoh::Config::default();
    for (key, value) in [
        ("mode", "\"peer\""),
        ("scouting/multicast/enabled", "false"),
        ("scouting/gossip/enabled", "false"),
        ("transport/shared_memory/enabled", "true"),
        ("listen/endpoints", if called.core == 0 { &endpoint } else { "[]" }),
        ("connect/endpoints", if called.core == 0 { "[]" } else { &endpoint }),
        ("connect/timeout_ms", "20000"),
        ("connect/retry", r#"{ "period_init_ms": 20, "period_max_ms": 100, "period_increase_factor": 1.5 }"#),
        ("connect/exit_on_failure", "true"),
    ] {
        config.insert_json5(key, value).map_err(refused)?;
    }
    zenoh::open(config).wait().map_err(refused)
}

/// One process of a run.
struct Peer<'a> {
    session: &'a Session,
    job: Job,
}

impl Peer<'_> {
    fn receiver(&self, name: &str) -> eyre::Result<Receiver> {
        let subscriber = self.session.declare_subscriber(format!("bench/{name}")).wait().map_err(refused)?;
        Ok(Receiver { subscriber, job: self.job })
    }

    /// The sending end, once the other side reads.
    fn sender(&self, name: &str) -> eyre::Result<Sender> {
        let publisher = self
            .session
            .declare_publisher(format!("bench/{name}"))
            .congestion_control(CongestionControl::Block)
            .express(self.job.work != Work::Stream)
            .wait()
            .map_err(refused)?;
        let size = self.job.size as usize;
        let memory = if size < SHARED_FROM {
            None
        } else {
            Some(ShmProviderBuilder::default_backend(POOL.1.max(POOL.0 * size)).wait().map_err(refused)?)
        };
        while !publisher.matching_status().wait().map_err(refused)?.matching() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Ok(Sender { publisher, memory, size })
    }

    fn ping(&self) -> eyre::Result<Metrics> {
        let (receiver, sender) = (self.receiver("back")?, self.sender("there")?);
        let hist = self.job.time_round_trips(|i| {
            sender.send(i, i)?;
            receiver.take(i).map(drop)
        })?;
        hist.finish()
    }

    fn pong(&self) -> eyre::Result<Metrics> {
        let (receiver, sender) = (self.receiver("there")?, self.sender("back")?);
        for i in 0..self.job.round_trips() {
            receiver.take(i)?;
            sender.send(i, i)?;
        }
        linger();
        Ok(Metrics::new())
    }

    fn paced_send(&self) -> eyre::Result<Metrics> {
        let sender = self.sender("there")?;
        let metrics = self.job.pace(|i| sender.send(monotonic_ns(), i));
        linger();
        metrics
    }

    fn stream_send(&self) -> eyre::Result<Metrics> {
        let sender = self.sender("there")?;
        for i in 0..self.job.count {
            sender.send(i, i)?;
        }
        linger();
        Ok(Metrics::new())
    }
}

/// Leaves the other side time to read what was sent, before the session closes.
fn linger() {
    std::thread::sleep(std::time::Duration::from_millis(300));
}

/// The sending end.
struct Sender {
    publisher: Publisher<'static>,
    memory: Option<ShmProvider<PosixShmProviderBackend>>,
    size: usize,
}

impl Sender {
    #[inline]
    fn send(&self, first: u64, number: u64) -> eyre::Result<()> {
        let payload: ZBytes = match &self.memory {
            Some(memory) => {
                let mut loan = memory
                    .alloc(self.size)
                    .with_policy::<BlockOn<GarbageCollect>>()
                    .wait()
                    .map_err(refused)?;
                fill(&mut loan, first, number);
                loan.into()
            }
            None => {
                let mut bytes = vec![0; self.size];
                fill(&mut bytes, first, number);
                bytes.into()
            }
        };
        self.publisher.put(payload).wait().map_err(refused)
    }
}

/// Writes a message into its place.
#[inline]
fn fill(bytes: &mut [u8], first: u64, number: u64) {
    if bytes.len() <= WHOLE {
        bytes.chunks_exact_mut(WORD).for_each(|word| word.copy_from_slice(&number.to_ne_bytes()));
    }
    let last = bytes.len() - WORD;
    bytes[last..].copy_from_slice(&number.to_ne_bytes());
    bytes[..WORD].copy_from_slice(&first.to_ne_bytes());
}

/// The receiving end.
struct Receiver {
    subscriber: Subscriber<FifoChannelHandler<Sample>>,
    job: Job,
}

impl Receiver {
    /// Waits for a message, checks that it is `number`, and returns its first word.
    #[inline]
    fn take(&self, number: u64) -> eyre::Result<u64> {
        let sample = self.subscriber.recv().map_err(refused)?;
        let bytes = sample.payload().to_bytes();
        let mut words =
            bytes.chunks_exact(WORD).map(|word| word.try_into().map(u64::from_ne_bytes).unwrap_or(0));
        let first = words.next().ok_or_else(|| eyre!("message {number} is empty"))?;
        let whole = if bytes.len() <= WHOLE {
            words.all(|word| word == number)
        } else {
            bytes.ends_with(&number.to_ne_bytes())
        };
        if whole { Ok(first) } else { Err(eyre!("message {number} is not what was sent")) }
    }

    fn time_paced(&self) -> eyre::Result<Metrics> {
        self.job.time_paced(|i| self.take(i))?.finish()
    }

    fn time_stream(&self) -> eyre::Result<Metrics> {
        self.job.time_stream(|i| self.take(i).map(drop))
    }
}
