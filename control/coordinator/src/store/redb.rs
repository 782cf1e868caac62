//! The store in a file (`--store redb`, the default).
//!
//! ```text
//! meta         "schema_version" → u64
//! dataflows    16 bytes of the UUID → JSON of a StoredFlow
//! parameters   16 bytes of the UUID → JSON of StoredParameters
//! ```
//!
//! A write is one transaction, on the disk when the call returns. Killed at any moment, the file holds the last whole one.

use std::{
    fs::{self, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use dora_protocol::DataflowId;
use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition, TableError,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{Contents, Store, StoredFlow, StoredParameters, Write};
use crate::error::StoreError;

/// Of the tables and of the JSON in them.
const SCHEMA_VERSION: u64 = 1;
/// Largest record, in bytes.
const MAX_RECORD: usize = 64 << 20;
const VERSION_KEY: &str = "schema_version";

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const FLOWS: TableDefinition<'_, [u8; 16], &[u8]> = TableDefinition::new("dataflows");
const PARAMETERS: TableDefinition<'_, [u8; 16], &[u8]> = TableDefinition::new("parameters");

/// Keys and values of a table.
type Rows = Vec<([u8; 16], Vec<u8>)>;

/// A store in a redb file.
#[derive(Debug)]
pub(crate) struct RedbStore {
    path: PathBuf,
    database: Database,
}

impl RedbStore {
    /// Opens the file, or makes it (mode 0600; missing folders 0700).
    ///
    /// # Errors
    /// When it cannot be opened, is in use, has another version or is no store. It is left as it is then.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let cannot = |source: io::Error| StoreError::Open { path: path.to_owned(), source };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(cannot)?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(cannot)?;
        // It may be there already, with what some umask left.
        file.set_permissions(Permissions::from_mode(0o600)).map_err(cannot)?;
        let database = Database::builder().create_file(file).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.to_owned()),
            DatabaseError::UpgradeRequired(version) => StoreError::OtherVersion {
                path: path.to_owned(),
                found: format!("of file format {version}"),
                known: SCHEMA_VERSION,
            },
            DatabaseError::Storage(StorageError::Io(source))
                if source.kind() != io::ErrorKind::InvalidData =>
            {
                cannot(source)
            }
            other => StoreError::Broken { path: path.to_owned(), why: other.to_string() },
        })?;
        let mut store = Self { path: path.to_owned(), database };
        store.check_version()?;
        Ok(store)
    }

    fn broken(&self, why: impl ToString) -> StoreError {
        StoreError::Broken { path: self.path.clone(), why: why.to_string() }
    }

    fn unwritten(&self, why: impl ToString) -> StoreError {
        StoreError::Write { path: self.path.clone(), why: why.to_string() }
    }

    /// Of a new file: writes ours. Of an old one: compares.
    fn check_version(&mut self) -> Result<(), StoreError> {
        let found = self.version()?;
        match found {
            Some(SCHEMA_VERSION) => Ok(()),
            Some(other) => Err(StoreError::OtherVersion {
                path: self.path.clone(),
                found: other.to_string(),
                known: SCHEMA_VERSION,
            }),
            None if self.is_empty()? => {
                let begin = || -> Result<(), redb::Error> {
                    let transaction = self.database.begin_write()?;
                    transaction.open_table(META)?.insert(VERSION_KEY, SCHEMA_VERSION)?;
                    transaction.open_table(FLOWS)?;
                    transaction.open_table(PARAMETERS)?;
                    Ok(transaction.commit()?)
                };
                begin().map_err(|error| self.unwritten(error))
            }
            None => Err(StoreError::OtherVersion {
                path: self.path.clone(),
                found: "none".to_owned(),
                known: SCHEMA_VERSION,
            }),
        }
    }

    fn version(&self) -> Result<Option<u64>, StoreError> {
        let transaction = self.database.begin_read().map_err(|error| self.broken(error))?;
        match transaction.open_table(META) {
            Ok(table) => {
                Ok(table.get(VERSION_KEY).map_err(|error| self.broken(error))?.map(|value| value.value()))
            }
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(self.broken(error)),
        }
    }

    fn is_empty(&self) -> Result<bool, StoreError> {
        let transaction = self.database.begin_read().map_err(|error| self.broken(error))?;
        let mut tables = transaction.list_tables().map_err(|error| self.broken(error))?;
        Ok(tables.next().is_none())
    }

    fn parsed<T: DeserializeOwned>(&self, id: DataflowId, bytes: &[u8]) -> Result<T, StoreError> {
        serde_json::from_slice(bytes)
            .map_err(|error| self.broken(format!("record of dataflow {id}: {error}")))
    }

    fn text<T: Serialize>(&self, id: DataflowId, record: &T) -> Result<Vec<u8>, StoreError> {
        let text = serde_json::to_vec(record).map_err(|error| self.unwritten(error))?;
        if text.len() > MAX_RECORD {
            let why =
                format!("the record of dataflow {id} has {} bytes, {MAX_RECORD} are allowed", text.len());
            return Err(self.unwritten(why));
        }
        Ok(text)
    }
}

