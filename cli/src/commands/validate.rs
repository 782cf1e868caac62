//! `dora validate`: reads and checks a descriptor; builds and starts nothing.

use dora_descriptor::{Loaded, Options, load_with};

use super::{timing, warn_not_yet};
use crate::{
    args::{ValidateArgs, given},
    error::{CliError, CliResult},
};

/// `dora validate`
pub(crate) fn run(args: &ValidateArgs) -> CliResult {
    warn_not_yet(&given(&[(args.node_manifest.is_some(), "--node-manifest"), (args.offline, "--offline")]));
    let options = Options { strict_types: args.strict_types, ..Options::default() };
    let loaded = load_with(&args.path, &options).map_err(|errors| CliError::from_error(&errors))?;
    // Both are checked while loading: what is wrong with either was an error above.
    println!("Input/output wiring OK.");
    println!("Descriptor config OK.");
    for warning in &loaded.warnings {
        println!("warning: {warning}");
    }
    for entry in &loaded.not_yet {
        let keeps = if entry.fatal { "not yet supported, so this cannot run" } else { "not yet supported" };
        println!("{keeps}: {entry}");
    }
    types(&loaded);
    if args.timing.rt {
        timing::check(&loaded, &args.timing)?;
    }
    Ok(())
}

/// What is known about types. Under strict types a warning was an error above.
fn types(loaded: &Loaded) {
    for line in &loaded.inferred_types {
        println!("  {line}");
    }
    if loaded.type_warnings.is_empty() {
        println!("All type annotations OK.");
        return;
    }
    println!("Type warnings:");
    for warning in &loaded.type_warnings {
        println!("  - {}", warning.to_string().replace('\n', "\n  "));
    }
}
