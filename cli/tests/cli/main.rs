//! The real `dora` binary, as a user meets it.

mod descriptor_commands;
mod expand_command;
mod graph_browser;
mod graph_command;
mod logs_command;
mod no_coordinator;
mod pendulum;
mod python_nodes;
mod run_command;
mod self_command;
mod support;
mod timing_check;
