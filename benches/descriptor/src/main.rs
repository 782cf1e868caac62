//! How long it takes to look at a descriptor of a thousand nodes: read, checked, resolved. Exit code 1 when a bar is missed.
//!
//! ```sh
//! cargo run --release -p bench-descriptor
//! ```

mod flows;

use std::{hint::black_box, path::Path, time::Instant};

use bench_support::{Figure, Metrics, figure::Bar, machine};
use dora_descriptor::{
    Loaded,
    graph::Graph,
    load,
    timing::{Options, analyse},
};
use eyre::{bail, ensure};
use flows::{Flow, NODES};

/// Longest time that `dora validate` may look at [`NODES`] nodes, in milliseconds.
const BAR: Bar = Bar::Value(200.0);
const REPETITIONS: usize = 15;

fn loaded(file: &Path) -> eyre::Result<Loaded> {
    let loaded = load(file, &[])?;
    let count = loaded.dataflow.nodes.len();
    ensure!(count >= NODES, "the descriptor has {count} nodes only");
    Ok(loaded)
}

/// Milliseconds that the work takes.
fn timed<T>(work: impl FnOnce() -> eyre::Result<T>) -> eyre::Result<Metrics> {
    let start = Instant::now();
    let result = black_box(work()?);
    let took = start.elapsed();
    drop(result);
    Ok(Metrics::from([("ms".to_owned(), took.as_secs_f64() * 1e3)]))
}

fn main() -> eyre::Result<()> {
    if let Some(argument) = std::env::args().nth(1) {
        bail!("no arguments are known, not even {argument}");
    }
    for (name, value) in machine::facts() {
        println!("{name:>14}  {value}");
    }
    println!("{:>14}  {REPETITIONS}, in alternating order\n", "repetitions");
    let (plain, full, modules) = (Flow::plain()?, Flow::full()?, Flow::modules()?);
    let whole = loaded(&full.file)?;
    let figure = Figure::new("descriptor", format!("{NODES} nodes, ms"), &["ms"])
        .row("the file read, nothing more", 0, || timed(|| Ok(std::fs::read_to_string(&full.file)?)))
        .barred("two inputs per node", 0, BAR, || timed(|| loaded(&plain.file)))
        .barred("with types, real time, chains", 0, BAR, || timed(|| loaded(&full.file)))
        .barred("a hundred modules", 0, BAR, || timed(|| loaded(&modules.file)))
        .row("response times (validate --rt)", 0, || {
            timed(|| Ok(analyse(&whole.dataflow, &whole.annotations, &Options::default())))
        })
        .row("the page of dora graph", 0, || timed(|| Ok(Graph::new(&whole).html())));
    let measured = figure.measure(REPETITIONS)?;
    println!("{}", measured.table());
    std::process::exit(i32::from(!measured.all_met()))
}
