//! The work of `bench_own::edge`, done by iceoryx2: publish-subscribe, and for readers that sleep its event service
//! (the sender notifies after each message, the reader waits on a listener and then looks).
//!
//! Services are `ipc`, one per direction and run. Nothing is lost: no overflow, the publisher retries until
//! the message is delivered, as our `backpressure` does. Messages of 64 bytes are a typed value, its fastest path; others are
//! slices. Of a large one only the first and last word are touched, as with us.
#![expect(unsafe_code, reason = "sends large loans without writing all of them")]

use bench_own::edge::Wait;
use bench_support::{
    Call, Called, Job, Metrics, Work,
    peer::{self, run},
};
use eyre::{bail, eyre};
use iceoryx2::{
    port::{listener::Listener, notifier::Notifier, publisher::Publisher, subscriber::Subscriber},
    prelude::*,
    service::port_factory::{event, publish_subscribe},
};
use rt_tuning::clock::monotonic_ns;

/// Messages that a direction holds, as in `bench_own`.
const LIMIT: usize = 100;
/// The same of messages that are not written whole, so that large ones do not fill the machine.
const LIMIT_LARGE: usize = 4;
/// Payloads up to this size are written and read whole, bytes.
const WHOLE: usize = 4096;
/// Bytes of a word.
const WORD: usize = size_of::<u64>();

type Svc = ipc::Service;
type Factory<P> = publish_subscribe::PortFactory<Svc, P, ()>;

/// How messages of one kind are made, sent and checked: a typed value and a slice have different verbs in iceoryx2.
trait Kind {
    type Payload: std::fmt::Debug + IceoryxSend + ?Sized + 'static;
    fn service(node: &Node<Svc>, name: &ServiceName, size: usize) -> eyre::Result<Factory<Self::Payload>>;
    fn publisher(
        factory: &Factory<Self::Payload>,
        size: usize,
    ) -> eyre::Result<Publisher<Svc, Self::Payload, ()>>;
    /// Sends `first`, and `number` in the rest; how many readers got it.
    fn send(
        publisher: &Publisher<Svc, Self::Payload, ()>,
        size: usize,
        first: u64,
        number: u64,
    ) -> eyre::Result<usize>;
    /// Takes a message, if there is one, and shows its words.
    fn take<R>(
        subscriber: &Subscriber<Svc, Self::Payload, ()>,
        look: impl FnOnce(&[u64]) -> R,
    ) -> eyre::Result<Option<R>>;
}

/// 64 bytes as a typed value.
struct Typed;
/// Any size as a slice.
struct Slice;

/// What iceoryx2 refused, as text.
fn refused(e: impl std::fmt::Debug) -> eyre::Report {
    eyre!("{e:?}")
}

impl Kind for Typed {
    type Payload = [u64; 8];

    fn service(node: &Node<Svc>, name: &ServiceName, _size: usize) -> eyre::Result<Factory<Self::Payload>> {
        node.service_builder(name)
            .publish_subscribe::<Self::Payload>()
            .max_publishers(1)
            .max_subscribers(1)
            .subscriber_max_buffer_size(LIMIT)
            .enable_safe_overflow(false)
            .open_or_create()
            .map_err(refused)
    }

    fn publisher(
        factory: &Factory<Self::Payload>,
        _size: usize,
    ) -> eyre::Result<Publisher<Svc, Self::Payload, ()>> {
        let builder = factory.publisher_builder();
        builder.backpressure_strategy(BackpressureStrategy::RetryUntilDelivered).create().map_err(refused)
    }

    #[inline]
    fn send(
        publisher: &Publisher<Svc, Self::Payload, ()>,
        _size: usize,
        first: u64,
        number: u64,
    ) -> eyre::Result<usize> {
        let mut words = [number; 8];
        words[0] = first;
        publisher.loan_uninit().map_err(refused)?.write_payload(words).send().map_err(refused)
    }

    #[inline]
    fn take<R>(
        subscriber: &Subscriber<Svc, Self::Payload, ()>,
        look: impl FnOnce(&[u64]) -> R,
    ) -> eyre::Result<Option<R>> {
        Ok(subscriber.receive().map_err(refused)?.map(|sample| look(sample.payload())))
    }
}

impl Kind for Slice {
    type Payload = [u64];

    fn service(node: &Node<Svc>, name: &ServiceName, size: usize) -> eyre::Result<Factory<Self::Payload>> {
        node.service_builder(name)
            .publish_subscribe::<Self::Payload>()
            .max_publishers(1)
            .max_subscribers(1)
            .subscriber_max_buffer_size(if size <= WHOLE { LIMIT } else { LIMIT_LARGE })
            .enable_safe_overflow(false)
            .open_or_create()
            .map_err(refused)
    }

    fn publisher(
        factory: &Factory<Self::Payload>,
        size: usize,
    ) -> eyre::Result<Publisher<Svc, Self::Payload, ()>> {
        factory
            .publisher_builder()
            .initial_max_slice_len(size / WORD)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()
            .map_err(refused)
    }

