//! `dora validate --rt` and `dora run --profile`: response times before the start, and what they are computed from.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path, thread, time::Duration};

use dora_daemon::report::RunReport;
use dora_descriptor::{
    Loaded,
    timing::{
        Analysis, Check, CostSource, NodeProfile, NodeTiming, Options, Outcome, Profile, Suggestion, analyse,
        suggest, time,
    },
};

use crate::{
    args::TimingArgs,
    display::table::{Align, Table},
    error::{CliError, CliResult},
};

/// Prints the analysis.
///
/// # Errors
/// When a deadline or a chain cannot hold, or the profile cannot be read.
pub(super) fn check(loaded: &Loaded, args: &TimingArgs) -> CliResult {
    let profile = args.profile.as_deref().map(read).transpose()?;
    let options = Options { hop: args.hop, blocking: args.blocking, profile };
    let analysis = analyse(&loaded.dataflow, &loaded.annotations, &options);
    print!("\n{}", text(&analysis));
    if args.suggest {
        let here = || {
            thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX))
        };
        let cores = args.cores.map_or_else(here, |cores| u32::from(cores.get()));
        print!("\n{}", proposal(&suggest(&loaded.dataflow, &loaded.annotations, &options, cores), cores));
    }
    let failed: Vec<String> = analysis.failed().map(|check| check.what.clone()).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let error = CliError::new(format!("cannot be held: {}", failed.join(", ")));
    Err(if args.suggest { error } else { error.hint("`--suggest` proposes priorities and cores") })
}

fn read(path: &Path) -> CliResult<Profile> {
    let failed = || format!("failed to read the profile {}", path.display());
    let text = fs::read_to_string(path).map_err(|error| CliError::new(failed()).caused_by(&error))?;
    Profile::parse(&text).map_err(|why| CliError::new(format!("{}: {why}", failed())))
}

/// Writes what a run has measured.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn write_profile(path: &Path, report: &RunReport) -> CliResult {
    let node = |node: &dora_daemon::report::NodeReport| {
        let outputs = node.outputs.iter().map(|output| (output.output.clone(), output.sent)).collect();
        let handler = node.handler;
        let to_it = |port: &str| port.split_once('/').is_some_and(|(reader, _)| reader == node.node);
        let missed = report.timers.iter().filter(|timer| to_it(&timer.to)).map(|timer| timer.missed);
        let dropped = report.edges.iter().filter(|edge| to_it(&edge.to)).map(|edge| edge.overwritten);
        let profile = NodeProfile {
            events: handler.count,
            p999_us: handler.p999_us,
            max_us: handler.max_us,
            lost: missed.chain(dropped).sum(),
            outputs,
        };
        (node.node.clone(), profile)
    };
    let nodes: BTreeMap<String, NodeProfile> = report.nodes.iter().map(node).collect();
    let profile =
        Profile { dataflow: report.name.clone(), seconds: report.wall_s, rt: report.rt.to_owned(), nodes };
    let failed = |error: &dyn std::error::Error| {
        CliError::new(format!("failed to write the profile {}: {error}", path.display()))
    };
    let json = serde_json::to_string_pretty(&profile.to_json()).map_err(|error| failed(&error))?;
    fs::write(path, json + "\n").map_err(|error| failed(&error))
}

fn span(time_span: Duration) -> String {
    time(u64::try_from(time_span.as_nanos()).unwrap_or(u64::MAX))
}

/// The whole answer.
fn text(analysis: &Analysis) -> String {
    let mut text = nodes(&analysis.nodes);
    for node in &analysis.nodes {
        match &node.response {
            Outcome::Bounded(_) => {}
            Outcome::NoBound(why) => _ = writeln!(text, "node `{}` has no bound: {why}", node.node),
            // An ordinary process is no news.
            Outcome::Unjudged(_) if node.priority.is_none() => {}
            Outcome::Unjudged(why) => _ = writeln!(text, "node `{}` cannot be judged: {why}", node.node),
        }
    }
    let cores: Vec<String> = analysis.cores.iter().map(core).collect();
    if !cores.is_empty() {
        _ = writeln!(text, "\nreal-time share of {}", cores.join(", "));
    }
    text.push('\n');
    for check in &analysis.checks {
        text += &verdict(check);
    }
    for warning in &analysis.warnings {
        _ = writeln!(text, "warning: {warning}");
    }
    for assumption in &analysis.assumptions {
        _ = writeln!(text, "assumed: {assumption}");
    }
    text += &summary(analysis);
    text
}

