//! "Did you mean …?": the known name that is nearest to what was typed.

/// Longest name compared, in characters: edit distance is quadratic, and nobody mistypes more than that.
const LONGEST: usize = 64;

/// The candidate with the smallest edit distance to `typed`, if it is near enough to be meant.
///
/// Case and the difference between `-` and `_` do not count. Ties go to the candidate that comes first.
/// Costs `O(64²)` per candidate at most.
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = fold(typed);
    let limit = (wanted.len() / 3).clamp(1, 3);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let known = fold(candidate);
        // The difference in length is the least the distance can be: most names need no more than that.
        let apart = wanted.len().abs_diff(known.len());
        let distance = if apart <= limit { distance(&wanted, &known) } else { apart };
        // One name contained in the other at its end or beginning counts as near: `timeout` → `input_timeout`.
        // Or the other way round: `warning` → `warn`.
        let affix = wanted.len() >= 4 && (known.ends_with(&wanted) || known.starts_with(&wanted))
            || known.len() >= 4 && wanted.starts_with(&known);
        if (distance <= limit || affix) && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// `` did you mean `x`? ``, or nothing.
pub(crate) fn did_you_mean<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(typed, candidates).map(|name| format!("did you mean `{name}`?")).unwrap_or_default()
}

/// `` `a`, `b`, `c` ``.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// At most 80 characters of untrusted text, on one line, for use inside a message.
pub(crate) fn shown(text: &str) -> String {
    let short: String = text.chars().take(80).collect();
    let short = short.escape_debug().to_string().replace("\\'", "'").replace("\\\"", "\"");
    if text.chars().nth(80).is_some() { format!("{short}…") } else { short }
}

fn fold(name: &str) -> Vec<char> {
    name.chars().take(LONGEST).map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

/// Optimal string alignment: insertions, deletions, replacements, swaps of neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let mut cost = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_name() {
        let known = ["queue_size", "queue_policy", "source", "input_timeout", "path"];
        for (typed, meant) in [
            ("queue_sise", "queue_size"),
            ("queuesize", "queue_size"),
            ("queue-policy", "queue_policy"),
            ("Source", "source"),
            ("suorce", "source"),
            ("timeout", "input_timeout"),
            ("pathname", "path"),
        ] {
            assert_eq!(nearest(typed, known), Some(meant), "{typed}");
        }
    }

    #[test]
    fn a_different_word_suggests_nothing() {
        for typed in ["", "x", "wholly_unrelated", "pqrs"] {
            assert_eq!(nearest(typed, ["queue_size", "source", "path"]), None, "{typed}");
        }
    }

    #[test]
    fn shown_text_stays_on_one_short_line() {
        let text = shown(&"a\nb".repeat(1000));
        assert!(!text.contains('\n') && text.chars().count() < 200, "{text}");
    }
}
