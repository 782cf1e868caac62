//! `dora expand`: a dataflow without its modules, or a module by itself.

use std::io::{self, Write};

use dora_descriptor::{ModuleSummary, check_module};

use super::load;
use crate::{
    args::ExpandArgs,
    error::{CliError, CliResult},
};

/// `dora expand`
pub(crate) fn run(args: &ExpandArgs) -> CliResult {
    if args.module {
        let module = check_module(&args.path).map_err(|errors| CliError::from_error(&errors))?;
        module.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
        return print(&about(&module));
    }
    let loaded = load(&args.path, &[])?;
    for warning in loaded.warnings.iter().chain(&loaded.type_warnings) {
        eprintln!("warning: {warning}");
    }
    print(&loaded.flat_yaml())
}

fn about(module: &ModuleSummary) -> String {
    let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let ModuleSummary { name, inputs, optional_inputs, outputs, nodes, .. } = module;
    let noun = if *nodes == 1 { "node" } else { "nodes" };
    format!(
        "Module `{name}` OK: {nodes} {noun}.\n  inputs: {}\n  optional inputs: {}\n  outputs: {}\n",
        list(inputs),
        list(optional_inputs),
        list(outputs)
    )
}

fn print(text: &str) -> CliResult {
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| CliError::new("failed to write to stdout").caused_by(&error))
}
