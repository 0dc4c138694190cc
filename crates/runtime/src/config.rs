//! TOML files with errors that name the file, the line and the field.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// Largest configuration file: a thousand offers fit many times.
pub const MAX_CONFIG_BYTES: u64 = 4 * 1024 * 1024;

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is larger than a configuration can be.
    #[error("{} has {bytes} bytes, a configuration has at most {MAX_CONFIG_BYTES}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// It is not TOML, or not what the program expects; `source` shows the line.
    #[error("{}:{line}: cannot be understood", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What and where, with the line itself.
        source: Box<toml::de::Error>,
    },
}

/// Reads `path` as TOML.
///
/// # Errors
/// Says which file, which line and which field, and what was expected.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let read = |source| ConfigError::Read { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(read)?.len();
    if bytes > MAX_CONFIG_BYTES {
        return Err(ConfigError::TooLarge { path: path.to_owned(), bytes });
    }
    let text = std::fs::read_to_string(path).map_err(read)?;
    toml::from_str(&text).map_err(|source| {
        let before = source.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        ConfigError::Parse { path: path.to_owned(), line, source: Box::new(source) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(rename = "port")]
        _port: u16,
    }

    fn error(text: &str) -> ConfigError {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        load::<File>(file.path()).unwrap_err()
    }

    #[test]
    fn an_error_names_the_line_and_the_field() {
        let ConfigError::Parse { line, source, .. } = error("port = 1\nprot = 2\n") else { panic!("wrong kind") };
        assert_eq!(line, 2);
        assert!(source.to_string().contains("prot"), "{source}");
        let ConfigError::Parse { line, source, .. } = error("\n\nport = 'x'\n") else { panic!("wrong kind") };
        assert_eq!(line, 3);
        assert!(source.to_string().contains("port = 'x'"), "{source}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let missing = load::<File>(Path::new("no-such-file.toml")).unwrap_err();
        assert_eq!(missing.to_string(), "cannot read no-such-file.toml");
    }
}
