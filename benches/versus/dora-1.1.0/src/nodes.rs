//! The nodes: what `bench_own::nodes` does, through the published API.
//!
//! A message is words of 8 bytes: its time or number first, its number last; of a small one all of them are written and
//! read.

use std::fs;

use bench_support::{
    Job, Metrics, Wait, Work,
    place::{Class, settle_with_helpers},
};
use dora_node_api::{DoraNode, Event, EventStream, MetadataParameters, dora_core::config::DataId};
use eyre::{WrapErr, bail, eyre};
use rt_tuning::clock::monotonic_ns;

use crate::reference::ENV_METRICS;

/// Payloads up to this size are written and read whole, bytes.
const WHOLE: usize = 4096;
/// Bytes of a word.
const WORD: usize = size_of::<u64>();

struct Node {
    node: DoraNode,
    events: EventStream,
    out: DataId,
    job: Job,
}

/// Plays the role that the controller wrote into the dataflow: `ROLE CORE CLASS NUMBERS`.
///
/// # Errors
/// Words that the controller did not write, what the node library refused, or a message that was not the expected one.
pub fn play(words: &str) -> eyre::Result<()> {
    let [role, core, class, numbers] = words.split(' ').collect::<Vec<_>>()[..] else {
        bail!("a node was told {words:?}");
    };
    let placed = class != "unplaced";
    let class = if class == "fifo" { Class::Fifo } else { Class::Other };
    if placed {
        settle_with_helpers(core.parse()?, class)?;
    }
    let (node, events) = DoraNode::init_from_env().map_err(|e| eyre!("{e:?}"))?;
    let mut node = Node { node, events, out: DataId::from("out".to_owned()), job: job_of(numbers, class)? };
    let metrics = match role {
        "ping" => node.ping()?,
        "pong" => node.pong()?,
        "paced-send" => node.paced_send()?,
        "paced-take" => node.paced_take()?,
        "stream-send" => node.stream_send()?,
        "stream-take" => node.stream_take()?,
        _ => bail!("unknown role {role}"),
    };
    if let Some(path) = std::env::var_os(ENV_METRICS) {
        fs::write(&path, serde_json::json!(metrics).to_string())
            .wrap_err_with(|| format!("failed to write {}", path.display()))?;
    }
    Ok(())
}

/// Leaves the other side time to read what was sent: what is on its way when a sender ends may be lost.
fn linger() {
    std::thread::sleep(std::time::Duration::from_secs(1));
}

fn job_of(numbers: &str, class: Class) -> eyre::Result<Job> {
    let numbers: Vec<u64> = numbers.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let [count, size, _, period_ns, batch, _] = numbers[..] else {
        bail!("a node was told {numbers:?}");
    };
    // The role says what is done; readers always sleep.
    Ok(Job { work: Work::Paced, wait: Wait::Park, class, size, count, period_ns, batch })
}

impl Node {
    #[inline]
    fn send(&mut self, first: u64, number: u64) -> eyre::Result<()> {
        let size = self.job.size as usize;
        let write = |bytes: &mut [u8]| {
            if size <= WHOLE {
                bytes.chunks_exact_mut(WORD).for_each(|word| word.copy_from_slice(&number.to_ne_bytes()));
            }
            bytes[size - WORD..].copy_from_slice(&number.to_ne_bytes());
            bytes[..WORD].copy_from_slice(&first.to_ne_bytes());
        };
        let sent = self.node.send_output_raw(self.out.clone(), MetadataParameters::new(), size, write);
        sent.map_err(|e| eyre!("message {number}: {e:?}"))
    }

    /// Waits for a message, checks that it is `number`, and returns its first word.
    #[inline]
    fn take(&mut self, number: u64) -> eyre::Result<u64> {
        let data = match self.events.recv() {
            Some(Event::Input { data, .. }) => data,
            other => bail!("expected message {number}, got {other:?}"),
        };
        let bytes: &[u8] = (&data).try_into().map_err(|e| eyre!("message {number}: {e:?}"))?;
        let word = |i: usize| -> u64 {
            let mut word = [0; WORD];
            word.copy_from_slice(&bytes[i * WORD..][..WORD]);
            u64::from_ne_bytes(word)
        };
        let words = bytes.len() / WORD;
        let rest = if bytes.len() <= WHOLE { 1..words } else { words - 1..words };
        for i in rest {
            if word(i) != number {
                bail!("message {} came in the place of {number}", word(i));
            }
        }
        Ok(word(0))
    }

    fn ping(&mut self) -> eyre::Result<Metrics> {
        let job = self.job;
        let hist = job.time_round_trips(|i| {
            self.send(i, i)?;
            self.take(i).map(drop)
        })?;
        hist.finish()
    }

    fn pong(&mut self) -> eyre::Result<Metrics> {
        for i in 0..self.job.round_trips() {
            self.take(i)?;
            self.send(i, i)?;
        }
        linger();
        Ok(Metrics::new())
    }

    fn paced_send(&mut self) -> eyre::Result<Metrics> {
        let job = self.job;
        let metrics = job.pace(|i| self.send(monotonic_ns(), i));
        linger();
        metrics
    }

    fn paced_take(&mut self) -> eyre::Result<Metrics> {
        let job = self.job;
        job.time_paced(|i| self.take(i))?.finish()
    }

    fn stream_send(&mut self) -> eyre::Result<Metrics> {
        for i in 0..self.job.count {
            self.send(i, i)?;
        }
        linger();
        Ok(Metrics::new())
    }

    fn stream_take(&mut self) -> eyre::Result<Metrics> {
        let job = self.job;
        job.time_stream(|i| self.take(i).map(drop))
    }
}
