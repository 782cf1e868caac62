//! The `dora` command.
//!
//! ```text
//!   args ─► commands ─► descriptor (what the file means) ─► daemon (runs it)
//!               └─────► display (log lines, read-back table, report)
//! ```
//!
//! Exit codes: 0 success, also after Ctrl-C; 1 the command failed, with the reason on stderr; 2 wrong usage.

// What ends the process ends a robot: each place has to say, as an expectation, why it is impossible.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

mod args;
mod client;
mod commands;
mod display;
mod duration;
mod error;
mod interrupts;
mod web;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;

fn main() -> ExitCode {
    let result = match args::Cli::parse().command {
        args::Command::Run(args) => commands::run::run(&args),
        args::Command::Build(args) => commands::build::run(&args),
        args::Command::Validate(args) => commands::validate::run(&args),
        args::Command::Expand(args) => commands::expand::run(&args),
        args::Command::Graph(args) => commands::graph::run(&args),
        args::Command::New(args) => commands::new::run(&args),
        args::Command::Doctor(args) => commands::doctor::run(&args),
        args::Command::Prove(args) => commands::prove::run(&args),
        args::Command::Runtime => commands::runtime::run(),
        args::Command::Up(args) => commands::up::run(&args),
        args::Command::Down(args) => commands::down::run(&args),
        args::Command::Coordinator(args) => commands::coordinator::run(&args),
        args::Command::Daemon(args) => commands::daemon::run(&args),
        args::Command::Start(args) => commands::start::run(&args),
        args::Command::Stop(args) => commands::stop::run(&args),
        args::Command::Restart(args) => commands::restart::run(&args),
        args::Command::List(args) => commands::list::run(&args),
        args::Command::Logs(args) => commands::logs::run(&args),
        args::Command::Top(args) | args::Command::Inspect(args::InspectCommand::Top(args)) => {
            commands::top::run(&args)
        }
        args::Command::Node(command) => commands::node::run(&command),
        args::Command::Param(command) => commands::param::run(&command),
        args::Command::Clean(args) => commands::clean::run(&args),
        args::Command::Status(args) | args::Command::System(args::SystemCommand::Status(args)) => {
            commands::status::run(&args)
        }
        args::Command::Completion(args) => commands::completion::run(&args),
        args::Command::Oneself(command) => commands::oneself::run(&command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A terminal that is gone must not turn the exit code into that of a panic.
            writeln!(io::stderr(), "{error}").unwrap_or_default();
            ExitCode::FAILURE
        }
    }
}
