//! An edge beside rtrb, a ring on the heap of one process: two threads, messages of 64 bytes back to back.
//!
//! rtrb moves its entries and knows nothing of processes, sleepers, metadata or distrust; an entry there has the
//! same two cache lines as in our ring.

use bench_support::{
    Metrics,
    place::{Class, settle},
};
use eyre::eyre;
use lockfree_ipc::{
    ArenaSpec, Doorbell, EdgeSpec, Header, MAX_HELD, Policy, Publisher, Subscriber, arena, doorbell, edge,
};
use rt_tuning::clock::monotonic_ns;

/// Messages that either ring holds.
const LIMIT: u32 = 128;

type Entry = [u64; 16];

/// Runs `send` on core 0 and `take` on core 1, as threads; messages per second as the reader saw them.
fn race(
    class: Class,
    count: u64,
    mut send: impl FnMut(u64) -> eyre::Result<()> + Send,
    mut take: impl FnMut(u64) -> eyre::Result<()> + Send,
) -> eyre::Result<Metrics> {
    std::thread::scope(|scope| {
        let sender = scope.spawn(move || -> eyre::Result<()> {
            settle(0, class)?;
            (0..count).try_for_each(&mut send)
        });
        let reader = scope.spawn(move || -> eyre::Result<f64> {
            settle(1, class)?;
            take(0)?;
            let start = monotonic_ns();
            (1..count).try_for_each(&mut take)?;
            Ok((count - 1) as f64 * 1e9 / (monotonic_ns() - start) as f64)
        });
        sender.join().map_err(|_| eyre!("the sender panicked"))??;
        let rate = reader.join().map_err(|_| eyre!("the reader panicked"))??;
        Ok(Metrics::from([("msg/s".to_owned(), rate)]))
    })
}

/// rtrb.
///
/// # Errors
/// A refused placement, or a message that was not the expected one.
pub fn rtrb(class: Class, count: u64) -> eyre::Result<Metrics> {
    let (mut producer, mut consumer) = rtrb::RingBuffer::<Entry>::new(LIMIT as usize);
    let send = move |i: u64| {
        let mut entry = [i; 16];
        while let Err(rtrb::PushError::Full(back)) = producer.push(entry) {
            entry = back;
            std::hint::spin_loop();
        }
        Ok(())
    };
    let take = move |i: u64| loop {
        match consumer.pop() {
            Ok(entry) if entry == [i; 16] => return Ok(()),
            Ok(_) => return Err(eyre!("message {i} is not what was sent")),
            Err(_) => std::hint::spin_loop(),
        }
    };
    race(class, count, send, take)
}

/// A whole edge: publisher, ring, doorbell, subscriber.
///
/// # Errors
/// As [`rtrb`].
pub fn edge(class: Class, count: u64) -> eyre::Result<Metrics> {
    let spec = ArenaSpec { outstanding: LIMIT + MAX_HELD + 8, ..ArenaSpec::default() };
    let arena = arena::create(&spec, [1; 16])?;
    let fd = edge::create(&EdgeSpec { limit: LIMIT, policy: Policy::Backpressure, arena: spec })?;
    let mut publisher = Publisher::open(arena.write, None, None)?;
    publisher.add_edge(0, fd.try_clone()?, Doorbell::open(doorbell::create()?, None)?)?;
    let mut subscriber = Subscriber::open(fd, arena.read)?;
    let header = Header::default();
    let send = move |i: u64| {
        let mut loan = publisher.loan(64, 0)?;
        for word in loan.payload_mut().chunks_exact_mut(8) {
            word.copy_from_slice(&i.to_ne_bytes());
        }
        publisher.send(loan, &header);
        Ok(())
    };
    let take = move |i: u64| loop {
        if let Some(sample) = subscriber.take()? {
            if sample.payload().chunks_exact(8).all(|word| word == i.to_ne_bytes()) {
                return Ok(());
            }
            return Err(eyre!("message {i} is not what was sent"));
        }
        std::hint::spin_loop();
    };
    race(class, count, send, take)
}
