//! The real `dora` binary, as a user meets it.

mod descriptor_commands;
mod python_nodes;
mod run_command;
mod support;
