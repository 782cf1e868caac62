//! Which rights the calling thread has, and what gives it more.

use std::fs;

use rustix::process::{Resource, getrlimit};

/// Raises priorities above the limit, changes other processes.
pub(crate) const CAP_SYS_NICE: u32 = 23;
/// Locks memory above the limit.
pub(crate) const CAP_IPC_LOCK: u32 = 14;

/// Does the calling thread have this capability in its effective set?
pub(crate) fn has(capability: u32) -> bool {
    fs::read_to_string("/proc/thread-self/status").ok().and_then(|status| effective(&status)).unwrap_or(0)
        >> capability
        & 1
        == 1
}

pub(crate) fn effective(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

/// Highest real-time priority that the limit allows, 0 for none.
pub(crate) fn priority_limit() -> u64 {
    getrlimit(Resource::Rtprio).current.unwrap_or(u64::MAX)
}

/// Bytes that may be locked; `None` = no limit.
pub(crate) fn memory_limit() -> Option<u64> {
    getrlimit(Resource::Memlock).current
}

/// What lets an ordinary user set real-time priorities.
pub(crate) fn priority_fix() -> String {
    format!(
        "sudo setcap cap_sys_nice,cap_ipc_lock+ep {}, or the line `{} - rtprio 99` in /etc/security/limits.conf and a \
         new login",
        program(),
        user()
    )
}

/// What lets an ordinary user lock memory.
pub(crate) fn memory_fix() -> String {
    format!(
        "sudo setcap cap_sys_nice,cap_ipc_lock+ep {}, or the line `{} - memlock unlimited` in \
         /etc/security/limits.conf and a new login (`ulimit -l` then says unlimited)",
        program(),
        user()
    )
}

fn program() -> String {
    std::env::current_exe().map_or_else(|_| "<program>".into(), |path| path.display().to_string())
}

fn user() -> String {
    std::env::var("USER").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "<user>".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effective_capabilities_are_read_from_the_status_file() {
        let status = "Name:\tx\nCapPrm:\tffffffffffffffff\nCapEff:\t0000000000804000\n";
        assert_eq!(effective(status), Some(1 << CAP_SYS_NICE | 1 << CAP_IPC_LOCK));
        assert_eq!(effective("Name:\tx\n"), None);
    }
}
