//! `bench-c`: two nodes in C against two in Rust on the familiar API. The bar: at most 5 % more.
//!
//! What is done per message is in `node.c`, compiled by the C compiler against `node_api.h`. Around it are the loops, clocks and
//! processes of `bench-own`, the same for both languages.
#![expect(unsafe_code, reason = "calls C")]

use std::{ffi::CStr, ffi::c_int, ffi::c_void};

use bench_own::{
    Counts, PERIOD_NS,
    command::{self, Options},
    edge::Wait,
    nodes::{
        self, Api,
        Through::{Familiar, Other},
    },
    usage,
};
use bench_support::{Called, Figure, figure::Bar};
use eyre::bail;
use rt_tuning::{alloc_guard::AllocGuard, clock::monotonic_ns};

/// Counts what the measured threads ask of it.
#[global_allocator]
static GUARD: AllocGuard = AllocGuard;

/// Large messages, bytes.
const LARGE: u64 = 4 << 20;
/// Name of the roles.
const C: nodes::Through = Other("c");

unsafe extern "C" {
    fn bench_c_send(ctx: *mut c_void, count: usize, first: u64, number: u64) -> c_int;
    fn bench_c_take(ctx: *mut c_void, number: u64, is_tick: c_int, first: *mut u64) -> c_int;
}

/// A node in C.
struct Native {
    ctx: *mut c_void,
    /// When tick 0 was due: known from the first tick, because the launcher starts on a whole period.
    epoch: Option<u64>,
}

fn good(what: &str, status: c_int) -> eyre::Result<()> {
    if status != 0 {
        // SAFETY: the text ends with a zero and is alive until the next failure on this thread.
        let why = unsafe { CStr::from_ptr(dora_node_api_c::dora_last_error()) };
        bail!("{what}: {status}: {}", why.to_string_lossy());
    }
    Ok(())
}

impl Native {
    #[inline]
    fn first(&mut self, number: u64, is_tick: bool) -> eyre::Result<u64> {
        let mut first = 0;
        // SAFETY: the context is a handle, `first` a place for the result.
        good("take", unsafe { bench_c_take(self.ctx, number, c_int::from(is_tick), &mut first) })?;
        Ok(first)
    }
}

impl Api for Native {
    fn join(_size: usize) -> eyre::Result<Self> {
        let ctx = dora_node_api_c::init_dora_context_from_env();
        if ctx.is_null() {
            good("init", -1)?;
        }
        Ok(Self { ctx, epoch: None })
    }

    #[inline]
    fn send(&mut self, size: usize, first: u64, number: u64) -> eyre::Result<()> {
        // SAFETY: the context is a handle.
        good("send", unsafe { bench_c_send(self.ctx, size / size_of::<u64>(), first, number) })
    }

    #[inline]
    fn take(&mut self, number: u64) -> eyre::Result<u64> {
        self.first(number, false)
    }

    #[inline]
    fn tick(&mut self) -> eyre::Result<u64> {
        let tick = self.first(0, true)?;
        let (now, since) = (monotonic_ns(), tick * PERIOD_NS);
        let epoch = *self.epoch.get_or_insert(now / PERIOD_NS * PERIOD_NS - since);
        Ok(now - epoch - since)
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        dora_node_api_c::free_dora_context(self.ctx);
    }
}

fn figures(options: &Options) -> Vec<Figure<'static>> {
    let class = options.class;
    let Counts { spin, park, paced, stream } = options.counts;
    let five_percent = Bar::AtMost(1.05);
    vec![
        Figure::new("spin", "round trip / 2, both sides spin, 64 B, ns", &["p50"])
            .row("familiar API", 0, move || nodes::round_trip(Familiar, Wait::Spin, class, spin, 64))
            .barred("C API", 0, five_percent, move || nodes::round_trip(C, Wait::Spin, class, spin, 64)),
        Figure::new("park", "round trip / 2, both sides sleep, 64 B, ns", &["p50", "p99"])
            .row("familiar API", 0, move || nodes::round_trip(Familiar, Wait::Park, class, park, 64))
            .barred("C API", 0, five_percent, move || nodes::round_trip(C, Wait::Park, class, park, 64)),
        Figure::new("paced", "one way, 1 message per ms, the reader sleeps, ns", &["p50", "p99"])
            .row("familiar API, 64 B", 0, move || nodes::paced(Familiar, class, paced, 64))
            .barred("C API, 64 B", 0, five_percent, move || nodes::paced(C, class, paced, 64))
            .row("familiar API, 4 MB", 0, move || nodes::paced(Familiar, class, paced, LARGE))
            .barred("C API, 4 MB loan (against the familiar one)", 2, five_percent, move || {
                nodes::paced(C, class, paced, LARGE)
            }),
        Figure::new("throughput", "64 B back to back, none lost, messages per second", &["msg/s"])
            .rates()
            .row("familiar API", 0, move || nodes::stream(Familiar, Wait::Park, class, stream / 4, 64))
            .row("C API", 0, move || nodes::stream(C, Wait::Park, class, stream / 4, 64)),
        Figure::new("cost", "per round trip, both sides together", &usage::NAMES)
            .row("familiar API, 64 B, spinning", 0, move || {
                nodes::round_trip(Familiar, Wait::Spin, class, spin, 64)
            })
            .row("C API, 64 B, spinning", 0, move || nodes::round_trip(C, Wait::Spin, class, spin, 64)),
    ]
}

fn main() -> eyre::Result<()> {
    let Some(mut called) = Called::from_args()? else { return command::run(figures) };
    if nodes::play_as::<Native>("c", &mut called)? { Ok(()) } else { command::play(called) }
}
