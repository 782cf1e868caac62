//! `dora validate`: reads and checks a descriptor; builds and starts nothing.

use super::{load, warn_not_yet};
use crate::{
    args::{ValidateArgs, given},
    error::CliResult,
};

/// `dora validate`
pub(crate) fn run(args: &ValidateArgs) -> CliResult {
    warn_not_yet(&given(&[
        (args.strict_types, "--strict-types"),
        (args.node_manifest.is_some(), "--node-manifest"),
        (args.offline, "--offline"),
    ]));
    let loaded = load(&args.path, &[])?;
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
    Ok(())
}
