//! `dora doctor`: its flags, and lists of cores.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::duration;

/// `dora doctor`
#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// Check and measure what matters for real time
    #[arg(long)]
    pub(crate) rt: bool,
    /// How long the timers of each core are measured, all cores at once; wake-ups take half of it in addition.
    /// 0 measures nothing
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "5s", requires = "rt")]
    pub(crate) duration: Duration,
    /// The cores for real-time nodes: 2,3 or 2-3. Default: the isolated ones, or all are measured
    #[arg(long, value_name = "LIST", value_parser = core_list, requires = "rt")]
    pub(crate) cores: Option<CoreList>,
    /// One JSON document on stdout, nothing else there
    #[arg(long)]
    pub(crate) json: bool,
    /// Print a script that would fix what was found, with its undo; changes and measures nothing
    #[arg(long, requires = "rt", conflicts_with_all = ["json", "duration"])]
    pub(crate) fix_plan: bool,
    /// Check this dataflow as well
    #[arg(long, value_name = "PATH", conflicts_with = "rt")]
    pub(crate) dataflow: Option<PathBuf>,
    /// Address of the coordinator. One that was named has to be there
    #[arg(long, value_name = "IP", env = "DORA_COORDINATOR_ADDR")]
    pub(crate) coordinator_addr: Option<std::net::IpAddr>,
    /// Port of the coordinator. One that was named has to be there
    #[arg(long, value_name = "PORT", env = "DORA_COORDINATOR_PORT")]
    pub(crate) coordinator_port: Option<u16>,
}

/// Cores by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CoreList(pub(crate) Vec<usize>);

fn core_list(text: &str) -> Result<CoreList, String> {
    const HOW: &str = "write cores as `2`, `2,3` or `0-3`";
    let number = |text: &str| text.trim().parse::<usize>().ok().filter(|&core| core < 65_536).ok_or(HOW);
    let mut cores = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(format!("`{part}` ends before it begins; {HOW}"));
        }
        cores.extend(first..=last);
    }
    Ok(CoreList(cores))
}
