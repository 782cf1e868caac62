//! Figures: contestants at the same work, repeated in alternating order, printed side by side.
//!
//! Ratios are taken within a repetition, where both sides met the same noise, and the median of them counts.
//! `best / best` compares the luckiest repetition of each side: on a busy machine it is the cleaner number.

use std::{collections::BTreeMap, fmt::Write as _};

/// What one run of one contestant measured, by name; times in nanoseconds.
pub type Metrics = BTreeMap<String, f64>;

/// What must hold between a contestant and the one it is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bar {
    /// The ratio is at most this.
    AtMost(f64),
    /// The ratio is at least this.
    AtLeast(f64),
    /// No value, whatever it is compared with, is above this.
    Value(f64),
}

impl Bar {
    fn met(self, ratio: Option<f64>, values: &[f64]) -> Option<bool> {
        match self {
            Bar::AtMost(limit) => Some(ratio? <= limit),
            Bar::AtLeast(limit) => Some(ratio? >= limit),
            Bar::Value(limit) => Some(values.iter().all(|v| *v <= limit)),
        }
    }
}

impl std::fmt::Display for Bar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Bar::AtMost(limit) => write!(f, "<= {limit}"),
            Bar::AtLeast(limit) => write!(f, ">= {limit}"),
            Bar::Value(limit) => write!(f, "value <= {limit}"),
        }
    }
}

/// One side of a figure.
pub struct Contestant<'a> {
    label: String,
    run: Box<dyn Fn() -> eyre::Result<Metrics> + 'a>,
    against: usize,
    bar: Option<Bar>,
}

/// A figure: a title, what is read off, and who takes part. The first contestant is the floor.
pub struct Figure<'a> {
    id: &'static str,
    title: String,
    metrics: &'static [&'static str],
    /// Metrics that are shown but judged by no bar.
    shown_only: &'static [&'static str],
    larger_is_better: bool,
    contestants: Vec<Contestant<'a>>,
}

impl<'a> Figure<'a> {
    /// A figure of times.
    pub fn new(id: &'static str, title: impl Into<String>, metrics: &'static [&'static str]) -> Self {
        Self {
            id,
            title: title.into(),
            metrics,
            shown_only: &[],
            larger_is_better: false,
            contestants: Vec::new(),
        }
    }

    /// A figure of rates: `best` is the largest.
    pub fn rates(mut self) -> Self {
        self.larger_is_better = true;
        self
    }

    /// These metrics are shown, but no bar judges them: the largest of a few thousand values is the machine's.
    pub fn show_only(mut self, metrics: &'static [&'static str]) -> Self {
        self.shown_only = metrics;
        self
    }

    /// Adds a contestant, compared with number `against` (0 is the floor), without a bar.
    pub fn row(
        self,
        label: impl Into<String>,
        against: usize,
        run: impl Fn() -> eyre::Result<Metrics> + 'a,
    ) -> Self {
        self.push(label.into(), against, None, Box::new(run))
    }

    /// Adds a contestant that has to meet a bar against number `against`.
    pub fn barred(
        self,
        label: impl Into<String>,
        against: usize,
        bar: Bar,
        run: impl Fn() -> eyre::Result<Metrics> + 'a,
    ) -> Self {
        self.push(label.into(), against, Some(bar), Box::new(run))
    }

    fn push(
        mut self,
        label: String,
        against: usize,
        bar: Option<Bar>,
        run: Box<dyn Fn() -> eyre::Result<Metrics> + 'a>,
    ) -> Self {
        self.contestants.push(Contestant { label, run, against, bar });
        self
    }

    /// Its short name, for choosing it on the command line.
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// Runs every contestant `repetitions` times, in alternating order.
    ///
    /// # Errors
    /// The first run that fails.
    pub fn measure(&self, repetitions: usize) -> eyre::Result<Measured> {
        let mut runs: Vec<Vec<Metrics>> = vec![Vec::new(); self.contestants.len()];
        for repetition in 0..repetitions {
            let mut order: Vec<usize> = (0..self.contestants.len()).collect();
            if repetition % 2 == 1 {
                order.reverse();
            }
            for i in order {
                let contestant = &self.contestants[i];
                let metrics = (contestant.run)()
                    .map_err(|e| e.wrap_err(format!("{}: {} failed", self.id, contestant.label)))?;
                runs[i].push(metrics);
            }
        }
        let mut rows = Vec::new();
        for metric in self.metrics {
            for (i, contestant) in self.contestants.iter().enumerate() {
                rows.push(self.row_of(metric, i, contestant, &runs));
            }
        }
        Ok(Measured { title: self.title.clone(), rows })
    }

    fn row_of(&self, metric: &str, i: usize, contestant: &Contestant<'_>, runs: &[Vec<Metrics>]) -> Row {
        let values = |i: usize| -> Vec<f64> {
            runs[i].iter().map(|m| m.get(metric).copied().unwrap_or(f64::NAN)).collect()
        };
        let mine = values(i);
        let compared = (contestant.against != i).then(|| {
            let theirs = values(contestant.against);
            let pairs: Vec<f64> = mine.iter().zip(&theirs).map(|(a, b)| a / b).collect();
            (median(&pairs), self.best(&mine) / self.best(&theirs))
        });
        Row {
            figure: self.id,
            metric: metric.to_owned(),
            label: contestant.label.clone(),
            against: compared.map(|_| self.contestants[contestant.against].label.clone()),
            // Nothing against nothing is no ratio.
            ratio: compared.map(|c| c.0).filter(|r| r.is_finite()),
            ratio_of_best: compared.map(|c| c.1).filter(|r| r.is_finite()),
            bar: contestant.bar.filter(|_| !self.shown_only.contains(&metric)),
            median: median(&mine),
            best: self.best(&mine),
            worst: if self.larger_is_better { min(&mine) } else { max(&mine) },
            values: mine,
        }
    }

