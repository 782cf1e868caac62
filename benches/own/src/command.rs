//! The command line that all benchmarks share.

use bench_support::{Called, Figure, machine, place::Class, turn};
use eyre::bail;

use crate::Counts;

const USAGE: &str = "arguments: [--quick] [--other] [--json] [--repetitions N] [FIGURE…]
--quick   few messages, to see that it works
--other   SCHED_OTHER even where SCHED_FIFO is allowed
--json    lines of JSON instead of tables
exit code 1 when a bar is missed";

/// What was asked for.
pub struct Options {
    /// Messages per run.
    pub counts: Counts,
    /// Scheduling class of the measured threads.
    pub class: Class,
    json: bool,
    repetitions: usize,
    only: Vec<String>,
}

impl Options {
    fn from_args() -> eyre::Result<Self> {
        let mut options = Self {
            counts: Counts::FULL,
            class: Class::best(),
            json: false,
            repetitions: 5,
            only: Vec::new(),
        };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--quick" => (options.counts, options.repetitions) = (Counts::QUICK, 3),
                "--other" => options.class = Class::Other,
                "--json" => options.json = true,
                "--repetitions" => match args.next().and_then(|n| n.parse().ok()) {
                    Some(n) if n >= 1 => options.repetitions = n,
                    _ => bail!("--repetitions wants a number\n{USAGE}"),
                },
                name if !name.starts_with('-') => options.only.push(name.to_owned()),
                _ => bail!("unknown option {arg}\n{USAGE}"),
            }
        }
        Ok(options)
    }

    fn wants(&self, figure: &Figure<'_>) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == figure.id())
    }

    fn print_machine(&self) {
        let (class, n) = (self.class, self.repetitions);
        let facts = machine::facts();
        if self.json {
            println!(
                "{}",
                serde_json::json!({ "machine": facts, "class": class.to_string(), "repetitions": n })
            );
            return;
        }
        for (name, value) in &facts {
            println!("{name:>14}  {value}");
        }
        println!("{:>14}  {class}, two pinned processes, memory locked", "measured under");
        println!("{:>14}  {n}, contestants in alternating order\n", "repetitions");
    }
}

/// Plays a role of this crate in a process that [`bench_support::peer::run`] started.
///
/// # Errors
/// As [`crate::play`]; also when there is no such role.
pub fn play(mut called: Called) -> eyre::Result<()> {
    if crate::play(&mut called)? { Ok(()) } else { bail!("unknown role {}", called.role) }
}

/// The controller: measures and prints the figures that were asked for, and ends the process: 1 when a bar is missed.
///
/// # Errors
/// Unknown arguments, or a run that failed.
pub fn run<'a>(figures: impl Fn(&Options) -> Vec<Figure<'a>>) -> eyre::Result<()> {
    let options = Options::from_args()?;
    let figures = figures(&options);
    if let Some(unknown) = options.only.iter().find(|name| figures.iter().all(|f| f.id() != *name)) {
        let known: Vec<_> = figures.iter().map(Figure::id).collect();
        bail!("unknown figure {unknown}; there are {}\n{USAGE}", known.join(", "));
    }
    let _turn = turn::wait();
    options.print_machine();
    let mut met = true;
    for figure in figures.iter().filter(|f| options.wants(f)) {
        let measured = figure.measure(options.repetitions)?;
        met &= measured.all_met();
        if options.json { print!("{}", measured.json_lines()) } else { println!("{}", measured.table()) }
    }
    std::process::exit(i32::from(!met))
}