impl Store for RedbStore {
    fn load(&mut self) -> Result<Contents, StoreError> {
        let rows = |table: TableDefinition<'_, [u8; 16], &[u8]>| -> Result<Rows, redb::Error> {
            let table = self.database.begin_read()?.open_table(table)?;
            let mut all = Vec::new();
            for row in table.iter()? {
                let (key, value) = row?;
                all.push((key.value(), value.value().to_vec()));
            }
            Ok(all)
        };
        let flows = rows(FLOWS).map_err(|error| self.broken(error))?;
        let mut parameters = std::collections::BTreeMap::new();
        for (key, bytes) in rows(PARAMETERS).map_err(|error| self.broken(error))? {
            let id = DataflowId::from_bytes(key);
            parameters.insert(id, self.parsed::<StoredParameters>(id, &bytes)?);
        }
        flows
            .into_iter()
            .map(|(key, bytes)| {
                let id = DataflowId::from_bytes(key);
                Ok((id, self.parsed::<StoredFlow>(id, &bytes)?, parameters.remove(&id).unwrap_or_default()))
            })
            .collect()
    }

    fn write(&mut self, changes: &[Write]) -> Result<(), StoreError> {
        let mut rows = Vec::with_capacity(changes.len());
        for change in changes {
            rows.push(match change {
                Write::Flow(id, flow) => (FLOWS, id, self.text(*id, flow)?),
                Write::Parameters(id, parameters) => (PARAMETERS, id, self.text(*id, parameters)?),
            });
        }
        let all = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            for (table, id, bytes) in &rows {
                transaction.open_table(*table)?.insert(*id.as_bytes(), bytes.as_slice())?;
            }
            Ok(transaction.commit()?)
        };
        all().map_err(|error| self.unwritten(error))
    }

    fn delete(&mut self, id: DataflowId) -> Result<(), StoreError> {
        let both = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            transaction.open_table(FLOWS)?.remove(*id.as_bytes())?;
            transaction.open_table(PARAMETERS)?.remove(*id.as_bytes())?;
            Ok(transaction.commit()?)
        };
        both().map_err(|error| self.unwritten(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_for_its_owner_only_and_so_is_a_folder_made_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/coordinator.redb");
        drop(RedbStore::open(&path).unwrap());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
    }

    #[test]
    fn a_store_of_another_version_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.redb");
        let store = RedbStore::open(&path).unwrap();
        let transaction = store.database.begin_write().unwrap();
        transaction.open_table(META).unwrap().insert(VERSION_KEY, 7).unwrap();
        transaction.commit().unwrap();
        drop(store);
        let before = fs::read(&path).unwrap();
        for _ in 0..2 {
            let error = RedbStore::open(&path).unwrap_err().to_string();
            assert!(error.contains("schema version 7") && error.contains("--recreate-store"), "{error}");
        }
        assert_eq!(fs::read(&path).unwrap().len(), before.len());
    }

    #[test]
    fn a_file_that_is_no_store_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.redb");
        fs::write(&path, "not a store, but dear to somebody".repeat(300)).unwrap();
        let error = RedbStore::open(&path).unwrap_err().to_string();
        assert!(error.contains("--recreate-store"), "{error}");
        assert!(fs::read_to_string(&path).unwrap().starts_with("not a store"));
    }

    #[test]
    fn two_coordinators_cannot_share_a_store() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.redb");
        let first = RedbStore::open(&path).unwrap();
        let error = RedbStore::open(&path).unwrap_err().to_string();
        assert!(error.contains("in use"), "{error}");
        drop(first);
        RedbStore::open(&path).unwrap();
    }

    #[test]
    fn a_record_that_cannot_be_understood_is_an_error_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.redb");
        let mut store = RedbStore::open(&path).unwrap();
        let transaction = store.database.begin_write().unwrap();
        transaction.open_table(FLOWS).unwrap().insert([9; 16], "{}".as_bytes()).unwrap();
        transaction.commit().unwrap();
        let error = store.load().unwrap_err().to_string();
        assert!(error.contains("record of dataflow 09090909"), "{error}");
    }
}
