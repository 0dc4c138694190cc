//! Where the demo's files are: a temporary folder that goes with it, or one that stays.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::CliError;

/// The demo's folder.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    temporary: Option<TempDir>,
}

impl Folder {
    /// The folder that was named, which has to be new or empty, or a temporary one.
    pub(super) fn open(named: Option<PathBuf>) -> Result<Self, CliError> {
        let Some(named) = named else { return Self::temporary() };
        let failed = |source| CliError::File { doing: "use", path: named.clone(), source };
        fs::create_dir_all(&named).map_err(failed)?;
        if fs::read_dir(&named).map_err(failed)?.next().is_some() {
            let problem = format!("{} is not empty", named.display());
            return Err(CliError::Usage {
                problem,
                hint: "name a new directory: the demo founds a federation in it".to_owned(),
            });
        }
        let path = fs::canonicalize(&named).map_err(failed)?;
        Ok(Self { path, temporary: None })
    }

    /// Where it is; absolute.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the programs' logs go.
    pub(super) fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// Removes it, if it is a temporary one.
    pub(super) fn close(self) -> Result<(), CliError> {
        let path = self.path;
        let removed = self.temporary.map_or(Ok(()), TempDir::close);
        removed.map_err(|source| CliError::File { doing: "remove", path, source })
    }

    fn temporary() -> Result<Self, CliError> {
        let made = tempfile::Builder::new().prefix("comity-demo-").tempdir();
        let made = made.and_then(|dir| fs::canonicalize(dir.path()).map(|path| (path, dir)));
        let (path, dir) =
            made.map_err(|source: io::Error| CliError::System { doing: "make a temporary directory", source })?;
        Ok(Self { path, temporary: Some(dir) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_was_named_stays_and_has_to_be_empty() {
        let parent = tempfile::tempdir().unwrap();
        let named = parent.path().join("demo");
        let folder = Folder::open(Some(named.clone())).unwrap();
        fs::write(folder.path().join("kept"), "").unwrap();
        folder.close().unwrap();
        assert!(named.join("kept").exists());
        let refused = Folder::open(Some(named)).unwrap_err();
        assert!(refused.to_string().contains("not empty"), "{refused}");
    }

    #[test]
    fn a_temporary_folder_goes_with_all_that_is_in_it() {
        let folder = Folder::open(None).unwrap();
        let path = folder.path().to_owned();
        fs::write(path.join("file"), "").unwrap();
        folder.close().unwrap();
        assert!(!path.exists());
    }
}
