//! The real `dora` binary, as a user meets it.

mod descriptor_commands;
mod run_command;
mod support;