    #[inline]
    fn send(
        publisher: &Publisher<Svc, Self::Payload, ()>,
        size: usize,
        first: u64,
        number: u64,
    ) -> eyre::Result<usize> {
        let mut sample = publisher.loan_slice_uninit(size / WORD).map_err(refused)?;
        let words = sample.payload_mut();
        if size <= WHOLE {
            for word in words.iter_mut() {
                word.write(number);
            }
        }
        let last = words.len() - 1;
        words[last].write(number);
        words[0].write(first);
        // SAFETY: the rest is shared memory that the kernel handed out as zeros or that an earlier message filled:
        // any bits are valid words.
        unsafe { sample.assume_init() }.send().map_err(refused)
    }

    #[inline]
    fn take<R>(
        subscriber: &Subscriber<Svc, Self::Payload, ()>,
        look: impl FnOnce(&[u64]) -> R,
    ) -> eyre::Result<Option<R>> {
        Ok(subscriber.receive().map_err(refused)?.map(|sample| look(sample.payload())))
    }
}

/// Pub-sub and event service of one direction, from one side.
struct Direction<K: Kind> {
    pubsub: Factory<K::Payload>,
    event: event::PortFactory<Svc>,
    job: Job,
}

impl<K: Kind> Direction<K> {
    fn open(node: &Node<Svc>, job: Job, run: u64, name: &str) -> eyre::Result<Self> {
        let service = |kind| ServiceName::new(&format!("bench/{run}/{name}/{kind}")).map_err(refused);
        let pubsub = K::service(node, &service("data")?, job.size as usize)?;
        let event = node.service_builder(&service("event")?).event().open_or_create().map_err(refused)?;
        Ok(Self { pubsub, event, job })
    }

    /// The sending end, once the other side reads: its listener is the last port it makes.
    fn sender(&self) -> eyre::Result<Sender<K>> {
        let publisher = K::publisher(&self.pubsub, self.job.size as usize)?;
        let notifier = self.event.notifier_builder().create().map_err(refused)?;
        while self.event.dynamic_config().number_of_listeners() == 0 {
            std::thread::yield_now();
        }
        Ok(Sender { publisher, notifier, job: self.job })
    }

    fn receiver(&self) -> eyre::Result<Receiver<K>> {
        let subscriber = self.pubsub.subscriber_builder().create().map_err(refused)?;
        let listener = self.event.listener_builder().create().map_err(refused)?;
        Ok(Receiver { subscriber, listener, job: self.job })
    }

    /// Waits until the other side sends: its notifier is the last port it makes.
    fn await_sender(&self) {
        while self.event.dynamic_config().number_of_notifiers() == 0 {
            std::thread::yield_now();
        }
    }
}

/// The sending end.
struct Sender<K: Kind> {
    publisher: Publisher<Svc, K::Payload, ()>,
    notifier: Notifier<Svc>,
    job: Job,
}

impl<K: Kind> Sender<K> {
    #[inline]
    fn send(&self, first: u64, number: u64) -> eyre::Result<()> {
        if K::send(&self.publisher, self.job.size as usize, first, number)? != 1 {
            bail!("message {number} was not taken");
        }
        // Readers that spin need no notification.
        if self.job.wait == Wait::Park {
            self.notifier.notify().map_err(refused)?;
        }
        Ok(())
    }
}

/// The receiving end.
struct Receiver<K: Kind> {
    subscriber: Subscriber<Svc, K::Payload, ()>,
    listener: Listener<Svc>,
    job: Job,
}

impl<K: Kind> Receiver<K> {
    /// Waits for a message, checks that it is `number`, and returns its first word.
    #[inline]
    fn take(&self, number: u64) -> eyre::Result<u64> {
        loop {
            if let Some(first) = K::take(&self.subscriber, |words| check(words, number))? {
                return first;
            }
            match self.job.wait {
                Wait::Spin => std::hint::spin_loop(),
                Wait::Park => {
                    self.listener.blocking_wait(|_| {}).map_err(refused)?;
                }
            }
        }
    }
}

/// The first word of a message that is `number`, and whole.
#[inline]
fn check(words: &[u64], number: u64) -> eyre::Result<u64> {
    let rest = if words.len() * WORD <= WHOLE { &words[1..] } else { &words[words.len() - 1..] };
    if rest.iter().all(|w| *w == number) {
        Ok(words[0])
    } else {
        Err(eyre!("message {number} is not what was sent"))
    }
}

