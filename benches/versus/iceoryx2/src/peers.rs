//! The work of `bench_own::edge`, done by iceoryx2: publish-subscribe, and for readers that sleep its event service
//! (the sender notifies after each message, the reader waits on a listener and then looks).
//!
//! Services are `ipc`, one per direction and run. Nothing is lost: no overflow, the publisher retries until
//! the message is delivered, as our `backpressure` does. Small messages are 64 bytes as a typed value, its fastest path; large
//! ones are byte slices of which, as with us, only the first and last byte are touched.
#![expect(unsafe_code, reason = "sends large loans without writing all of them")]

use bench_own::{BATCH, PERIOD_NS, WARM_UP, edge::Wait};
use bench_support::{
    Call, Called, Hist, Metrics,
    peer::{self, run},
    place::Class,
};
use eyre::{bail, eyre};
use iceoryx2::{
    port::{listener::Listener, notifier::Notifier, publisher::Publisher, subscriber::Subscriber},
    prelude::*,
    service::port_factory::{event, publish_subscribe},
};
use rt_tuning::clock::{monotonic_ns, sleep_until};

/// Messages that a direction holds, as in `bench_own`.
const LIMIT: usize = 100;

/// A small message. The first word is a number, or a time in nanoseconds.
type Small = [u64; 8];

type Svc = ipc::Service;

/// Pub-sub and event service of one direction, from one side.
struct Direction<P> {
    pubsub: P,
    event: event::PortFactory<Svc>,
}

macro_rules! direction {
    ($open:ident, $payload:ty) => {
        fn $open(
            node: &Node<Svc>,
            run: u64,
            name: &str,
        ) -> eyre::Result<Direction<publish_subscribe::PortFactory<Svc, $payload, ()>>> {
            let service =
                |kind| ServiceName::new(&format!("bench/{run}/{name}/{kind}")).map_err(|e| eyre!("{e:?}"));
            let pubsub = node
                .service_builder(&service("data")?)
                .publish_subscribe::<$payload>()
                .max_publishers(1)
                .max_subscribers(1)
                .subscriber_max_buffer_size(LIMIT)
                .enable_safe_overflow(false)
                .open_or_create()
                .map_err(|e| eyre!("{e:?}"))?;
            let event = node
                .service_builder(&service("event")?)
                .event()
                .open_or_create()
                .map_err(|e| eyre!("{e:?}"))?;
            Ok(Direction { pubsub, event })
        }
    };
}

direction!(open_small, Small);
direction!(open_large, [u8]);

type SmallDirection = Direction<publish_subscribe::PortFactory<Svc, Small, ()>>;

impl<P> Direction<P> {
    /// Waits until the other side reads: its listener is the last port it makes.
    fn await_reader(&self) {
        while self.event.dynamic_config().number_of_listeners() == 0 {
            std::thread::yield_now();
        }
    }

    /// Waits until the other side sends: its notifier is the last port it makes.
    fn await_sender(&self) {
        while self.event.dynamic_config().number_of_notifiers() == 0 {
            std::thread::yield_now();
        }
    }
}

/// The sending end.
struct Sender {
    publisher: Publisher<Svc, Small, ()>,
    notifier: Notifier<Svc>,
    /// Readers that spin need no notification.
    notify: bool,
}

impl Sender {
    fn new(direction: &SmallDirection, wait: Wait) -> eyre::Result<Self> {
        let publisher = direction
            .pubsub
            .publisher_builder()
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()
            .map_err(|e| eyre!("{e:?}"))?;
        let notifier = direction.event.notifier_builder().create().map_err(|e| eyre!("{e:?}"))?;
        direction.await_reader();
        Ok(Self { publisher, notifier, notify: wait == Wait::Park })
    }

    #[inline]
    fn send(&self, number: u64) -> eyre::Result<()> {
        let sample = self.publisher.loan_uninit().map_err(|e| eyre!("{e:?}"))?;
        let readers = sample.write_payload([number; 8]).send().map_err(|e| eyre!("{e:?}"))?;
        if readers != 1 {
            bail!("message {number} was not taken");
        }
        if self.notify {
            self.notifier.notify().map_err(|e| eyre!("{e:?}"))?;
        }
        Ok(())
    }
}

/// The receiving end.
struct Receiver {
    subscriber: Subscriber<Svc, Small, ()>,
    listener: Listener<Svc>,
    wait: Wait,
}

impl Receiver {
    fn new(direction: &SmallDirection, wait: Wait) -> eyre::Result<Self> {
        let subscriber = direction.pubsub.subscriber_builder().create().map_err(|e| eyre!("{e:?}"))?;
        let listener = direction.event.listener_builder().create().map_err(|e| eyre!("{e:?}"))?;
        Ok(Self { subscriber, listener, wait })
    }

