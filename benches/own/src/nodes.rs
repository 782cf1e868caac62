//! The same work by two real nodes: through the real-time API and through the familiar one.
//!
//! A message is an array of `u64` whose first element is a time or a number and whose last is the number; of a small
//! one all elements are written and read. Unlike in `edge`, every message is stamped (monotonic time, hybrid
//! clock, logical tag) and counted in the status page of both nodes.
#![expect(unsafe_code, reason = "sets an environment variable")]

use std::os::fd::IntoRawFd;

use bench_support::{Called, Hist, Job, Metrics, Work, peer, place::Class};
use dora_node_api::{
    ArrowTypeInfo, DoraNode, Event, EventStream, MetadataParameters,
    dora_core::config::DataId,
    rt::{self, RtNode},
};
use dora_protocol::{
    DataflowId,
    node_link::{ENV_NODE_CONFIG, NodeEnv, VERSION},
    rt::WaitPolicy,
};
use eyre::{bail, eyre};
use rt_tuning::{alloc_guard, clock::monotonic_ns, sched};

use crate::{
    PERIOD_NS, WARM_UP,
    edge::Wait,
    job,
    launcher::{Pairing, run},
    usage,
};

/// Payloads up to this size are written and read whole, bytes.
const WHOLE: usize = 4096;
/// Bytes of one element.
const WORD: usize = size_of::<u64>();

/// The verbs that all APIs have.
pub trait Api: Sized {
    /// Joins, from the environment that a daemon would have set.
    ///
    /// # Errors
    /// What the API says; so do the others.
    fn join(size: usize) -> eyre::Result<Self>;
    /// Sends `size` bytes: `first`, and `number` everywhere else.
    fn send(&mut self, size: usize, first: u64, number: u64) -> eyre::Result<()>;
    /// Waits for a message, checks that it is `number`, and returns its first element.
    fn take(&mut self, number: u64) -> eyre::Result<u64>;
    /// Waits for a tick; how late it is taken, nanoseconds.
    fn tick(&mut self) -> eyre::Result<u64>;
}

/// Writes a message into its place.
#[inline]
fn fill(words: &mut [u64], first: u64, number: u64) {
    if words.len() * WORD <= WHOLE {
        words.fill(number);
    }
    let last = words.len() - 1;
    words[last] = number;
    words[0] = first;
}

/// Is this message `number`, and whole?
#[inline]
fn check(words: &[u64], number: u64) -> eyre::Result<u64> {
    let rest = if words.len() * WORD <= WHOLE { &words[1..] } else { &words[words.len() - 1..] };
    if rest.iter().all(|w| *w == number) {
        Ok(words[0])
    } else {
        Err(eyre!("message {number} is not what was sent"))
    }
}

struct Rt {
    node: RtNode,
    out: rt::Out<u64>,
    input: rt::In<u64>,
}

impl Api for Rt {
    fn join(size: usize) -> eyre::Result<Self> {
        let mut node = RtNode::init_from_env()?;
        let (out, input) = (node.output("out", size / WORD)?, node.input("in")?);
        Ok(Self { node, out, input })
    }

    #[inline]
    fn send(&mut self, size: usize, first: u64, number: u64) -> eyre::Result<()> {
        let mut loan = self.node.loan(&self.out, size / WORD)?;
        fill(&mut loan, first, number);
        Ok(self.node.publish(loan)?)
    }

    #[inline]
    fn take(&mut self, number: u64) -> eyre::Result<u64> {
        match self.node.wait() {
            rt::Event::Input(i) if i == self.input.id() => check(&self.node.read(&self.input)?, number),
            other => bail!("expected message {number}, got {other:?}"),
        }
    }

    #[inline]
    fn tick(&mut self) -> eyre::Result<u64> {
        match self.node.wait() {
            rt::Event::Tick(tick) => Ok(monotonic_ns() - tick.nominal_ns),
            other => bail!("expected a tick, got {other:?}"),
        }
    }
}

struct Familiar {
    node: DoraNode,
    events: EventStream,
    out: DataId,
    /// When tick 0 was due: known from the first tick, because the launcher starts on a whole period.
    epoch: Option<u64>,
}

impl Api for Familiar {
    fn join(_size: usize) -> eyre::Result<Self> {
        let (node, events) = DoraNode::init_from_env_force()?;
        Ok(Self { node, events, out: DataId::from("out".to_owned()), epoch: None })
    }

