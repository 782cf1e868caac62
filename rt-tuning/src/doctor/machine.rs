//! Where the checks read, and which cores they judge.

use std::{fs, io, path::PathBuf};

use super::{Change, Fix};
use crate::{TuningError, readback::core_list};

/// Core numbers end here, as in `sched_setaffinity` with the usual mask.
const MOST_CORES: usize = 1024;

/// A machine as its files show it: `/`, or a folder with `proc/`, `sys/`, … of another one.
#[derive(Clone, Debug)]
pub struct Machine {
    root: PathBuf,
}

impl Machine {
    /// The files below `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Text of a file without blanks at its ends.
    ///
    /// # Errors
    /// What reading says: not found, not permitted.
    pub(super) fn text(&self, path: &str) -> io::Result<String> {
        fs::read(self.path(path)).map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// Text of a file without blanks at its ends; `None` when it cannot be read.
    pub fn read(&self, path: &str) -> Option<String> {
        self.text(path).ok()
    }

    pub(super) fn number<T: std::str::FromStr>(&self, path: &str) -> Option<T> {
        self.read(path)?.parse().ok()
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// Names in a folder, in order; none when it cannot be read.
    pub(super) fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(path)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_by_key(|name| (name.parse().unwrap_or(u64::MAX), name.clone()));
        names
    }
}

/// Which cores real-time nodes are to run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The cores, ascending, at least one.
    pub cores: Vec<usize>,
    /// Who chose them.
    pub chosen: Chosen,
}

/// Who chose the real-time cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// The user.
    Given,
    /// They are isolated already.
    Isolated,
    /// Nobody: the last physical core, because core 0 has most of the other work.
    Proposed,
}

/// What the checks know.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where they read.
    pub machine: Machine,
    /// Cores that run, ascending, at least one.
    pub online: Vec<usize>,
    /// Cores that are judged for real-time nodes.
    pub scope: Scope,
    /// Words of the kernel's command line.
    pub arguments: Vec<String>,
    /// What the kernel said when SCHED_FIFO was tried; `None` when it was not, as for the files of another machine.
    pub tried: Option<Result<(), TuningError>>,
}

impl Context {
    /// Reads which cores there are. `given` are the real-time cores that the user names.
    ///
    /// # Errors
    /// A core that is named and does not run, or an empty list.
    pub fn new(
        machine: Machine,
        given: Option<&[usize]>,
        tried: Option<Result<(), TuningError>>,
    ) -> Result<Self, TuningError> {
        let mut online = core_list(&machine.read("sys/devices/system/cpu/online").unwrap_or_default());
        // More cannot be asked for by affinity, and a file with garbage must not take minutes.
        online.retain(|&core| core < MOST_CORES);
        online.sort_unstable();
        online.dedup();
        if online.is_empty() {
            online.push(0);
        }
        let arguments = machine.read("proc/cmdline").unwrap_or_default();
        let arguments = arguments.split_ascii_whitespace().map(str::to_owned).collect();
        let mut this = Self {
            machine,
            online,
            scope: Scope { cores: vec![0], chosen: Chosen::Proposed },
            arguments,
            tried,
        };
        this.scope = this.choose(given)?;
        Ok(this)
    }

    fn choose(&self, given: Option<&[usize]>) -> Result<Scope, TuningError> {
        if let Some(given) = given {
            let mut cores = given.to_vec();
            cores.sort_unstable();
            cores.dedup();
            let what = || format!("cores {}", list(&cores));
            if cores.is_empty() {
                return Err(TuningError::new("cores", "no core is named"));
            }
            if let Some(core) = cores.iter().find(|core| !self.online.contains(core)) {
                let reason = format!("core {core} does not run; these do: {}", list(&self.online));
                return Err(TuningError::new(what(), reason));
            }
            return Ok(Scope { cores, chosen: Chosen::Given });
        }
        let isolated: Vec<usize> =
            self.isolated().into_iter().filter(|core| self.online.contains(core)).collect();
        if !isolated.is_empty() {
            return Ok(Scope { cores: isolated, chosen: Chosen::Isolated });
        }
        let last = self.online.last().copied().unwrap_or(0);
        let siblings = self.siblings(last);
        let cores = if siblings.contains(&self.online[0]) { vec![last] } else { siblings };
        Ok(Scope { cores, chosen: Chosen::Proposed })
    }

