//! The `dora` command.
//!
//! ```text
//!   args ─► commands ─► descriptor (what the file means) ─► daemon (runs it)
//!               └─────► display (log lines, read-back table, report)
//! ```
//!
//! Exit codes: 0 success, also after Ctrl-C; 1 the command failed, with the reason on stderr; 2 wrong usage.

mod args;
mod commands;
mod display;
mod duration;
mod error;

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
