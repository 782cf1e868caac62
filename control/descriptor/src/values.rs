//! Scalars that mean something: numbers, durations, sizes, command lines.
//!
//! Each function takes the text as written and answers with the value or with half a sentence that says what
//! was expected.

use std::time::Duration;

/// Longest duration accepted: 100 years fit 64-bit nanoseconds with room to add.
const MAX_SECONDS: f64 = 100.0 * 365.0 * 86_400.0;

/// `true` or `false`; `yes` and `on` are text in YAML 1.2.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" | "True" | "TRUE" => Ok(true),
        "false" | "False" | "FALSE" => Ok(false),
        _ => Err("expected `true` or `false`".to_owned()),
    }
}

/// An integer in decimal within `min..=max`.
pub(crate) fn integer(text: &str, min: u64, max: u64) -> Result<u64, String> {
    let expected = || format!("expected an integer from {min} to {max}");
    let digits = text.strip_prefix('+').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(expected());
    }
    let value: u64 = digits.parse().map_err(|_| expected())?;
    if (min..=max).contains(&value) { Ok(value) } else { Err(expected()) }
}

/// A duration: a bare number is seconds, otherwise `ns`, `us`, `ms`, `s`, `m` or `h` follows.
///
/// Zero is a duration; who cannot use it says so.
pub fn duration(text: &str) -> Result<Duration, String> {
    let expected = || "expected a duration such as `500us`, `1.5s`, or a number of seconds".to_owned();
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic() || c == 'µ').unwrap_or(text.len());
    // `1e-3` is a number of seconds, not a unit that starts with `e`.
    let split = if text.parse::<f64>().is_ok() { text.len() } else { split };
    let (number, unit) = text.split_at(split);
    let number = number.trim();
    let scale_ns: u64 = match unit {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "" | "s" => 1_000_000_000,
        "m" | "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Err(expected()),
    };
    if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) {
        // Exact, so that no nanosecond is lost to floating point.
        let ns = number.parse::<u64>().ok().and_then(|n| n.checked_mul(scale_ns));
        let in_range = ns.filter(|&ns| ns as f64 / 1e9 <= MAX_SECONDS);
        return in_range.map(Duration::from_nanos).ok_or_else(|| "longer than 100 years".to_owned());
    }
    let value: f64 = number.parse().map_err(|_| expected())?;
    let seconds = value * (scale_ns as f64 / 1e9);
    if !seconds.is_finite() || seconds.is_sign_negative() && seconds != 0.0 {
        return Err("a duration must be a finite number that is not negative".to_owned());
    }
    if seconds > MAX_SECONDS {
        return Err("longer than 100 years".to_owned());
    }
    Ok(Duration::from_nanos((value.abs() * scale_ns as f64).round() as u64))
}

/// A number of bytes: `256`, `"4KB"`, `50MB`, `1G`; units are powers of 1024.
pub fn size(text: &str) -> Result<u64, String> {
    let expected = || "expected a number of bytes such as `256`, `64KB`, `50MB` or `1GB`".to_owned();
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let shift = match unit.trim().to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        _ => return Err(expected()),
    };
    if number.is_empty() {
        return Err(expected());
    }
    let bytes = number.parse::<u64>().ok().and_then(|n| n.checked_mul(1 << shift));
    bytes.ok_or_else(|| "larger than any machine".to_owned())
}

/// Splits a command line into words like a POSIX shell does: quotes and backslashes, no expansion.
pub(crate) fn words(text: &str) -> Result<Vec<String>, String> {
    shlex::split(text).ok_or_else(|| "a quote is opened and not closed".to_owned())
}

/// `build:` text into commands, one per line that is not blank.
pub(crate) fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact_in_nanoseconds() {
        for (text, ns) in [
            ("500us", 500_000),
            ("1", 1_000_000_000),
            ("0.5", 500_000_000),
            ("1.5 ms", 1_500_000),
            ("7ns", 7),
            ("3µs", 3_000),
            ("2m", 120_000_000_000),
            ("1e-3", 1_000_000),
            ("0", 0),
            ("123456789123456789ns", 123_456_789_123_456_789),
        ] {
            assert_eq!(duration(text).map(|d| d.as_nanos()), Ok(ns), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in [
            "",
            "fast",
            "-1",
            "-0.5ms",
            "inf",
            "nan",
            ".inf",
            "5 parsecs",
            "us",
            "1e300",
            "99999999999999999999",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_count_in_powers_of_1024() {
        for (text, bytes) in
            [("256", 256), ("50MB", 50 << 20), ("1G", 1 << 30), ("4 kb", 4096), ("1K", 1024), ("0", 0)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MB", "-5", "1.5MB", "5TB!", "99999999999999999999", "99999999999G"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_follow_shell_quoting() {
        assert_eq!(words("--a 'b c' \"d\\\"e\" f\\ g").unwrap(), ["--a", "b c", "d\"e", "f g"]);
        assert!(words("--name 'open").is_err());
        assert!(words("").unwrap().is_empty());
    }

    #[test]
    fn integers_are_decimal_and_in_range() {
        assert_eq!(integer("99", 1, 99), Ok(99));
        for text in ["0", "100", "1.0", "-1", "0x10", "", "1_000", "ninety"] {
            assert!(integer(text, 1, 99).is_err(), "{text}");
        }
    }
}
