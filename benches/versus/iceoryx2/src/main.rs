//! `versus-iceoryx2`: iceoryx2 and lockfree-ipc at the same work, in the same run, with the floor beside them.
//!
//! Takes the arguments of `own`. For a driver, the contestant is `iceoryx2`.

mod peers;

use bench_own::{
    Counts,
    command::{self, Options},
    edge::{self, Wait},
    floors, job,
};
use bench_support::{Called, Figure, Work, figure::Bar, job::serve};

/// Large messages, bytes.
const LARGE: u64 = 4 << 20;

fn figures(options: &Options) -> Vec<Figure<'static>> {
    let class = options.class;
    let Counts { spin, park, paced, stream } = options.counts;
    vec![
        Figure::new("spin", "round trip / 2, 64 B, both sides spin, ns", &["p50"])
            .row("iceoryx2", 0, move || peers::one(&job(Work::RoundTrip, Wait::Spin, class, spin, 64)))
            .barred("edge", 0, Bar::AtMost(1.0), move || edge::round_trip(Wait::Spin, class, spin, 64))
            .row("bare cache line", 0, move || floors::handoff(class, spin)),
        Figure::new("park", "round trip / 2, 64 B, both sides sleep, ns", &["p50", "p99"])
            .row("iceoryx2, listener", 0, move || {
                peers::one(&job(Work::RoundTrip, Wait::Park, class, park, 64))
            })
            .barred("edge", 0, Bar::AtMost(1.0), move || edge::round_trip(Wait::Park, class, park, 64))
            .row("bare futex", 0, move || floors::futex(class, park)),
        Figure::new("paced", "one way, 1 message per ms, the reader sleeps, ns", &["p50", "p99"])
            .row("iceoryx2, 64 B", 0, move || peers::one(&job(Work::Paced, Wait::Park, class, paced, 64)))
            .barred("edge, 64 B", 0, Bar::AtMost(1.0), move || edge::paced(class, paced, 64))
            .row("iceoryx2, 4 MB loan", 0, move || {
                peers::one(&job(Work::Paced, Wait::Park, class, paced, LARGE))
            })
            .barred("edge, 4 MB loan", 2, Bar::AtMost(1.0), move || edge::paced(class, paced, LARGE))
            .row("bare futex", 0, move || floors::paced(class, paced)),
        Figure::new("throughput", "64 B back to back, none lost, messages per second", &["msg/s"])
            .rates()
            .row("iceoryx2, the reader spins", 0, move || {
                peers::one(&job(Work::Stream, Wait::Spin, class, stream, 64))
            })
            .barred("edge, the reader spins", 0, Bar::AtLeast(3.0), move || {
                edge::stream(Wait::Spin, class, stream, 64)
            })
            .row("iceoryx2, the reader sleeps", 0, move || {
                peers::one(&job(Work::Stream, Wait::Park, class, stream / 10, 64))
            })
            .barred("edge, the reader sleeps", 2, Bar::AtLeast(3.0), move || {
                edge::stream(Wait::Park, class, stream, 64)
            }),
    ]
}

fn main() -> eyre::Result<()> {
    match Called::from_args()? {
        Some(mut called) => {
            if !peers::play(&mut called)? {
                command::play(called)?;
            }
            Ok(())
        }
        None if serve(|name, job| (name == "iceoryx2").then(|| peers::one(job)))? => Ok(()),
        None => command::run(figures),
    }
}