fn nodes(nodes: &[NodeTiming]) -> String {
    let (left, right) = (Align::Left, Align::Right);
    let mut table = Table::new(&[
        ("node", left),
        ("core", right),
        ("priority", right),
        ("handler", right),
        ("every", right),
        ("share", right),
        ("response", right),
    ]);
    for node in nodes {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let measured = |source| if source == CostSource::Measured { " measured" } else { "" };
        table.row(vec![
            node.node.clone(),
            or_dash(node.core.as_ref().map(|core| match &core.machine {
                Some(machine) => format!("{machine}:{}", core.number),
                None => core.number.to_string(),
            })),
            or_dash(node.priority.map(|priority| priority.to_string())),
            or_dash(node.cost.map(|(cost, source)| span(cost) + measured(source))),
            or_dash(node.period.map(span)),
            or_dash(node.utilisation.map(|share| format!("{:.1} %", share * 100.0))),
            match node.response {
                Outcome::Bounded(bound) => span(bound),
                Outcome::NoBound(_) => "no bound".to_owned(),
                Outcome::Unjudged(_) => "?".to_owned(),
            },
        ]);
    }
    table.render()
}

fn core(load: &dora_descriptor::timing::CoreLoad) -> String {
    let share =
        load.utilisation.map_or_else(|| "not known".to_owned(), |share| format!("{:.1} %", share * 100.0));
    match &load.core.machine {
        Some(machine) => format!("core {} of `{machine}`: {share}", load.core.number),
        None => format!("core {}: {share}", load.core.number),
    }
}

/// One line, and for a chain what it is made of.
fn verdict(check: &Check) -> String {
    let (what, limit) = (&check.what, span(check.limit));
    let mut text = match &check.bound {
        Outcome::Bounded(bound) => match check.over() {
            None => format!("✔ {what}: at most {} of {limit}\n", span(*bound)),
            Some(over) => {
                format!("✘ {what}: up to {}, {} more than {limit} ({})\n", span(*bound), span(over), check.at)
            }
        },
        Outcome::NoBound(why) => format!("✘ {what}: no bound, {limit} allowed: {why} ({})\n", check.at),
        Outcome::Unjudged(why) => format!("? {what}: {limit} cannot be judged: {why}\n"),
    };
    for (part, bound) in &check.parts {
        _ = writeln!(text, "    {part} after {}", span(*bound));
    }
    text
}

fn summary(analysis: &Analysis) -> String {
    let (all, failed, unjudged) =
        (analysis.checks.len(), analysis.failed().count(), analysis.unjudged().count());
    match (all, failed, unjudged) {
        (0, ..) => "There is no `deadline:` and no chain to compare with.\n".to_owned(),
        (_, 0, 0) => format!("Every deadline and chain holds ({all} of {all}), if what is assumed is so.\n"),
        _ => format!(
            "Of {all} deadlines and chains {} hold, {failed} cannot hold, {unjudged} cannot be judged.\n",
            all - failed - unjudged
        ),
    }
}

fn proposal(suggestion: &Suggestion, cores: u32) -> String {
    if suggestion.proposals.is_empty() {
        return "Nothing to propose: no node has `rt:`, a `deadline:` or a part in a chain.\n".to_owned();
    }
    let mut text =
        format!("# Proposed for {cores} cores: shorter deadline, higher priority. Paste into the nodes:\n");
    if cores == 1 {
        text =
            "# Proposed for one core: shorter deadline, higher priority. Paste into the nodes:\n".to_owned();
    }
    text += &suggestion.yaml();
    for remark in &suggestion.remarks {
        _ = writeln!(text, "# {remark}");
    }
    text += "# With it:\n";
    for check in &suggestion.after.checks {
        for line in verdict(check).lines() {
            _ = writeln!(text, "# {line}");
        }
    }
    _ = write!(text, "# {}", summary(&suggestion.after));
    text
}
