//! Numbers as people read them; what is not known is `N/A`.

/// Stands where a value is not known.
pub(crate) const UNKNOWN: &str = "N/A";

/// Processor time: percent of one core.
pub(crate) fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| format!("{value:.1}%"))
}

/// Memory in 10^6 bytes, or 10^9 where that is more than a thousand of them.
pub(crate) fn memory(bytes: Option<u64>) -> String {
    let Some(bytes) = bytes else { return UNKNOWN.to_owned() };
    match mega(bytes) {
        mega if mega >= 1000.0 => format!("{:.1} GB", mega / 1000.0),
        mega if mega >= 10.0 => format!("{mega:.0} MB"),
        mega => format!("{mega:.1} MB"),
    }
}

/// A number of bytes with the unit that fits.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (float(bytes), 0);
    while value >= 999.95 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1000.0, unit + 1);
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// 10^6 bytes.
pub(crate) fn mega(bytes: u64) -> f64 {
    float(bytes) / 1e6
}

/// Exact up to 2^53, which no number of bytes in a table exceeds.
fn float(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_fit_the_size_and_the_unknown_is_said_to_be() {
        assert_eq!((percent(Some(101.26)), percent(None)), ("101.3%".into(), "N/A".into()));
        for (value, text) in [
            (0, "0.0 MB"),
            (1_540_000, "1.5 MB"),
            (78_344_192, "78 MB"),
            (999_000_000, "999 MB"),
            (1_250_000_000, "1.2 GB"),
        ] {
            assert_eq!(memory(Some(value)), text, "{value}");
        }
        assert_eq!(memory(None), "N/A");
        for (value, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (999_960, "1.0 MB"),
            (1_500_000, "1.5 MB"),
            (u64::MAX, "18446744.1 TB"),
        ] {
            assert_eq!(bytes(value), text, "{value}");
        }
    }
}
