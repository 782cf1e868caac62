//! The command itself: `dora completion` and `dora self`.

use clap::{Args, Subcommand};
use clap_complete::Shell;

/// `dora completion`
#[derive(Args, Debug)]
pub(crate) struct CompletionArgs {
    /// The shell. Default: the one of the variable SHELL
    #[arg(value_enum)]
    pub(crate) shell: Option<Shell>,
}

/// `dora self …`
#[derive(Debug, Subcommand)]
pub(crate) enum SelfCommand {
    /// Replace this program by the newest release
    Update(SelfUpdateArgs),
    /// Remove this program
    Uninstall(SelfUninstallArgs),
}

/// `dora self update`
#[derive(Args, Debug)]
pub(crate) struct SelfUpdateArgs {
    /// Only say whether there is a newer release
    #[arg(long)]
    pub(crate) check_only: bool,
}

/// `dora self uninstall`
#[derive(Args, Debug)]
pub(crate) struct SelfUninstallArgs {
    /// Do not ask
    #[arg(long)]
    pub(crate) force: bool,
}
