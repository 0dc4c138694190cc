//! Tables of a federation's own: a file that is named like a table that ships replaces it whole, and a table without a
//! file is the one that ships. Reading the files is left to whoever has a disk.

use std::collections::BTreeMap;

use super::{TableError, TableName, Tables};

/// Largest file of a table, in bytes: thirty times the largest that ships.
pub const MAX_TABLE_BYTES: u64 = 1024 * 1024;
/// How the name of a table's file ends.
const EXTENSION: &str = ".toml";

/// The texts of all tables: those of a folder where it has them, and those that ship.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folder(BTreeMap<TableName, String>);

/// A file that is named like a table's, and like none that there is.
///
/// It is refused, since a name that is mistyped would leave the table that ships in force, and nobody would see it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no table has this name (hint: there are {}; rename the file, or take it out of the folder)", names())]
pub struct UnknownTable;

impl Folder {
    /// The table that a file is of, by its name. What does not end in `.toml` is no table, and is nobody's concern.
    ///
    /// # Errors
    /// The name ends as that of a table's file does, and is no table's.
    pub fn table_of(file_name: &str) -> Result<Option<TableName>, UnknownTable> {
        let named = TableName::ALL.iter().find(|table| file_name.strip_suffix(EXTENSION) == Some(table.as_str()));
        match named {
            Some(table) => Ok(Some(*table)),
            None if file_name.to_ascii_lowercase().ends_with(EXTENSION) => Err(UnknownTable),
            None => Ok(None),
        }
    }

    /// Puts a table's text in the place of the one that ships.
    pub fn put(&mut self, table: TableName, text: String) {
        self.0.insert(table, text);
    }

    /// True if every table is the one that ships.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if the folder has a file of this table.
    #[must_use]
    pub fn has(&self, table: TableName) -> bool {
        self.0.contains_key(&table)
    }

    /// The tables that it has, with their texts.
    pub fn iter(&self) -> impl Iterator<Item = (TableName, &str)> {
        self.0.iter().map(|(table, text)| (*table, text.as_str()))
    }

    /// A table's text: the folder's, or the one that ships.
    #[must_use]
    pub fn text(&self, table: TableName) -> &str {
        self.0.get(&table).map_or_else(|| table.builtin(), String::as_str)
    }

    /// The tables.
    ///
    /// # Errors
    /// Names the table, the row and the field.
    pub fn parse(&self) -> Result<Tables, TableError> {
        Tables::parse(|table| self.text(table))
    }
}

/// The files that a folder may have.
fn names() -> String {
    TableName::ALL.iter().map(|table| format!("{}{EXTENSION}", table.as_str())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::Assurance;

    const AUDIT: &str = "[[issuer]]\nid = 'our-audit'\nabout = ''\nup_to = 'audited'\ninstrument = ''\nsource = ''\n\
                         recorded_at = 2026-01-01\nverified = true\n";

    #[test]
    fn a_table_of_the_folder_replaces_the_one_that_ships_whole_and_no_other() {
        let mut folder = Folder::default();
        folder.put(TableName::Issuers, AUDIT.to_owned());
        let (ours, ships) = (folder.parse().unwrap(), Tables::builtin().unwrap());
        let ids: Vec<_> = ours.issuers.iter().map(|issuer| issuer.id.as_str()).collect();
        assert_eq!(ids, ["our-audit"]);
        assert!(ours.issuers.trusts("our-audit", Assurance::Audited));
        assert!(ships.issuers.iter().count() > 1, "the tables that ship are as they were");
        assert_eq!(ours.presets.len(), ships.presets.len());
        assert_ne!(ours.digest(), ships.digest());
        assert_eq!(ours.changed().collect::<Vec<_>>(), [TableName::Issuers]);
        assert!(folder.has(TableName::Issuers) && !folder.has(TableName::Blocs));
        assert_eq!(folder.iter().collect::<Vec<_>>(), [(TableName::Issuers, AUDIT)]);
        assert!(!folder.is_empty() && Folder::default().is_empty());
    }

    #[test]
    fn a_table_may_be_much_larger_than_any_that_ships() {
        let largest = TableName::ALL.iter().map(|table| table.builtin().len()).max().unwrap();
        assert!(largest > 0 && largest * 30 <= usize::try_from(MAX_TABLE_BYTES).unwrap());
    }

    #[test]
    fn a_folder_without_files_is_the_tables_that_ship() {
        let none = Folder::default().parse().unwrap();
        assert_eq!(none.digest(), Tables::builtin().unwrap().digest());
        assert_eq!(none.changed().count(), 0);
    }

    #[test]
    fn a_file_is_named_like_a_table_or_is_none_and_a_name_that_is_mistyped_is_refused() {
        for table in TableName::ALL {
            assert_eq!(Folder::table_of(&format!("{}.toml", table.as_str())), Ok(Some(*table)));
        }
        for name in ["bloc.toml", "Blocs.toml", "blocs.TOML", "blocs .toml", ".toml", "blocs.toml.toml", "pricing.toml"]
        {
            assert_eq!(Folder::table_of(name), Err(UnknownTable), "{name}");
        }
        for name in ["README.md", "blocs.toml~", "blocs", "toml", "blocs.toml.bak"] {
            assert_eq!(Folder::table_of(name), Ok(None), "{name}");
        }
        assert!(UnknownTable.to_string().contains("blocs.toml"));
    }

    #[test]
    fn a_malformed_table_of_the_folder_names_the_row_and_the_field() {
        let mut folder = Folder::default();
        folder.put(TableName::Issuers, format!("{AUDIT}{AUDIT}"));
        let error = folder.parse().unwrap_err().to_string();
        assert_eq!(error, "the table of issuers: our-audit: `id` stands twice");
    }
}
