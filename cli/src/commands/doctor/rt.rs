//! `dora doctor --rt`: looks, measures, judges; or prints the script.

use std::io::{self, IsTerminal, Write};

use rt_tuning::{
    doctor::{self, Chosen, Context, Finding, Level, Machine, Measurement, Rate, Request, Verdict},
    sched,
};

use super::{answer, json, text};
use crate::{
    args::DoctorArgs,
    error::{CliError, CliResult},
};

/// The rate that a machine must hold to be called fit.
const REQUIRED_HZ: u64 = 1000;

/// Everything that is known about the machine.
pub(super) struct Diagnosis {
    pub(super) context: Context,
    pub(super) findings: Vec<Finding>,
    pub(super) measurement: Option<Measurement>,
    pub(super) verdict: Option<Verdict>,
}

impl Diagnosis {
    /// What makes the exit code 1: names of bad checks, and `timers` when 1 kHz is not held.
    pub(super) fn bad(&self) -> Vec<&'static str> {
        let checks = self.findings.iter().filter(|finding| finding.level == Level::Bad);
        let mut bad: Vec<&'static str> = checks.map(|finding| finding.check).collect();
        let rate = self.verdict.as_ref().and_then(|verdict| verdict.of(REQUIRED_HZ));
        if matches!(rate, Some(Rate::No(_))) {
            bad.push("timers");
        }
        bad
    }
}

pub(super) fn run(args: &DoctorArgs) -> CliResult {
    let given = args.cores.as_ref().map(|cores| cores.0.as_slice());
    let context = Context::new(Machine::at("/"), given, Some(doctor::try_fifo()))
        .map_err(|error| CliError::from_error(&error))?;
    let findings = doctor::examine(&context);
    if args.fix_plan {
        return answer(&doctor::script(&context, &findings));
    }
    let mut diagnosis = Diagnosis { context, findings, measurement: None, verdict: None };
    if !args.duration.is_zero() {
        let measurement = measure(args, &diagnosis.context)?;
        let only = (diagnosis.context.scope.chosen != Chosen::Proposed)
            .then_some(diagnosis.context.scope.cores.as_slice());
        diagnosis.verdict = doctor::judge(&measurement, only, &diagnosis.findings);
        diagnosis.measurement = Some(measurement);
    }
    answer(&if args.json { json::render(&diagnosis)? } else { text::render(&diagnosis) })?;
    match diagnosis.bad()[..] {
        [] => Ok(()),
        ref bad => Err(CliError::new(format!("this machine is not fit for real time: {}", bad.join(", ")))
            .hint("`dora doctor --rt --fix-plan` prints a script with what can be changed, and its undo")),
    }
}

/// Measures the cores that were named, or every core that this process may use.
fn measure(args: &DoctorArgs, context: &Context) -> CliResult<Measurement> {
    let cores = match context.scope.chosen {
        Chosen::Given => context.scope.cores.clone(),
        Chosen::Isolated | Chosen::Proposed => {
            let mut cores = sched::allowed_current();
            // Isolated cores are not in the mask that a program starts with; they can be asked for all the same.
            if context.scope.chosen == Chosen::Isolated {
                cores.extend(&context.scope.cores);
                cores.sort_unstable();
                cores.dedup();
            }
            cores
        }
    };
    let line = io::stderr().is_terminal();
    let what = doctor::list(&cores);
    let mut progress = |share: f64| {
        if line {
            let percent = (share * 100.0) as u32;
            write!(io::stderr(), "\rmeasuring cores {what}: {percent:>3} %").unwrap_or_default();
        }
    };
    let measured = doctor::measure(&Request::new(cores, args.duration), &mut progress);
    if line {
        write!(io::stderr(), "\r\x1b[K").unwrap_or_default();
    }
    measured.map_err(|error| {
        CliError::new("failed to measure")
            .caused_by(&error)
            .hint("name other cores with --cores, or only check with --duration 0")
    })
}
