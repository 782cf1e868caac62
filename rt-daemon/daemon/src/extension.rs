//! The extension table: small opaque values that nodes of one dataflow leave for each other.
//!
//! 1. At most [`MAX_ENTRIES`] entries; a store beyond that is refused and changes nothing.
//! 2. Only the node that stored a key may overwrite it; any node may take or drop it.
//! 3. The entries of a node vanish with it, and every node that had read one is told.

use std::collections::{BTreeMap, BTreeSet};

use dora_protocol::node_link::ExtensionCall;

/// Entries per dataflow.
pub(crate) const MAX_ENTRIES: usize = 8192;

struct Entry {
    owner: usize,
    readers: BTreeSet<usize>,
    value: Vec<u8>,
}

/// The table of one dataflow. Nodes are referred to by index.
#[derive(Default)]
pub(crate) struct Extensions {
    entries: BTreeMap<(String, String), Entry>,
}

/// To one reader: these keys of a name space are gone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) reader: usize,
    pub(crate) ns: String,
    pub(crate) keys: Vec<String>,
}

impl Extensions {
    /// Carries out one call of `node`. The error is a sentence for the caller's `NodeError`.
    pub(crate) fn call(&mut self, node: usize, call: ExtensionCall) -> Result<Option<Vec<u8>>, String> {
        match call {
            ExtensionCall::Store { ns, key, value } => self.store(node, ns, key, value).map(|()| None),
            ExtensionCall::Load { ns, key, remove } => {
                let at = (ns, key);
                if remove {
                    return Ok(self.entries.remove(&at).map(|e| e.value));
                }
                Ok(self.entries.get_mut(&at).map(|entry| {
                    if entry.owner != node {
                        entry.readers.insert(node);
                    }
                    entry.value.clone()
                }))
            }
            ExtensionCall::Drop { ns, key } => {
                self.entries.remove(&(ns, key));
                Ok(None)
            }
            ExtensionCall::Request { ns, .. } => {
                Err(format!("no handler for requests in the name space `{ns}` is part of this daemon"))
            }
        }
    }

    fn store(&mut self, node: usize, ns: String, key: String, value: Vec<u8>) -> Result<(), String> {
        let count = self.entries.len();
        match self.entries.get_mut(&(ns.clone(), key.clone())) {
            Some(entry) if entry.owner != node => Err(format!(
                "`{key}` in the name space `{ns}` was stored by another node, only that one may overwrite it"
            )),
            Some(entry) => {
                entry.value = value;
                Ok(())
            }
            None if count >= MAX_ENTRIES => {
                Err(format!("the extension table of this dataflow is full ({MAX_ENTRIES} entries)"))
            }
            None => {
                self.entries.insert((ns, key), Entry { owner: node, readers: BTreeSet::new(), value });
                Ok(())
            }
        }
    }

    /// Removes what `node` stored, and says who must be told.
    pub(crate) fn node_ended(&mut self, node: usize) -> Vec<Dropped> {
        let mut told: BTreeMap<(usize, String), Vec<String>> = BTreeMap::new();
        self.entries.retain(|(ns, key), entry| {
            entry.readers.remove(&node);
            if entry.owner != node {
                return true;
            }
            for reader in &entry.readers {
                told.entry((*reader, ns.clone())).or_default().push(key.clone());
            }
            false
        });
        told.into_iter().map(|((reader, ns), keys)| Dropped { reader, ns, keys }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(table: &mut Extensions, node: usize, key: &str, value: u8) -> Result<Option<Vec<u8>>, String> {
        table.call(node, ExtensionCall::Store { ns: "n".into(), key: key.into(), value: vec![value] })
    }

    fn load(table: &mut Extensions, node: usize, key: &str, remove: bool) -> Option<Vec<u8>> {
        table.call(node, ExtensionCall::Load { ns: "n".into(), key: key.into(), remove }).unwrap()
    }

    #[test]
    fn only_the_storing_node_may_overwrite() {
        let mut table = Extensions::default();
        store(&mut table, 0, "a", 1).unwrap();
        assert!(store(&mut table, 1, "a", 2).unwrap_err().contains("another node"));
        store(&mut table, 0, "a", 3).unwrap();
        assert_eq!(load(&mut table, 1, "a", false), Some(vec![3]));
        assert_eq!(load(&mut table, 1, "a", true), Some(vec![3]));
        assert_eq!(load(&mut table, 1, "a", false), None);
    }

    #[test]
    fn a_full_table_refuses_new_keys_and_takes_overwrites() {
        let mut table = Extensions::default();
        for n in 0..MAX_ENTRIES {
            store(&mut table, 0, &n.to_string(), 0).unwrap();
        }
        assert!(store(&mut table, 0, "one more", 0).unwrap_err().contains("full"));
        store(&mut table, 0, "7", 9).unwrap();
        assert_eq!(load(&mut table, 0, "7", false), Some(vec![9]));
    }

    #[test]
    fn entries_vanish_with_their_node_and_readers_are_told_which() {
        let mut table = Extensions::default();
        store(&mut table, 0, "read", 1).unwrap();
        store(&mut table, 0, "unread", 1).unwrap();
        store(&mut table, 2, "kept", 1).unwrap();
        load(&mut table, 1, "read", false);
        load(&mut table, 1, "kept", false);
        assert_eq!(table.node_ended(0), [Dropped { reader: 1, ns: "n".into(), keys: vec!["read".into()] }]);
        assert_eq!(load(&mut table, 1, "read", false), None);
        assert_eq!(load(&mut table, 1, "kept", false), Some(vec![1]));
        assert_eq!(table.node_ended(1), []);
        assert_eq!(table.node_ended(2), [], "the only reader is gone");
    }

    #[test]
    fn requests_without_a_handler_are_refused() {
        let call = ExtensionCall::Request { ns: "gpu".into(), payload: vec![] };
        assert!(Extensions::default().call(0, call).unwrap_err().contains("gpu"));
    }
}