    /// Cores that the scheduler leaves alone: by `isolcpus` and by isolated cpuset partitions.
    pub(super) fn isolated(&self) -> Vec<usize> {
        let read = |path| core_list(&self.machine.read(path).unwrap_or_default());
        let mut cores = read("sys/devices/system/cpu/isolated");
        cores.extend(read("sys/fs/cgroup/cpuset.cpus.isolated"));
        cores.retain(|&core| core < MOST_CORES);
        cores.sort_unstable();
        cores.dedup();
        cores
    }

    /// Running cores of the physical core that `core` is part of, itself included.
    pub(super) fn siblings(&self, core: usize) -> Vec<usize> {
        let path = format!("sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
        let mut cores = core_list(&self.machine.read(&path).unwrap_or_default());
        cores.retain(|core| self.online.binary_search(core).is_ok());
        if cores.is_empty() { vec![core] } else { cores }
    }

    /// Cores that are left for everything else.
    pub(super) fn housekeeping(&self) -> Vec<usize> {
        self.online.iter().copied().filter(|core| !self.scope.cores.contains(core)).collect()
    }

    /// Cores on which clock rate and idle states matter: the real-time ones, all when nobody chose any.
    pub(super) fn wide(&self) -> &[usize] {
        if self.scope.chosen == Chosen::Proposed { &self.online } else { &self.scope.cores }
    }

    /// Value of `name=` on the kernel's command line, the last if several.
    pub(super) fn argument(&self, name: &str) -> Option<&str> {
        self.arguments.iter().rev().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }

    /// A fix by one word on the kernel's command line; by hand where another value of it stands there already.
    pub(super) fn boot_with(&self, name: &str, value: &str) -> Fix {
        const UNDO: &str = "remove it and reboot";
        match self.argument(name) {
            Some(old) => Fix::by_hand(
                format!("replace {name}={old} on the kernel's command line by {name}={value}, and reboot"),
                Some("put the old value back and reboot"),
            ),
            None => {
                let word = format!("{name}={value}");
                Fix::new(format!("boot with {word}"), UNDO, vec![Change::KernelArgument(word)])
            }
        }
    }
}

/// Numbers as the kernel writes lists: `0-2,5`.
pub fn list(cores: &[usize]) -> String {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for &core in cores {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == core => *last = core,
            _ => parts.push((core, core)),
        }
    }
    let text = |&(first, last): &(usize, usize)| match last - first {
        0 => first.to_string(),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    };
    parts.iter().map(text).collect::<Vec<_>>().join(",")
}

/// A mask as the kernel writes it, in groups of 32 bits: `3`, `ff,ffffffff`.
pub(super) fn mask(cores: &[usize]) -> String {
    let groups = cores.iter().max().map_or(1, |last| last / 32 + 1);
    let mut words = vec![0u32; groups];
    cores.iter().for_each(|core| words[core / 32] |= 1 << (core % 32));
    let mut text = String::new();
    for word in words.iter().rev() {
        text += &if text.is_empty() { format!("{word:x}") } else { format!(",{word:08x}") };
    }
    text
}

/// Cores of such a mask; none for text that is no mask.
pub(super) fn cores_of_mask(text: &str) -> Vec<usize> {
    let mut cores = Vec::new();
    for (group, word) in text.trim().rsplit(',').enumerate() {
        let Ok(word) = u32::from_str_radix(word, 16) else { return Vec::new() };
        cores.extend((0..32).filter(|bit| word >> bit & 1 == 1).map(|bit| group * 32 + bit));
    }
    cores
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_masks_are_written_as_the_kernel_writes_them() {
        assert_eq!(list(&[0, 1, 2, 5, 7, 8]), "0-2,5,7,8");
        assert_eq!(list(&[]), "");
        assert_eq!(mask(&[0, 1]), "3");
        assert_eq!(mask(&[0, 32, 35]), "9,00000001");
        assert_eq!(cores_of_mask("9,00000001\n"), [0, 32, 35]);
        assert_eq!(cores_of_mask("x"), []);
    }
}