/// Plays a role of this file; false when it is none.
///
/// # Errors
/// What iceoryx2 refused, or a message that was not the expected one.
pub fn play(called: &mut Called) -> eyre::Result<bool> {
    let (role, kind) = called.role.split_once('/').unwrap_or((&called.role, ""));
    let role: fn(&Called) -> eyre::Result<Metrics> = match (role, kind) {
        ("iox-ping", "typed") => ping::<Typed>,
        ("iox-pong", "typed") => pong::<Typed>,
        ("iox-paced-send", "typed") => paced_send::<Typed>,
        ("iox-paced-take", "typed") => paced_take::<Typed>,
        ("iox-stream-send", "typed") => stream_send::<Typed>,
        ("iox-stream-take", "typed") => stream_take::<Typed>,
        ("iox-ping", "slice") => ping::<Slice>,
        ("iox-pong", "slice") => pong::<Slice>,
        ("iox-paced-send", "slice") => paced_send::<Slice>,
        ("iox-paced-take", "slice") => paced_take::<Slice>,
        ("iox-stream-send", "slice") => stream_send::<Slice>,
        ("iox-stream-take", "slice") => stream_take::<Slice>,
        _ => return Ok(false),
    };
    peer::print(&role(called)?);
    Ok(true)
}

/// The run that a job asks for: sender or first role on core 0, reader or second on core 1; the metrics of the second.
///
/// # Errors
/// As [`peer::run`].
pub fn one(job: &Job) -> eyre::Result<Metrics> {
    let roles = match job.work {
        Work::RoundTrip => ["iox-pong", "iox-ping"],
        Work::Paced => ["iox-paced-send", "iox-paced-take"],
        Work::Stream => ["iox-stream-send", "iox-stream-take"],
    };
    let kind = if job.size == 64 { "typed" } else { "slice" };
    let roles = roles.map(|role| format!("{role}/{kind}"));
    let mut numbers = job.numbers().to_vec();
    // The clock names the run: no two share a service.
    numbers.push(monotonic_ns());
    let call =
        |core: usize| Call { role: &roles[core], core, class: job.class, numbers: &numbers, fds: vec![] };
    Ok(run(&[call(0), call(1)])?.pop().unwrap_or_default())
}

fn node() -> eyre::Result<Node<Svc>> {
    set_log_level(LogLevel::Error);
    NodeBuilder::new().create::<Svc>().map_err(refused)
}

/// One direction, as the named end of a run sees it.
fn direction<K: Kind>(called: &Called, name: &str) -> eyre::Result<(Node<Svc>, Direction<K>)> {
    let node = node()?;
    let direction = Direction::open(&node, Job::of(called)?, called.number(6)?, name)?;
    Ok((node, direction))
}

/// Both directions' ends for a round trip: the reader first, so that the other side finds it.
fn ends<K: Kind>(
    called: &Called,
    out: &str,
    back: &str,
) -> eyre::Result<(Node<Svc>, Sender<K>, Receiver<K>)> {
    let (node, out) = direction::<K>(called, out)?;
    let back = Direction::<K>::open(&node, out.job, called.number(6)?, back)?;
    let receiver = back.receiver()?;
    let sender = out.sender()?;
    back.await_sender();
    Ok((node, sender, receiver))
}

/// Leaves the other side time to read what was sent: before a flood, and before our ports vanish.
fn linger() {
    std::thread::sleep(std::time::Duration::from_millis(200));
}

fn ping<K: Kind>(called: &Called) -> eyre::Result<Metrics> {
    let (_node, sender, receiver) = ends::<K>(called, "there", "back")?;
    called.settle()?;
    let hist = sender.job.time_round_trips(|i| {
        sender.send(i, i)?;
        receiver.take(i).map(drop)
    })?;
    hist.finish()
}

fn pong<K: Kind>(called: &Called) -> eyre::Result<Metrics> {
    let (_node, sender, receiver) = ends::<K>(called, "back", "there")?;
    called.settle()?;
    for i in 0..sender.job.round_trips() {
        receiver.take(i)?;
        sender.send(i, i)?;
    }
    linger();
    Ok(Metrics::new())
}

fn paced_send<K: Kind>(called: &Called) -> eyre::Result<Metrics> {
    let (_node, direction) = direction::<K>(called, "there")?;
    let sender = direction.sender()?;
    called.settle()?;
    let metrics = sender.job.pace(|i| sender.send(monotonic_ns(), i));
    linger();
    metrics
}

fn paced_take<K: Kind>(called: &Called) -> eyre::Result<Metrics> {
    let (_node, direction) = direction::<K>(called, "there")?;
    let receiver = direction.receiver()?;
    called.settle()?;
    receiver.job.time_paced(|i| receiver.take(i))?.finish()
}

fn stream_send<K: Kind>(called: &Called) -> eyre::Result<Metrics> {
    let (_node, direction) = direction::<K>(called, "there")?;
    let sender = direction.sender()?;
    called.settle()?;
    sender.send(0, 0)?;
    // A reader connects with its first look; before that a full queue loses messages.
    linger();
    for i in 1..sender.job.count {
        sender.send(i, i)?;
    }
    linger();
    Ok(Metrics::new())
}

fn stream_take<K: Kind>(called: &Called) -> eyre::Result<Metrics> {
    let (_node, direction) = direction::<K>(called, "there")?;
    let receiver = direction.receiver()?;
    called.settle()?;
    // The first message comes before the sender lingers: it is no part of the stream.
    receiver.take(0)?;
    let stream = Job { count: receiver.job.count - 1, ..receiver.job };
    stream.time_stream(|i| receiver.take(i + 1).map(drop))
}
