//! The tables that a command reads: those that ship, or those of the folder that the command line names.

use std::sync::Arc;

use comity_policy::Tables;
use comity_policy::tables::Folder;
use comity_runtime::tables::{self, TablesError};

use crate::args::Global;
use crate::error::CliError;

/// The tables, and the texts that they were read from.
#[derive(Debug)]
pub(crate) struct InForce {
    /// The texts: the folder's where it has them.
    pub(crate) folder: Folder,
    /// What they say.
    pub(crate) tables: Tables,
    /// Where the folder's come from.
    pub(crate) from: &'static str,
}

impl Global {
    /// The tables that verdicts are computed against.
    pub(crate) fn tables(&self) -> Result<Arc<Tables>, CliError> {
        tables::load(self.tables.as_deref()).map_err(unusable)
    }

    /// The same with their texts.
    pub(crate) fn tables_in_force(&self) -> Result<InForce, CliError> {
        let folder = self.folder_of_tables()?;
        let path = self.tables.as_deref().unwrap_or_else(|| "".as_ref());
        let tables = tables::tables(path, &folder).map_err(unusable)?;
        Ok(InForce { folder, tables, from: "folder" })
    }

    /// The texts alone, which may say anything yet. Without a folder, it is an empty one.
    pub(crate) fn folder_of_tables(&self) -> Result<Folder, CliError> {
        self.tables.as_deref().map_or_else(|| Ok(Folder::default()), tables::read).map_err(unusable)
    }
}

fn unusable(error: TablesError) -> CliError {
    CliError::Client { doing: "use the tables", source: Box::new(error), hint: None }
}
