//! Which core is whose. Pure.

use std::collections::BTreeSet;

use dora_protocol::dataflow::Dataflow;

/// Cores that real-time nodes asked for.
pub(crate) fn claimed(dataflow: &Dataflow) -> BTreeSet<usize> {
    let claims = dataflow.nodes.iter().filter(|n| n.rt.is_some());
    claims.flat_map(|n| n.cpu_affinity.iter().map(|c| *c as usize)).collect()
}

/// Cores for everything of ours that is not real time: those that nobody claims, or all when none is left.
pub(crate) fn housekeeping(allowed: &[usize], claimed: &BTreeSet<usize>) -> Vec<usize> {
    let free: Vec<usize> = allowed.iter().copied().filter(|c| !claimed.contains(c)).collect();
    if free.is_empty() { allowed.to_vec() } else { free }
}

/// The core of the daemon's real-time thread: the last one that no node is bound to, because the first ones handle
/// most interrupts.
pub(crate) fn of_the_watch(allowed: &[usize], dataflow: &Dataflow) -> Option<usize> {
    let bound =
        |core: usize| dataflow.nodes.iter().any(|n| n.cpu_affinity.iter().any(|c| *c as usize == core));
    allowed.iter().copied().rfind(|core| !bound(*core))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_threads_keep_off_claimed_cores_while_any_other_is_left() {
        let set = |cores: &[usize]| cores.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!(housekeeping(&[0, 1, 2], &set(&[1])), [0, 2]);
        assert_eq!(housekeeping(&[0, 1], &set(&[0, 1])), [0, 1]);
    }

    #[test]
    fn the_watch_shares_no_core_with_a_node_that_is_bound_to_one() {
        let mut a = crate::testing::node("a", "x");
        a.cpu_affinity = vec![2];
        let flow = crate::testing::dataflow(vec![a]);
        assert_eq!(of_the_watch(&[0, 1, 2], &flow), Some(1));
        assert_eq!(of_the_watch(&[0, 1], &flow), Some(1));
        assert_eq!(of_the_watch(&[2], &flow), None);
    }

    #[test]
    fn only_nodes_with_scheduling_wishes_claim_cores() {
        let mut a = crate::testing::node("a", "x");
        a.cpu_affinity = vec![1];
        let mut b = crate::testing::node("b", "x");
        b.cpu_affinity = vec![2];
        b.rt = Some(Default::default());
        assert_eq!(claimed(&crate::testing::dataflow(vec![a, b])), BTreeSet::from([2]));
    }
}