    #[inline]
    fn take(&self) -> eyre::Result<Small> {
        loop {
            if let Some(sample) = self.subscriber.receive().map_err(|e| eyre!("{e:?}"))? {
                return Ok(*sample.payload());
            }
            match self.wait {
                Wait::Spin => std::hint::spin_loop(),
                Wait::Park => {
                    self.listener.blocking_wait(|_| {}).map_err(|e| eyre!("{e:?}"))?;
                }
            }
        }
    }

    #[inline]
    fn expect(&self, number: u64) -> eyre::Result<()> {
        if self.take()? == [number; 8] { Ok(()) } else { Err(eyre!("message {number} is not what was sent")) }
    }
}

/// Plays a role of this file; false when it is none.
///
/// # Errors
/// What iceoryx2 refused, or a message that was not the expected one.
pub fn play(called: &mut Called) -> eyre::Result<bool> {
    let role: fn(&mut Called) -> eyre::Result<Metrics> = match called.role.as_str() {
        "iox-ping" => ping,
        "iox-pong" => pong,
        "iox-paced-send" => paced_send,
        "iox-paced-take" => paced_take,
        "iox-large-send" => large_send,
        "iox-large-take" => large_take,
        "iox-stream-send" => stream_send,
        "iox-stream-take" => stream_take,
        _ => return Ok(false),
    };
    peer::print(&role(called)?);
    Ok(true)
}

/// Sender or first role on core 0, reader or second on core 1; the metrics of the second.
fn pair(roles: [&str; 2], class: Class, count: u64, wait: Wait, size: u64) -> eyre::Result<Metrics> {
    // The clock names the run: no two share a service.
    let numbers = [count, wait as u64, monotonic_ns(), size];
    let call = |core: usize| Call { role: roles[core], core, class, numbers: &numbers, fds: vec![] };
    Ok(run(&[call(0), call(1)])?.pop().unwrap_or_default())
}

/// Half a round trip of 64 bytes.
///
/// # Errors
/// As [`peer::run`].
pub fn round_trip(wait: Wait, class: Class, count: u64) -> eyre::Result<Metrics> {
    pair(["iox-pong", "iox-ping"], class, count, wait, 64)
}

/// One way, one message per millisecond, the reader sleeps.
///
/// # Errors
/// As [`peer::run`].
pub fn paced(class: Class, count: u64, size: u64) -> eyre::Result<Metrics> {
    let roles =
        if size == 64 { ["iox-paced-send", "iox-paced-take"] } else { ["iox-large-send", "iox-large-take"] };
    pair(roles, class, count, Wait::Park, size)
}

/// 64 bytes back to back: `msg/s`.
///
/// # Errors
/// As [`peer::run`].
pub fn stream(wait: Wait, class: Class, count: u64) -> eyre::Result<Metrics> {
    pair(["iox-stream-send", "iox-stream-take"], class, count, wait, 64)
}

fn node() -> eyre::Result<Node<Svc>> {
    set_log_level(LogLevel::Error);
    NodeBuilder::new().create::<Svc>().map_err(|e| eyre!("{e:?}"))
}

fn wait_of(called: &Called) -> eyre::Result<Wait> {
    Ok(if called.number(1)? == Wait::Spin as u64 { Wait::Spin } else { Wait::Park })
}

/// Node, counted messages, and both directions' ends for a round trip: the reader first, so that the other side finds it.
fn ends(called: &Called, out: &str, back: &str) -> eyre::Result<(Node<Svc>, Sender, Receiver)> {
    let (node, wait, run) = (node()?, wait_of(called)?, called.number(2)?);
    let (out, back) = (open_small(&node, run, out)?, open_small(&node, run, back)?);
    let receiver = Receiver::new(&back, wait)?;
    let sender = Sender::new(&out, wait)?;
    back.await_sender();
    Ok((node, sender, receiver))
}

fn ping(called: &mut Called) -> eyre::Result<Metrics> {
    let (_node, sender, receiver) = ends(called, "there", "back")?;
    let (count, batch) = (called.number(0)?, if receiver.wait == Wait::Spin { BATCH } else { 1 });
    called.settle()?;
    let mut hist = Hist::new();
    for first in (0..count / batch * batch).step_by(batch as usize) {
        let start = monotonic_ns();
        for i in first..first + batch {
            sender.send(i)?;
            receiver.expect(i)?;
        }
        if first >= WARM_UP {
            hist.record((monotonic_ns() - start) as f64 / (2 * batch) as f64);
        }
    }
    Ok(hist.metrics())
}

fn pong(called: &mut Called) -> eyre::Result<Metrics> {
    let (_node, sender, receiver) = ends(called, "back", "there")?;
    let (count, batch) = (called.number(0)?, if receiver.wait == Wait::Spin { BATCH } else { 1 });
    called.settle()?;
    for i in 0..count / batch * batch {
        receiver.expect(i)?;
        sender.send(i)?;
    }
    linger();
    Ok(Metrics::new())
}

/// Leaves the other side time to read what was sent: before a flood, and before our ports vanish.
fn linger() {
    std::thread::sleep(std::time::Duration::from_millis(20));
}

