//! What a user sees: log lines while a dataflow runs, the read-back table, the report at the end.

pub(crate) mod logs;
pub(crate) mod misses;
pub(crate) mod numbers;
pub(crate) mod out;
pub(crate) mod report;
pub(crate) mod rt_table;
pub(crate) mod table;

use std::io::IsTerminal;

/// May colours be written to `stream`? Only to a terminal, and not when `NO_COLOR` is set and not empty.
pub(crate) fn colors_allowed(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