    fn best(&self, values: &[f64]) -> f64 {
        if self.larger_is_better { max(values) } else { min(values) }
    }
}

/// One line of a measured figure.
pub struct Row {
    figure: &'static str,
    metric: String,
    label: String,
    against: Option<String>,
    values: Vec<f64>,
    median: f64,
    best: f64,
    worst: f64,
    ratio: Option<f64>,
    ratio_of_best: Option<f64>,
    bar: Option<Bar>,
}

/// A figure with its values.
pub struct Measured {
    title: String,
    rows: Vec<Row>,
}

impl Measured {
    /// One JSON object per line.
    pub fn json_lines(&self) -> String {
        let mut text = String::new();
        for r in &self.rows {
            let line = serde_json::json!({
                "figure": r.figure, "metric": r.metric, "label": r.label, "median": r.median, "best": r.best,
                "worst": r.worst, "values": r.values, "against": r.against, "ratio": r.ratio,
                "ratio_of_best": r.ratio_of_best, "bar": r.bar.map(|b| b.to_string()), "met": r.met(),
            });
            // Writing to a String cannot fail.
            writeln!(text, "{line}").ok();
        }
        text
    }

    /// An aligned table.
    pub fn table(&self) -> String {
        let mut lines =
            vec![["", "", "median", "best", "worst", "ratio", "best/best", "bar", ""].map(str::to_owned)];
        for r in &self.rows {
            let ratio = |x: Option<f64>| x.map_or(String::new(), |x| format!("{x:.2}"));
            let verdict = r.met().map_or("", |met| if met { "met" } else { "MISSED" });
            lines.push([
                r.metric.clone(),
                r.label.clone(),
                number(r.median),
                number(r.best),
                number(r.worst),
                ratio(r.ratio),
                ratio(r.ratio_of_best),
                r.bar.map_or(String::new(), |b| b.to_string()),
                verdict.to_owned(),
            ]);
        }
        let width = |c: usize| lines.iter().map(|l| l[c].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..9).map(width).collect();
        let mut text = format!("{}\n", self.title);
        for line in &lines {
            let mut out = String::new();
            for (c, (cell, width)) in line.iter().zip(&widths).enumerate() {
                let pad = " ".repeat(width - cell.chars().count());
                let cell = if (2..7).contains(&c) { format!("{pad}{cell}") } else { format!("{cell}{pad}") };
                out += &format!("  {cell}");
            }
            text += out.trim_end();
            text.push('\n');
        }
        text
    }

    /// Did every row with a bar meet it?
    pub fn all_met(&self) -> bool {
        self.rows.iter().all(|r| r.met() != Some(false))
    }
}

impl Row {
    fn met(&self) -> Option<bool> {
        self.bar?.met(self.ratio, &self.values)
    }
}

/// Three or four significant digits.
fn number(x: f64) -> String {
    match x.abs() {
        a if a >= 1e6 => format!("{:.2}M", x / 1e6),
        a if a >= 100.0 => format!("{x:.0}"),
        a if a < 0.05 && a > 0.0 => format!("{x:.6}"),
        _ => format!("{x:.1}"),
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

fn min(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn max(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    fn one(value: f64) -> Metrics {
        Metrics::from([("p50".to_owned(), value)])
    }

    #[test]
    fn contestants_take_turns_in_going_first() {
        let order = RefCell::new(String::new());
        let figure = Figure::new("x", "x", &["p50"])
            .row("floor", 0, || {
                order.borrow_mut().push('f');
                Ok(one(1.0))
            })
            .row("ours", 0, || {
                order.borrow_mut().push('o');
                Ok(one(2.0))
            });
        figure.measure(3).unwrap();
        assert_eq!(*order.borrow(), "fooffo");
    }

    #[test]
    fn a_disturbed_repetition_does_not_move_the_ratio() {
        let n = Cell::new(0);
        let noise = || if n.get() == 1 { 50.0 } else { 1.0 };
        let figure = Figure::new("x", "x", &["p50"]).row("floor", 0, || Ok(one(10.0 * noise()))).barred(
            "ours",
            0,
            Bar::AtMost(1.2),
            || {
                let value = 11.0 * noise();
                n.set(n.get() + 1);
                Ok(one(value))
            },
        );
        let measured = figure.measure(1).unwrap();
        assert!(measured.all_met());
        let json = measured.json_lines();
        assert!(json.contains(r#""met":true"#), "{json}");
    }

    #[test]
    fn a_missed_bar_is_said_in_table_and_json() {
        let figure = Figure::new("x", "x", &["p50"]).row("floor", 0, || Ok(one(10.0))).barred(
            "ours",
            0,
            Bar::AtMost(1.2),
            || Ok(one(13.0)),
        );
        let measured = figure.measure(3).unwrap();
        assert!(!measured.all_met());
        assert!(measured.table().contains("MISSED"));
        assert!(measured.json_lines().contains(r#""met":false"#));
    }

    #[test]
    fn rates_take_the_largest_as_best() {
        let n = Cell::new(0.0);
        let figure = Figure::new("x", "x", &["p50"]).rates().row("floor", 0, || {
            n.set(n.get() + 1.0);
            Ok(one(n.get()))
        });
        assert!(figure.measure(3).unwrap().json_lines().contains(r#""best":3.0"#));
    }
}
