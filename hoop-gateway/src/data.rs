//! The data folder: everything that a gateway keeps on its machine.
//!
//! | name | holds |
//! | --- | --- |
//! | `hoop.db` | the store, unless it is elsewhere or in PostgreSQL |
//! | `recordings/` | the recordings, unless they are elsewhere |
//! | `secret.key` | the secret that agents' tokens, masked tokens and the set-up token are made with |
//! | `recording.key`, `recording.pub` | the key pair that signs recordings; who verifies needs the `.pub` alone |
//! | `tls/` | the self-signed certificate and its key, unless another is configured |
//! | `operator.key` | the operator's key of a `hoop dev`; elsewhere it is where `secrets.key_file` says, better apart from the store |
//! | `lock` | held by the gateway that runs |
//!
//! Every file is its owner's alone (0600), and so is a folder that the gateway makes (0700). One that is there already keeps
//! its mode.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;

use crate::auth::{GatewaySecret, SetupToken};
use crate::config::Config;
use crate::folder_lock::FolderLock;
use crate::listen::{TlsError, TlsIdentity};
use crate::record::{KeyError, PublicKey, load_or_create_key};
use crate::store::{SqlStore, StoreError};

/// The data folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// It cannot be made, or a file in it cannot be used.
    #[error("cannot use {}", path.display())]
    File {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another gateway runs on it.
    #[error("{} is in use by another gateway; stop that one, or give this one a `data` folder of its own", .0.display())]
    InUse(PathBuf),
    /// A key in it cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store in it cannot be opened.
    #[error("the store cannot be opened")]
    Store(#[from] StoreError),
}

/// The data folder, locked for as long as this value lives.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    _lock: FolderLock,
}

impl DataFolder {
    /// Makes the folder where there is none, and locks it. It blocks for a moment.
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        make_folder(path).map_err(|source| DataError::File { path: path.to_owned(), source })?;
        let taken = FolderLock::take(path);
        let taken = taken.map_err(|source| DataError::File { path: FolderLock::file(path), source })?;
        let lock = taken.ok_or_else(|| DataError::InUse(path.to_owned()))?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The gateway's secret, made where there is none.
    pub(crate) fn secret(&self) -> Result<GatewaySecret, DataError> {
        secret(&self.path)
    }

    /// The key that signs recordings, made where there is none; its public half is left beside it.
    pub(crate) fn recording_key(&self) -> Result<SigningKey, DataError> {
        let key = load_or_create_key(&self.path.join("recording.key"))?;
        let public = self.path.join("recording.pub");
        write_private(&public, format!("{}\n", PublicKey::from(&key)).as_bytes())
            .map_err(|source| DataError::File { path: public, source })?;
        Ok(key)
    }

    /// The self-signed certificate for these names, made where there is none, and again where it is for others.
    pub(crate) fn self_signed(&self, names: &[String]) -> Result<TlsIdentity, TlsError> {
        let folder = self.path.join("tls");
        make_folder(&folder).map_err(|source| TlsError::File { path: folder.clone(), source })?;
        TlsIdentity::self_signed(&folder, names)
    }
}

/// Opens the store of this configuration, for work on it while a gateway runs or none does.
///
/// # Errors
/// [`DataError`].
pub async fn open_store(config: &Config) -> Result<SqlStore, DataError> {
    make_folder(&config.data).map_err(|source| DataError::File { path: config.data.clone(), source })?;
    Ok(SqlStore::open(config.store_url().expose()).await?)
}

/// What the first administrator of this configuration's gateway shows at `/setup`; the gateway's secret is made where there is
/// none yet.
///
/// # Errors
/// [`DataError`].
pub fn setup_token(config: &Config) -> Result<SetupToken, DataError> {
    make_folder(&config.data).map_err(|source| DataError::File { path: config.data.clone(), source })?;
    Ok(secret(&config.data)?.setup_token())
}

fn secret(data: &Path) -> Result<GatewaySecret, DataError> {
    Ok(GatewaySecret::load_or_create(&data.join("secret.key"))?)
}

/// Keeps a gateway from running on the data folder of this configuration, for as long as the returned value lives.
///
/// # Errors
/// [`DataError::InUse`] when one runs.
pub fn lock_data(config: &Config) -> Result<impl Sized + std::fmt::Debug + use<>, DataError> {
    DataFolder::open(&config.data)
}

fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn write_private(path: &Path, contents: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|written| written == contents) {
        return Ok(());
    }
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    io::Write::write_all(&mut file, contents)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn one_gateway_at_a_time_and_nobody_else_reads() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("data");
        let data = DataFolder::open(&path).expect("made");
        let error = DataFolder::open(&path).expect_err("locked").to_string();
        assert!(error.contains("in use by another gateway"), "{error}");
        let key = data.recording_key().expect("made");
        data.secret().expect("made");
        data.self_signed(&[]).expect("made");
        let mode = |name: &str| fs::metadata(path.join(name)).expect("there").permissions().mode() & 0o777;
        for (name, expected) in
            [("", 0o700), ("tls", 0o700), ("secret.key", 0o600), ("recording.key", 0o600), ("lock", 0o600)]
        {
            assert_eq!(mode(name), expected, "{name}");
        }
        drop(data);
        let again = DataFolder::open(&path).expect("free again");
        assert_eq!(again.recording_key().expect("read").to_bytes(), key.to_bytes());
        let public = fs::read_to_string(path.join("recording.pub")).expect("there");
        assert_eq!(public.trim().parse::<PublicKey>().expect("a key"), PublicKey::from(&key));
    }
}
