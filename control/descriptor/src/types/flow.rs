//! What may flow into what.
//!
//! Types are told apart by name: two structs with the same fields are two types, unless a rule says otherwise. A value
//! may widen on its way ([`WIDENING`], `type_rules`), in at most [`MOST_STEPS`] steps, and everything may flow into bytes.

use super::{library::Library, urn::Urn};

/// Steps on the way from the type sent to the type expected.
const MOST_STEPS: usize = 3;

const BYTES: &str = "std/core/v1/Bytes";

/// Each holds every value of the one before.
const WIDENING: [&[&str]; 3] =
    [&["UInt8", "UInt16", "UInt32", "UInt64"], &["Int8", "Int16", "Int32", "Int64"], &["Float32", "Float64"]];

/// An entry of `type_rules`.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) from: Urn,
    pub(super) to: Urn,
}

/// Why something must not flow, as hints; `None` when it may.
///
/// Takes what it costs from `budget`, and gives up when that is used up, which the caller has to look at.
pub(super) fn refused(
    from: &Urn,
    to: &Urn,
    rules: &[Rule],
    library: &Library,
    budget: &mut usize,
) -> Option<Vec<String>> {
    if from.base == to.base {
        let (key, given, wanted) = from.conflict(to)?;
        return Some(vec![format!("parameter `{key}` is `{given}` there and `{wanted}` here")]);
    }
    if to.base == BYTES || reaches(from, to, rules, budget) {
        return None;
    }
    let (Some(given), Some(wanted)) = (library.get(&from.base), library.get(&to.base)) else {
        return Some(Vec::new());
    };
    let lacks = given.shape.lacks(&wanted.shape);
    if lacks.is_empty() {
        return Some(vec![format!(
            "the data would fit; if that is meant, add `type_rules: [{{ from: \"{from}\", to: \"{to}\" }}]`"
        )]);
    }
    // Of primitives the names say it all.
    let structs = given.shape.fields() > 0 && wanted.shape.fields() > 0;
    Some(if structs { some(lacks) } else { Vec::new() })
}

/// The first few of them, on one line.
pub(super) fn some(lacks: Vec<String>) -> Vec<String> {
    let more = lacks.len().saturating_sub(5);
    let mut text = lacks.into_iter().take(5).collect::<Vec<_>>().join("; ");
    if more > 0 {
        text += &format!("; {more} more");
    }
    vec![text]
}

/// Breadth first, at most [`MOST_STEPS`] far.
fn reaches(from: &Urn, to: &Urn, rules: &[Rule], budget: &mut usize) -> bool {
    let mut here = vec![from.clone()];
    for _ in 0..MOST_STEPS {
        let mut next: Vec<Urn> = Vec::new();
        for urn in &here {
            *budget = budget.saturating_sub(rules.len() + next.len() + 1);
            if *budget == 0 {
                return false;
            }
            let ruled =
                rules.iter().filter(|rule| rule.from.base == urn.base && rule.from.conflict(urn).is_none());
            let steps = ruled.map(|rule| rule.to.clone()).chain(wider(urn));
            for step in steps {
                if step.base == to.base && step.conflict(to).is_none() {
                    return true;
                }
                if !next.contains(&step) {
                    next.push(step);
                }
            }
        }
        here = next;
    }
    false
}

/// The next wider type.
fn wider(urn: &Urn) -> Option<Urn> {
    let name = urn.base.strip_prefix("std/core/v1/")?;
    let next = |chain: &&'static [&'static str]| {
        let at = chain.iter().position(|one| *one == name)?;
        chain.get(at + 1).copied()
    };
    let wider = WIDENING.iter().find_map(next)?;
    Some(Urn::of(&format!("std/core/v1/{wider}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Report;

    fn flows(from: &str, to: &str, rules: &[(&str, &str)]) -> bool {
        let urn = |text: &str| {
            let full = if text.contains('/') { text.to_owned() } else { format!("std/core/v1/{text}") };
            Urn::parse(&full).unwrap()
        };
        let rules: Vec<Rule> = rules.iter().map(|(a, b)| Rule { from: urn(a), to: urn(b) }).collect();
        let library = Library::read(&[], &mut Report::new("f.yml"));
        refused(&urn(from), &urn(to), &rules, &library, &mut 1_000_000).is_none()
    }

    #[test]
    fn numbers_widen_and_never_narrow() {
        for (from, to, allowed) in [
            ("UInt8", "UInt64", true),
            ("UInt8", "UInt16", true),
            ("UInt16", "UInt32", true),
            ("Int8", "Int64", true),
            ("Int32", "Int64", true),
            ("Float32", "Float64", true),
            ("Float64", "Float32", false),
            ("UInt64", "UInt8", false),
            ("UInt8", "Int16", false),
            ("Int32", "Float64", false),
            ("Bool", "UInt8", false),
            ("std/media/v1/Image", "Bytes", true),
            ("Bytes", "std/media/v1/Image", false),
            ("Bool", "Bool", true),
        ] {
            assert_eq!(flows(from, to, &[]), allowed, "{from} to {to}");
        }
    }

    #[test]
    fn rules_join_the_search_up_to_three_steps() {
        let rules = [
            ("Int32", "Float32"),
            ("a/b/v1/A", "a/b/v1/B"),
            ("a/b/v1/B", "a/b/v1/C"),
            ("a/b/v1/C", "a/b/v1/D"),
            ("a/b/v1/D", "a/b/v1/E"),
        ];
        for (from, to, allowed) in [
            ("Int32", "Float64", true),
            ("Int16", "Float64", true),
            ("Int8", "Float64", false),
            ("Float64", "Int32", false),
            ("a/b/v1/A", "a/b/v1/D", true),
            ("a/b/v1/A", "a/b/v1/E", false),
        ] {
            assert_eq!(flows(from, to, &rules), allowed, "{from} to {to}");
        }
    }

    #[test]
    fn a_rule_for_some_parameters_is_no_rule_for_others() {
        let rules = [("std/media/v1/Image[encoding=rgb8]", "a/b/v1/T[k=1]")];
        assert!(flows("std/media/v1/Image[encoding=rgb8]", "a/b/v1/T", &rules));
        assert!(flows("std/media/v1/Image", "a/b/v1/T[k=1]", &rules));
        assert!(!flows("std/media/v1/Image[encoding=bgr8]", "a/b/v1/T", &rules));
        assert!(!flows("std/media/v1/Image[encoding=rgb8]", "a/b/v1/T[k=2]", &rules));
    }

    #[test]
    fn rules_in_a_circle_end() {
        let rules = [("a/b/v1/A", "a/b/v1/B"), ("a/b/v1/B", "a/b/v1/A")];
        assert!(!flows("a/b/v1/A", "a/b/v1/C", &rules));
    }
}
