//! The folder of a gateway's files.

use std::path::{Path, PathBuf};

use crate::Error;

/// A folder. If it is a temporary one, it is removed when it is dropped.
pub(super) struct Folder {
    path: PathBuf,
    temporary: bool,
}

impl Folder {
    /// This folder, or a new temporary one.
    pub(super) fn new(kept: Option<PathBuf>) -> Result<Self, Error> {
        let temporary = kept.is_none();
        let path = kept.unwrap_or_else(|| std::env::temp_dir().join(format!("dcr-gateway-{}", uuid::Uuid::new_v4())));
        std::fs::create_dir_all(&path).map_err(Error::system(path.display().to_string()))?;
        Ok(Self { path, temporary })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.temporary {
            return;
        }
        if std::thread::panicking() {
            eprintln!("the gateway's logs are kept in {}", self.path.display());
        } else if let Err(error) = std::fs::remove_dir_all(&self.path) {
            eprintln!("cannot remove {}: {error}", self.path.display());
        }
    }
}