    #[inline]
    fn send(&mut self, size: usize, first: u64, number: u64) -> eyre::Result<()> {
        let info = ArrowTypeInfo::primitive::<u64>(size / WORD);
        let write = |bytes: &mut [u8]| {
            if size <= WHOLE {
                bytes.chunks_exact_mut(WORD).for_each(|word| word.copy_from_slice(&number.to_ne_bytes()));
            }
            bytes[size - WORD..].copy_from_slice(&number.to_ne_bytes());
            bytes[..WORD].copy_from_slice(&first.to_ne_bytes());
        };
        Ok(self.node.send_typed_output(self.out.clone(), info, MetadataParameters::new(), size, write)?)
    }

    #[inline]
    fn take(&mut self, number: u64) -> eyre::Result<u64> {
        match self.events.recv() {
            Some(Event::Input { data, .. }) => {
                let words: &[u64] = (&data).try_into()?;
                check(words, number)
            }
            other => bail!("expected message {number}, got {other:?}"),
        }
    }

    #[inline]
    fn tick(&mut self) -> eyre::Result<u64> {
        match self.events.recv() {
            Some(Event::Input { data, .. }) => {
                let now = monotonic_ns();
                let since = u64::try_from(&data)? * PERIOD_NS;
                let epoch = *self.epoch.get_or_insert(now / PERIOD_NS * PERIOD_NS - since);
                Ok(now - epoch - since)
            }
            other => bail!("expected a tick, got {other:?}"),
        }
    }
}

/// Which API a run goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Through {
    /// The real-time API.
    Rt,
    /// The familiar API.
    Familiar,
    /// That of another crate, which plays its roles with [`play_as`].
    Other(&'static str),
}

/// Plays a role of this file; false when it is none.
///
/// # Errors
/// As [`crate::play`].
pub fn play(called: &mut Called) -> eyre::Result<bool> {
    if called.role == "node-idle" {
        peer::print(&idle(called)?);
        return Ok(true);
    }
    Ok(play_as::<Rt>("rt", called)? || play_as::<Familiar>("familiar", called)?)
}

/// Plays a role of this file through an API; false when it is none, or not for the API of this name.
///
/// # Errors
/// As [`crate::play`].
pub fn play_as<A: Api>(name: &str, called: &mut Called) -> eyre::Result<bool> {
    let Some(role) = called.role.strip_prefix(name).and_then(|role| role.strip_prefix('-')) else {
        return Ok(false);
    };
    let role: fn(&mut Called) -> eyre::Result<Metrics> = match role {
        "ping" => ping::<A>,
        "pong" => pong::<A>,
        "paced-send" => paced_send::<A>,
        "paced-take" => paced_take::<A>,
        "stream-send" => stream_send::<A>,
        "stream-take" => stream_take::<A>,
        "timer" => timer_role::<A>,
        _ => return Ok(false),
    };
    peer::print(&role(called)?);
    Ok(true)
}

/// Two nodes; the metrics of the second, with what the first was charged added to the same names.
fn pair(through: Through, roles: [&str; 2], job: &Job, tick: bool) -> eyre::Result<Metrics> {
    let prefix = match through {
        Through::Rt => "rt",
        Through::Familiar => "familiar",
        Through::Other(name) => name,
    };
    let roles =
        roles.map(|role| if role == "node-idle" { role.to_owned() } else { format!("{prefix}-{role}") });
    let wait_policy = if job.wait == Wait::Spin { WaitPolicy::Spin } else { WaitPolicy::Park };
    let mut metrics = run(&Pairing {
        roles: [&roles[0], &roles[1]],
        class: job.class,
        wait: wait_policy,
        numbers: &job.numbers(),
        max_bytes: job.size,
        tick,
    })?;
    let mut second = metrics.pop().unwrap_or_default();
    for name in usage::NAMES {
        let first = metrics.first().and_then(|m| m.get(name));
        if let (Some(sum), Some(first)) = (second.get_mut(name), first) {
            *sum += first;
        }
    }
    Ok(second)
}

/// The run that a job asks for.
///
/// # Errors
/// As [`run`].
pub fn one(through: Through, job: &Job) -> eyre::Result<Metrics> {
    let roles = match job.work {
        Work::RoundTrip => ["pong", "ping"],
        Work::Paced => ["paced-send", "paced-take"],
        Work::Stream => ["stream-send", "stream-take"],
    };
    pair(through, roles, job, false)
}

/// Half a round trip; also what both sides together asked of the kernel and the allocator per message.
///
/// # Errors
/// As [`run`].
pub fn round_trip(
    through: Through,
    wait: Wait,
    class: Class,
    count: u64,
    size: u64,
) -> eyre::Result<Metrics> {
    one(through, &job(Work::RoundTrip, wait, class, count, size))
}

