//! Built-in sources: `dora/timer/<unit>/<n>` and `dora/logs[/<level>[/<node>]]`.

use dora_protocol::log::LogLevel;

use crate::suggest::{did_you_mean, listed, shown};

const UNITS: [&str; 5] = ["nanos", "micros", "millis", "secs", "hz"];
/// Levels that `dora/logs/<level>` and `min_log_level` accept.
pub(crate) const LEVELS: [&str; 6] = ["stdout", "trace", "debug", "info", "warn", "error"];

/// Longest period: what fits a signed 64-bit number of nanoseconds, about 292 years.
const MAX_PERIOD_NS: u64 = i64::MAX as u64;

/// Why a source was refused, with a hint that may be empty.
pub(crate) type Refusal = (String, String);

/// A source that starts with `dora/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BuiltIn {
    Timer { period_ns: u64 },
    Logs { level: LogLevel, node: Option<String> },
}

/// Reads what follows `dora/`.
pub(crate) fn built_in(rest: &str) -> Result<BuiltIn, Refusal> {
    let mut segments = rest.split('/');
    match segments.next().unwrap_or("") {
        "timer" => timer(&segments.collect::<Vec<_>>()),
        "logs" => logs(&segments.collect::<Vec<_>>()),
        other => Err((
            format!("`dora/{}` is not a built-in source", shown(other)),
            "built in are `dora/timer/<unit>/<n>` and `dora/logs/<level>/<node>`".to_owned(),
        )),
    }
}

fn timer(segments: &[&str]) -> Result<BuiltIn, Refusal> {
    let form = || "write `dora/timer/millis/100` or `dora/timer/hz/30`".to_owned();
    let &[unit, number] = segments else {
        return Err(("a timer is `dora/timer/<unit>/<n>`".to_owned(), form()));
    };
    let scale = match unit {
        "nanos" => 1,
        "micros" => 1_000,
        "millis" => 1_000_000,
        "secs" => 1_000_000_000,
        "hz" => return hertz(number).map(|period_ns| BuiltIn::Timer { period_ns }),
        _ => {
            let hint = did_you_mean(unit, UNITS);
            let message = format!("`{}` is not a timer unit; use one of {}", shown(unit), listed(UNITS));
            return Err((message, hint));
        }
    };
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        let message = format!("`{}` is not a whole number of {unit}", shown(number));
        let hint = "for fractions use the next smaller unit, or `hz`".to_owned();
        return Err((message, hint));
    }
    let period = number.parse::<u64>().ok().and_then(|n| n.checked_mul(scale));
    match period {
        Some(0) => Err(("a timer cannot tick every 0 seconds".to_owned(), form())),
        Some(period_ns) if period_ns <= MAX_PERIOD_NS => Ok(BuiltIn::Timer { period_ns }),
        _ => Err((format!("{} {unit} is longer than 292 years", shown(number)), String::new())),
    }
}

fn hertz(number: &str) -> Result<u64, Refusal> {
    let hertz = number.parse::<f64>().ok().filter(|hz| hz.is_finite() && *hz > 0.0);
    let Some(hertz) = hertz else {
        let message = format!("`{}` is not a frequency; expected a positive number", shown(number));
        return Err((message, String::new()));
    };
    let period = (1e9 / hertz).round();
    if period < 1.0 || period > MAX_PERIOD_NS as f64 {
        let message = format!("{} Hz is outside of what a nanosecond clock can do", shown(number));
        return Err((message, String::new()));
    }
    Ok(period as u64)
}

fn logs(segments: &[&str]) -> Result<BuiltIn, Refusal> {
    let (level, node) = match segments {
        [] => ("stdout", None),
        [level] => (*level, None),
        [level, node] => (*level, Some((*node).to_owned())),
        _ => {
            let message = "a log source is `dora/logs/<level>/<node>` and nothing more".to_owned();
            return Err((message, String::new()));
        }
    };
    match level.parse::<LogLevel>() {
        Ok(parsed) if LEVELS.contains(&level) => Ok(BuiltIn::Logs { level: parsed, node }),
        _ => {
            let message = format!("`{}` is not a log level; use one of {}", shown(level), listed(LEVELS));
            Err((message, did_you_mean(level, LEVELS)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_become_nanoseconds() {
        for (text, ns) in [
            ("timer/millis/100", 100_000_000),
            ("timer/hz/30", 33_333_333),
            ("timer/hz/5000", 200_000),
            ("timer/hz/0.5", 2_000_000_000),
            ("timer/secs/1", 1_000_000_000),
            ("timer/micros/250", 250_000),
            ("timer/nanos/1", 1),
        ] {
            assert_eq!(built_in(text), Ok(BuiltIn::Timer { period_ns: ns }), "{text}");
        }
    }

    #[test]
    fn malformed_timers_are_refused() {
        for text in [
            "timer",
            "timer/",
            "timer/millis",
            "timer/millis/",
            "timer/millis/0",
            "timer/millis/-1",
            "timer/millis/1.5",
            "timer/millis/1/2",
            "timer/days/1",
            "timer/secs/99999999999999999999",
            "timer/secs/18446744073",
            "timer/hz/0",
            "timer/hz/-1",
            "timer/hz/inf",
            "timer/hz/nan",
            "timer/hz/1e12",
            "timer/hz/1e-300",
            "clock/millis/1",
            "",
        ] {
            assert!(built_in(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_mistyped_unit_gets_a_suggestion() {
        let (message, hint) = built_in("timer/milis/10").unwrap_err();
        assert!(message.contains("`nanos`, `micros`, `millis`, `secs`, `hz`"), "{message}");
        assert_eq!(hint, "did you mean `millis`?");
    }

    #[test]
    fn log_sources_have_level_and_node() {
        let all = BuiltIn::Logs { level: LogLevel::Stdout, node: None };
        assert_eq!(built_in("logs"), Ok(all));
        let one = BuiltIn::Logs { level: LogLevel::Info, node: Some("cam".into()) };
        assert_eq!(built_in("logs/info/cam"), Ok(one));
        for text in ["logs/INFO", "logs/", "logs/info/a/b", "logs/verbose"] {
            assert!(built_in(text).is_err(), "{text}");
        }
    }
}
