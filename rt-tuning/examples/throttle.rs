//! Measures how long the kernel stops a SCHED_FIFO thread that never sleeps, alone and against an ordinary thread.
//!
//! `cargo run --release -p rt-tuning --example throttle -- [core] [seconds]` (default: the last core, 5 s)

use std::{process::ExitCode, time::Duration};

use rt_tuning::{sched, throttle};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let last = sched::allowed_current().last().copied().unwrap_or(0);
    let core = args.next().and_then(|text| text.parse().ok()).unwrap_or(last);
    let seconds = args.next().and_then(|text| text.parse().ok()).unwrap_or(5);

    match throttle::runtime_ns_period_ns() {
        Ok((Some(runtime), period)) => {
            println!("configured: {} ms of {} ms", runtime / 1_000_000, period / 1_000_000)
        }
        Ok((None, _)) => println!("configured: off"),
        Err(error) => println!("configured: unknown ({error})"),
    }
    println!("SCHED_FIFO 50, spinning on core {core} for {seconds} s");
    println!(
        "{:<28}{:>10}{:>8}{:>14}{:>14}{:>16}",
        "", "off core", "stops", "stopped ms", "longest ms", "competitor ms"
    );
    for (name, compete) in [("alone", false), ("with an ordinary spinner", true)] {
        match throttle::measure(core, Duration::from_secs(seconds), compete) {
            Ok(s) => println!(
                "{name:<28}{:>9.3}%{:>8}{:>14.3}{:>14.3}{:>16.3}",
                s.off_core_percent(),
                s.stops,
                s.stopped_ns as f64 / 1e6,
                s.longest_ns as f64 / 1e6,
                s.competitor_ns as f64 / 1e6
            ),
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