fn one_way(called: &Called) -> eyre::Result<(Node<Svc>, SmallDirection, Wait)> {
    let node = node()?;
    let direction = open_small(&node, called.number(2)?, "there")?;
    Ok((node, direction, wait_of(called)?))
}

fn paced_send(called: &mut Called) -> eyre::Result<Metrics> {
    let (_node, direction, wait) = one_way(called)?;
    let sender = Sender::new(&direction, wait)?;
    called.settle()?;
    let start = monotonic_ns() + 50 * PERIOD_NS;
    for i in 0..called.number(0)? {
        sleep_until(start + i * PERIOD_NS);
        sender.send(monotonic_ns())?;
    }
    linger();
    Ok(Metrics::new())
}

fn paced_take(called: &mut Called) -> eyre::Result<Metrics> {
    let (_node, direction, wait) = one_way(called)?;
    let receiver = Receiver::new(&direction, wait)?;
    called.settle()?;
    let mut hist = Hist::new();
    for i in 0..called.number(0)? {
        let message = receiver.take()?;
        let late = monotonic_ns() - message[0];
        if i >= WARM_UP {
            hist.record(late as f64);
        }
    }
    Ok(hist.metrics())
}

/// Bytes in front of a large message that carry its time.
const STAMP: usize = 8;

fn large_send(called: &mut Called) -> eyre::Result<Metrics> {
    let (node, size) = (node()?, called.number(3)? as usize);
    let direction = open_large(&node, called.number(2)?, "there")?;
    let publisher = direction
        .pubsub
        .publisher_builder()
        .initial_max_slice_len(size)
        .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
        .create()
        .map_err(|e| eyre!("{e:?}"))?;
    let notifier = direction.event.notifier_builder().create().map_err(|e| eyre!("{e:?}"))?;
    direction.await_reader();
    called.settle()?;
    let start = monotonic_ns() + 50 * PERIOD_NS;
    for i in 0..called.number(0)? {
        sleep_until(start + i * PERIOD_NS);
        let now = monotonic_ns();
        let mut sample = publisher.loan_slice_uninit(size).map_err(|e| eyre!("{e:?}"))?;
        let bytes = sample.payload_mut();
        for (to, from) in bytes[..STAMP].iter_mut().zip(now.to_ne_bytes()) {
            to.write(from);
        }
        bytes[size - 1].write(i as u8);
        // SAFETY: the rest is shared memory that the kernel handed out as zeros or that an earlier message filled:
        // any bits are valid bytes.
        unsafe { sample.assume_init() }.send().map_err(|e| eyre!("{e:?}"))?;
        notifier.notify().map_err(|e| eyre!("{e:?}"))?;
    }
    linger();
    Ok(Metrics::new())
}

fn large_take(called: &mut Called) -> eyre::Result<Metrics> {
    let node = node()?;
    let direction = open_large(&node, called.number(2)?, "there")?;
    let subscriber = direction.pubsub.subscriber_builder().create().map_err(|e| eyre!("{e:?}"))?;
    let listener = direction.event.listener_builder().create().map_err(|e| eyre!("{e:?}"))?;
    called.settle()?;
    let (mut hist, count) = (Hist::new(), called.number(0)?);
    let mut i = 0;
    while i < count {
        let Some(sample) = subscriber.receive().map_err(|e| eyre!("{e:?}"))? else {
            listener.blocking_wait(|_| {}).map_err(|e| eyre!("{e:?}"))?;
            continue;
        };
        let bytes = sample.payload();
        let mut stamp = [0; STAMP];
        stamp.copy_from_slice(&bytes[..STAMP]);
        let late = monotonic_ns() - u64::from_ne_bytes(stamp);
        if bytes[bytes.len() - 1] != i as u8 {
            bail!("message {i} is not what was sent");
        }
        if i >= WARM_UP {
            hist.record(late as f64);
        }
        i += 1;
    }
    Ok(hist.metrics())
}

fn stream_send(called: &mut Called) -> eyre::Result<Metrics> {
    let (_node, direction, wait) = one_way(called)?;
    let sender = Sender::new(&direction, wait)?;
    called.settle()?;
    sender.send(0)?;
    // A reader connects with its first look; before that a full queue loses messages.
    linger();
    for i in 1..called.number(0)? {
        sender.send(i)?;
    }
    linger();
    Ok(Metrics::new())
}

fn stream_take(called: &mut Called) -> eyre::Result<Metrics> {
    let (_node, direction, wait) = one_way(called)?;
    let receiver = Receiver::new(&direction, wait)?;
    let count = called.number(0)?;
    called.settle()?;
    receiver.expect(0)?;
    receiver.expect(1)?;
    let start = monotonic_ns();
    for i in 2..count {
        receiver.expect(i)?;
    }
    let rate = (count - 2) as f64 * 1e9 / (monotonic_ns() - start) as f64;
    Ok(Metrics::from([("msg/s".to_owned(), rate)]))
}
