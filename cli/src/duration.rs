//! Durations as a user types them: `30`, `30s`, `5m`, `1h30m`, `500ms`.

use std::time::Duration;

/// Reads a duration: numbers with the units `ms`, `s`, `m`, `h`, `d`, one after the other; a bare number is seconds.
///
/// # Errors
/// A sentence that says what is wrong and how to write it. Nothing is guessed: `5 min` is refused.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    const HOW: &str = "write it as `30`, `30s`, `500ms`, `5m`, `1h30m` or `2d`";
    let text = text.trim();
    if text.is_empty() {
        return Err(format!("it is empty; {HOW}"));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, next) = after.split_at(letters);
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            "" if rest.len() == text.len() && next.is_empty() => 1.0,
            "" => return Err(format!("`{rest}` has no unit; {HOW}")),
            _ => return Err(format!("`{unit}` is not a unit; {HOW}")),
        };
        let number: f64 =
            number.parse().map_err(|_| format!("`{rest}` does not start with a number; {HOW}"))?;
        let part =
            Duration::try_from_secs_f64(number * seconds).map_err(|_| format!("`{text}` is too long"))?;
        total = total.checked_add(part).ok_or_else(|| format!("`{text}` is too long"))?;
        rest = next;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_numbers_are_seconds_and_units_combine() {
        for (text, ms) in [
            ("30", 30_000),
            ("30s", 30_000),
            ("0.5", 500),
            ("500ms", 500),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            ("1m1s1ms", 61_001),
            ("0", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_way_to_write_it() {
        for text in ["", "s", "-1s", "5 min", "1h30", "5x", "1..5s", "1e3s", "∞"] {
            let error = parse(text).unwrap_err();
            assert!(error.contains("write it as"), "{text}: {error}");
        }
        assert!(parse(&format!("{}d", "9".repeat(30))).unwrap_err().contains("too long"));
    }
}
