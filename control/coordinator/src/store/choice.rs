//! `--store`, and where the default store is.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
    str::FromStr,
};

#[cfg(feature = "redb-backend")]
use super::RedbStore;
use super::{MemoryStore, Store};
use crate::error::StoreError;

/// What `--store` says: `redb`, `redb:<path>` or `memory`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StoreChoice {
    /// [`default_path`]
    #[default]
    Redb,
    /// This file.
    RedbAt(PathBuf),
    /// Nothing outlives the coordinator.
    Memory,
}

impl FromStr for StoreChoice {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        match text {
            "redb" => Ok(StoreChoice::Redb),
            "memory" => Ok(StoreChoice::Memory),
            _ => match text.strip_prefix("redb:") {
                Some("") | None => {
                    Err(StoreError::Choice(format!("`{text}` is no store; use redb, redb:<path> or memory")))
                }
                Some(path) => {
                    let path = PathBuf::from(path);
                    if path.components().any(|part| part == Component::ParentDir) {
                        let message =
                            format!("the path of the store, `{}`, must not contain `..`", path.display());
                        return Err(StoreError::Choice(message));
                    }
                    Ok(StoreChoice::RedbAt(path))
                }
            },
        }
    }
}

impl StoreChoice {
    /// The file, where there is one.
    ///
    /// # Errors
    /// When the default is wanted and there is no home folder.
    pub fn path(&self) -> Result<Option<PathBuf>, StoreError> {
        match self {
            StoreChoice::Memory => Ok(None),
            StoreChoice::RedbAt(path) => Ok(Some(path.clone())),
            StoreChoice::Redb => default_path().map(Some).ok_or_else(|| {
                let message =
                    "there is no home folder ($HOME) for the store; name a file with --store redb:<path>";
                StoreError::Choice(message.to_owned())
            }),
        }
    }

    pub(crate) fn open(&self) -> Result<Box<dyn Store>, StoreError> {
        Ok(match self.path()? {
            None => Box::new(MemoryStore::default()),
            #[cfg(feature = "redb-backend")]
            Some(path) => Box::new(RedbStore::open(&path)?),
            #[cfg(not(feature = "redb-backend"))]
            Some(_) => {
                let message = "this dora was built without the feature `redb-backend`; use --store memory";
                return Err(StoreError::Choice(message.to_owned()));
            }
        })
    }
}

/// `~/.dora/coordinator.redb`
pub fn default_path() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| home.is_absolute()).map(|home| home.join(".dora/coordinator.redb"))
}

/// Puts a store aside (`--recreate-store`): renames it to `<name>.backup`, `<name>.backup.1`, … and says to which; `None` when there
/// was none. Nothing is overwritten. Not for a store that is in use.
///
/// # Errors
/// As the file system says.
pub fn archive(path: &Path) -> io::Result<Option<PathBuf>> {
    if !path.try_exists()? {
        return Ok(None);
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".backup");
    let first = PathBuf::from(&name);
    for n in 0_u32.. {
        let to = match n {
            0 => first.clone(),
            n => PathBuf::from(format!("{}.{n}", first.display())),
        };
        // A hard link fails where something is already; a rename would replace it.
        match fs::hard_link(path, &to) {
            Ok(()) => {
                fs::remove_file(path)?;
                return Ok(Some(to));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("there are too many backups"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_of_a_store_is_understood_or_refused() {
        assert_eq!("redb".parse::<StoreChoice>().unwrap(), StoreChoice::Redb);
        assert_eq!("memory".parse::<StoreChoice>().unwrap(), StoreChoice::Memory);
        assert_eq!("redb:/a/b".parse::<StoreChoice>().unwrap(), StoreChoice::RedbAt("/a/b".into()));
        for bad in ["", "sqlite", "redb:", "redb:/a/../b", "redb:.."] {
            let error = bad.parse::<StoreChoice>().unwrap_err().to_string();
            assert!(error.contains("redb") || error.contains(".."), "{bad}: {error}");
        }
    }

    #[test]
    fn putting_a_store_aside_overwrites_no_earlier_backup() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.redb");
        assert_eq!(archive(&path).unwrap(), None);
        for (content, backup) in
            [("one", "c.redb.backup"), ("two", "c.redb.backup.1"), ("three", "c.redb.backup.2")]
        {
            fs::write(&path, content).unwrap();
            assert_eq!(archive(&path).unwrap(), Some(dir.path().join(backup)));
            assert!(!path.exists());
        }
        assert_eq!(fs::read_to_string(dir.path().join("c.redb.backup")).unwrap(), "one");
    }
}
