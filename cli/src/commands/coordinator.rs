//! `dora coordinator`: names and intentions, for clients and daemons.
//!
//! Ends by Ctrl-C, SIGTERM, SIGHUP, or when a client says so (`dora down`). Daemons and dataflows go on in the first cases.

use std::net::TcpListener;

use dora_coordinator::{Options, Server, StoreChoice, archive_store};
use tracing::level_filters::LevelFilter;

use super::daemon::leave_session;
use crate::{
    args::CoordinatorArgs,
    client::block_on,
    error::{CliError, CliResult},
    interrupts::Interrupts,
};

/// `dora coordinator`
pub(crate) fn run(args: &CoordinatorArgs) -> CliResult {
    if args.detached {
        leave_session()?;
    }
    let level = if args.quiet { LevelFilter::WARN } else { LevelFilter::INFO };
    // There is no other subscriber in this process.
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(false).init();
    let options = options(args)?;
    if args.recreate_store {
        put_store_aside(args, &options.store)?;
    }
    block_on(async {
        let mut interrupts = Interrupts::new()
            .map_err(|error| CliError::new("failed to watch for signals").caused_by(&error))?;
        let server = Server::bind(&options).await.map_err(|error| CliError::from_error(&error))?;
        tracing::info!(
            "listening on {}{}",
            server.local_addr(),
            if server.needs_token() { ", with a token" } else { "" }
        );
        server.run(interrupts.next()).await.map_err(|error| CliError::from_error(&error))
    })
}

fn options(args: &CoordinatorArgs) -> CliResult<Options> {
    let store = args.store.parse::<StoreChoice>().map_err(|error| CliError::from_error(&error))?;
    let defaults = Options::from_env().map_err(|error| CliError::from_error(&error))?;
    Ok(Options { interface: args.interface, port: args.port, store, auth: args.auth, ..defaults })
}

/// `--recreate-store`. Not while another coordinator has the port: the store may be its.
fn put_store_aside(args: &CoordinatorArgs, store: &StoreChoice) -> CliResult {
    if TcpListener::bind((args.interface, args.port)).is_err() {
        // What is wrong is said when the coordinator itself tries.
        return Ok(());
    }
    let Some(path) = store.path().map_err(|error| CliError::from_error(&error))? else { return Ok(()) };
    let aside = archive_store(&path).map_err(|error| {
        CliError::new(format!("failed to put the store {} aside", path.display())).caused_by(&error)
    })?;
    if let Some(aside) = aside {
        tracing::info!("the store {} is {} now", path.display(), aside.display());
    }
    Ok(())
}
