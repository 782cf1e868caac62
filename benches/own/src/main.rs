//! `own`: prints our figures beside their floors, as tables and as lines of JSON; or does one run for a driver.

use bench_own::{
    Counts,
    command::{self, Options},
    edge::{self, Wait},
    floors,
    nodes::{
        self,
        Through::{Familiar, Rt},
    },
    operators, usage, yardstick,
};
use bench_support::{Called, Figure, Job, Metrics, figure::Bar, job};
use rt_tuning::alloc_guard::AllocGuard;

/// Counts what the measured threads of the nodes ask of it.
#[global_allocator]
static GUARD: AllocGuard = AllocGuard;

/// Large messages of the paced figure, bytes.
const LARGE: u64 = 4 << 20;

fn figures(options: &Options) -> Vec<Figure<'static>> {
    let class = options.class;
    let Counts { spin, park, paced, stream } = options.counts;
    vec![
        Figure::new("spin", "round trip / 2, both sides spin, ns", &["p50"])
            .row("bare cache line", 0, move || floors::handoff(class, spin))
            .barred("edge, 64 B", 0, Bar::AtMost(1.5), move || edge::round_trip(Wait::Spin, class, spin, 64))
            .row("RT API, 64 B", 0, move || nodes::round_trip(Rt, Wait::Spin, class, spin, 64))
            .row("familiar API, 64 B", 0, move || nodes::round_trip(Familiar, Wait::Spin, class, spin, 64)),
        Figure::new("park", "round trip / 2, both sides sleep, ns", &["p50", "p99"])
            .row("bare futex", 0, move || floors::futex(class, park))
            .barred("edge, 64 B", 0, Bar::AtMost(1.1), move || edge::round_trip(Wait::Park, class, park, 64))
            .barred("RT API, 64 B", 0, Bar::AtMost(1.1), move || {
                nodes::round_trip(Rt, Wait::Park, class, park, 64)
            })
            .row("familiar API, 64 B", 0, move || nodes::round_trip(Familiar, Wait::Park, class, park, 64)),
        Figure::new("paced", "one way, 1 message per ms, the reader sleeps, ns", &["p50", "p99"])
            .row("bare futex", 0, move || floors::paced(class, paced))
            .barred("edge, 64 B", 0, Bar::AtMost(1.2), move || edge::paced(class, paced, 64))
            .barred("edge, 4 MB loan (against 64 B)", 1, Bar::AtMost(1.2), move || {
                edge::paced(class, paced, LARGE)
            })
            .barred("RT API, 64 B", 0, Bar::AtMost(1.2), move || nodes::paced(Rt, class, paced, 64))
            .barred("RT API, 4 MB loan (against 64 B)", 3, Bar::AtMost(1.2), move || {
                nodes::paced(Rt, class, paced, LARGE)
            })
            .row("familiar API, 64 B", 0, move || nodes::paced(Familiar, class, paced, 64))
            .barred("familiar API, 4 MB (against 64 B)", 5, Bar::AtMost(1.2), move || {
                nodes::paced(Familiar, class, paced, LARGE)
            }),
        Figure::new("timer", "1 kHz timer, lateness, ns", &["p50", "p99", "max"])
            .show_only(&["max"])
            .row("bare clock_nanosleep", 0, move || floors::timer(class, paced))
            .barred("doorbell deadline", 0, Bar::AtMost(1.2), move || edge::timer(class, paced))
            .barred("RT API, timer input", 0, Bar::AtMost(1.2), move || nodes::timer(Rt, class, paced))
            .row("familiar API, timer input", 0, move || nodes::timer(Familiar, class, paced)),
        Figure::new("operators", "operator to operator in one process, one hand-over, ns", &["p50"])
            .row("bare cache line", 0, move || floors::handoff(class, spin))
            .barred("one thread, 64 B", 0, Bar::Value(100.0), move || operators::one_thread(class, spin, 64))
            .barred("one thread, 4 MB", 0, Bar::Value(100.0), move || {
                operators::one_thread(class, spin, LARGE)
            })
            .barred("two threads, 64 B (against the edge)", 5, Bar::AtMost(1.0), move || {
                operators::to_and_fro(class, spin, 64)
            })
            .barred("two threads, 4 MB (against the edge)", 5, Bar::AtMost(1.0), move || {
                operators::to_and_fro(class, spin, LARGE)
            })
            .row("edge between nodes, 64 B", 0, move || edge::round_trip(Wait::Spin, class, spin, 64))
            .row("two threads, 64 B, one way with a clock", 0, move || operators::one_way(class, spin, 64)),
        Figure::new("chain", "1 kHz: from due to the begin of the last, ns", &["p50", "p99", "max"])
            .show_only(&["max"])
            .row("bare clock_nanosleep", 0, move || floors::timer(class, paced))
            .row("one node, RT API, timer input", 0, move || nodes::timer(Rt, class, paced))
            .barred("ten operators (against the node)", 1, Bar::AtMost(1.2), move || {
                operators::ten_at_a_kilohertz(class, paced, 64)
            }),
        Figure::new("throughput", "64 B back to back, none lost, messages per second", &["msg/s"])
            .rates()
            .row("edge, the reader spins", 0, move || edge::stream(Wait::Spin, class, stream, 64))
            .row("edge, the reader sleeps", 0, move || edge::stream(Wait::Park, class, stream, 64))
            .row("RT API, the reader spins", 0, move || nodes::stream(Rt, Wait::Spin, class, stream, 64))
            .row("RT API, the reader sleeps", 0, move || nodes::stream(Rt, Wait::Park, class, stream, 64))
            .row("familiar API, the reader sleeps", 0, move || {
                nodes::stream(Familiar, Wait::Park, class, stream / 4, 64)
            }),
        Figure::new("cost", "per round trip, both sides together", &usage::NAMES)
            .barred("RT API, 64 B, spinning", 0, Bar::Value(0.0), move || {
                nodes::round_trip(Rt, Wait::Spin, class, spin, 64)
            })
            .barred("RT API, 4 KB, spinning", 0, Bar::Value(0.0), move || {
                nodes::round_trip(Rt, Wait::Spin, class, spin, 4096)
            })
            .row("familiar API, 64 B, spinning", 0, move || {
                nodes::round_trip(Familiar, Wait::Spin, class, spin, 64)
            }),
        Figure::new("ring", "64 B back to back between two threads, messages per second", &["msg/s"])
            .rates()
            .row("rtrb, 128 B entries", 0, move || yardstick::rtrb(class, stream))
            .row("edge", 0, move || yardstick::edge(class, stream)),
    ]
}

/// A contestant of a driver, by name.
fn contestant(name: &str, job: &Job) -> Option<eyre::Result<Metrics>> {
    Some(match name {
        "floor" => floors::one(job),
        "edge" => edge::one(job),
        "rt" => nodes::one(Rt, job),
        "familiar" => nodes::one(Familiar, job),
        _ => return None,
    })
}

fn main() -> eyre::Result<()> {
    match Called::from_args()? {
        Some(called) => command::play(called),
        None if job::serve(contestant)? => Ok(()),
        None => command::run(figures),
    }
}
