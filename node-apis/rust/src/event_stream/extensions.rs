//! Extension entries that vanished because the node that stored them ended.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::link::Link;

static LINK: Mutex<Weak<Link>> = Mutex::new(Weak::new());

/// The node of this process, for code that does not know it. The latest wins.
pub(crate) fn remember(link: &Arc<Link>) {
    *LINK.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(link);
}

/// Keys of the name space that vanished since the last call. Empty when this process is no node.
pub fn drain_dropped_keys(namespace: &str) -> Vec<String> {
    let link = LINK.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
    link.map(|link| link.take_dropped_keys(namespace)).unwrap_or_default()
}

/// A new point on the hybrid logical clock of this process's node, without asking the node: a binding calls this while
/// the node waits in a send. `None` when this process is no node.
#[doc(hidden)]
pub fn timestamp() -> Option<uhlc::Timestamp> {
    let link = LINK.lock().unwrap_or_else(PoisonError::into_inner).upgrade()?;
    let hlc = link.hlc();
    Some(uhlc::Timestamp::new(uhlc::NTP64(hlc.new_timestamp()), hlc.id()))
}
