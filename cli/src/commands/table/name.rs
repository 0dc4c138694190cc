//! Which table is meant: by its name, in the plural or the singular, or by the name of a file.

use std::path::Path;

use comity_policy::tables::TableName;

use crate::error::CliError;

/// A table by its name.
pub(super) fn parse(text: &str) -> Result<TableName, String> {
    let wanted = text.to_ascii_lowercase();
    let is_it = |table: &&TableName| table.as_str() == wanted || table.as_str().strip_suffix('s') == Some(&wanted);
    TableName::ALL.iter().find(is_it).copied().ok_or_else(|| format!("there is no such table (there are: {})", all()))
}

/// The table that a file is of: what was said, or else what the file is called.
pub(super) fn of_file(path: &Path, said: Option<TableName>) -> Result<TableName, CliError> {
    let by_name = || parse(path.file_stem()?.to_str()?).ok();
    said.or_else(by_name).ok_or_else(|| CliError::Usage {
        problem: format!("the name of {} does not say of which table it is", path.display()),
        hint: format!("name it with --table NAME (there are: {}), or rename the file, as in blocs.toml", all()),
    })
}

fn all() -> String {
    TableName::ALL.iter().map(|table| table.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_known_by_its_plural_its_singular_and_its_file() {
        for text in ["blocs", "bloc", "Bloc"] {
            assert_eq!(parse(text), Ok(TableName::Blocs), "{text}");
        }
        assert!(parse("block").unwrap_err().contains("blocs"));
        assert_eq!(of_file(Path::new("a/licences.toml"), None).unwrap(), TableName::Licences);
        assert_eq!(of_file(Path::new("a/mine.toml"), Some(TableName::Blocs)).unwrap(), TableName::Blocs);
        assert!(of_file(Path::new("a/mine.toml"), None).is_err());
    }
}