/// From before the loan to the awakened reader, one message per millisecond.
///
/// # Errors
/// As [`run`].
pub fn paced(through: Through, class: Class, count: u64, size: u64) -> eyre::Result<Metrics> {
    one(through, &job(Work::Paced, Wait::Park, class, count, size))
}

/// Messages per second, back to back, none lost: `msg/s`.
///
/// # Errors
/// As [`run`].
pub fn stream(through: Through, wait: Wait, class: Class, count: u64, size: u64) -> eyre::Result<Metrics> {
    one(through, &job(Work::Stream, wait, class, count, size))
}

/// Lateness of a timer input of 1 kHz, on core 1.
///
/// # Errors
/// As [`run`].
pub fn timer(through: Through, class: Class, count: u64) -> eyre::Result<Metrics> {
    pair(through, ["node-idle", "timer"], &job(Work::Paced, Wait::Park, class, count, 64), true)
}

/// Pins this process, as a daemon does before it starts a node, and joins.
fn join<A: Api>(called: &mut Called) -> eyre::Result<A> {
    sched::set_affinity_current(&[called.core])?;
    let env = NodeEnv {
        version: VERSION,
        dataflow_id: DataflowId::default(),
        node_id: "bench".parse()?,
        socket_fd: called.fd(0)?.into_raw_fd(),
    };
    // SAFETY: this process has one thread yet; nobody reads the environment at the same time.
    unsafe { std::env::set_var(ENV_NODE_CONFIG, serde_json::to_string(&env)?) };
    let api = A::join(called.number(1)? as usize)?;
    alloc_guard::mark(true);
    Ok(api)
}

/// The message from which on their cost is counted: the first tenth is warm-up, in which the rings come round and heap
/// and caches fill.
fn counted_from(job: &Job) -> u64 {
    job.count / 10 / job.batch * job.batch
}

fn ping<A: Api>(called: &mut Called) -> eyre::Result<Metrics> {
    let (mut api, job) = (join::<A>(called)?, Job::of(called)?);
    let (mut before, counted_from) = (usage::Usage::now(), counted_from(&job));
    let hist = job.time_round_trips(|i| {
        if i == counted_from {
            before = usage::Usage::now();
        }
        api.send(job.size as usize, i, i)?;
        api.take(i).map(drop)
    })?;
    // First the counters: making the metrics allocates.
    let mut metrics = before.per_message(job.round_trips() - counted_from);
    metrics.append(&mut hist.finish()?);
    Ok(metrics)
}

fn pong<A: Api>(called: &mut Called) -> eyre::Result<Metrics> {
    let (mut api, job) = (join::<A>(called)?, Job::of(called)?);
    let (mut before, counted_from) = (usage::Usage::now(), counted_from(&job));
    for i in 0..job.round_trips() {
        if i == counted_from {
            before = usage::Usage::now();
        }
        api.take(i)?;
        api.send(job.size as usize, i, i)?;
    }
    Ok(before.per_message(job.round_trips() - counted_from))
}

fn paced_send<A: Api>(called: &mut Called) -> eyre::Result<Metrics> {
    let (mut api, job) = (join::<A>(called)?, Job::of(called)?);
    job.pace(|i| api.send(job.size as usize, monotonic_ns(), i))
}

fn paced_take<A: Api>(called: &mut Called) -> eyre::Result<Metrics> {
    let (mut api, job) = (join::<A>(called)?, Job::of(called)?);
    job.time_paced(|i| api.take(i))?.finish()
}

fn stream_send<A: Api>(called: &mut Called) -> eyre::Result<Metrics> {
    let (mut api, job) = (join::<A>(called)?, Job::of(called)?);
    for i in 0..job.count {
        api.send(job.size as usize, i, i)?;
    }
    Ok(Metrics::new())
}

fn stream_take<A: Api>(called: &mut Called) -> eyre::Result<Metrics> {
    let (mut api, job) = (join::<A>(called)?, Job::of(called)?);
    job.time_stream(|i| api.take(i).map(drop))
}

fn timer_role<A: Api>(called: &mut Called) -> eyre::Result<Metrics> {
    let (mut api, mut hist) = (join::<A>(called)?, Hist::new());
    for i in 0..called.number(0)? {
        let late = api.tick()?;
        if i >= WARM_UP {
            hist.record(late as f64);
        }
    }
    Ok(hist.metrics())
}

/// The other node of a run that needs only one.
fn idle(called: &mut Called) -> eyre::Result<Metrics> {
    drop(join::<Familiar>(called)?);
    Ok(Metrics::new())
}
