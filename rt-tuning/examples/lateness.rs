//! How late timers and futex wake-ups are on each core, as `dora doctor --rt` measures them: one line per core, to be
//! compared with `cyclictest -m -S -p 80 -i 1000`.
//!
//! `cargo run --release -p rt-tuning --example lateness -- [seconds]` (default: 5 s on every core)

use std::{process::ExitCode, time::Duration};

use rt_tuning::{
    doctor::{self, Request},
    sched,
};

fn main() -> ExitCode {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(5);
    let request = Request::new(sched::allowed_current(), Duration::from_secs(seconds));
    match doctor::measure(&request, &mut |_| ()) {
        Ok(measured) => {
            measured.limited.iter().for_each(|limit| println!("{limit}"));
            for core in &measured.cores {
                println!("core {} timer {:?} missed {}", core.core, core.timer.summary(), core.missed);
                println!("core {} slept {:?} (as cyclictest counts)", core.core, core.slept.summary());
                println!("core {} wake  {:?} from {}", core.core, core.wake.summary(), core.wake_from);
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
