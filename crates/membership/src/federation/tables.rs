//! By which tables the federation decides.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fmt;
use std::sync::Arc;

use comity_policy::Tables;
use comity_policy::tables::TableName;

use super::{Federation, Refused};

/// Most bytes of all tables together: five times those that ship, and in an envelope of one they are below the mebibyte
/// that a statement may have.
pub const MAX_TABLES_BYTES: usize = 512 * 1024;

/// Tables that the operators adopted.
#[derive(Clone)]
pub struct Adopted {
    /// What verdicts are computed against.
    pub tables: Arc<Tables>,
    /// What they were read from, as TOML.
    pub texts: BTreeMap<TableName, String>,
    /// The epoch from which they count.
    pub epoch: u64,
}

/// By their digest: their rows are many.
impl fmt::Debug for Adopted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adopted")
            .field("sha256", &self.tables.digest())
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl Federation {
    /// The tables that the federation adopted; `None` where it has not, and decides by those that its programs have.
    #[must_use]
    pub fn adopted(&self) -> Option<&Adopted> {
        self.adopted.as_deref()
    }

    /// What verdicts are computed against, for a program that has `own` tables: its own count until the federation has
    /// adopted some.
    #[must_use]
    pub fn tables_or<'a>(&'a self, own: &'a Arc<Tables>) -> &'a Arc<Tables> {
        self.adopted().map_or(own, |adopted| &adopted.tables)
    }

    pub(super) fn adopt(&mut self, texts: &BTreeMap<TableName, String>, epoch: u64) -> Result<(), Refused> {
        let refuse = |why: String| Err(Refused::Tables(why));
        let bytes: usize = texts.values().map(String::len).sum();
        if bytes > MAX_TABLES_BYTES {
            return refuse(format!("they have {bytes} bytes, at most {MAX_TABLES_BYTES} are accepted"));
        }
        if let Some(missing) = TableName::ALL.iter().find(|table| !texts.contains_key(table)) {
            return refuse(format!("the table of {missing} is missing (hint: all are adopted together)"));
        }
        let tables = Tables::parse(|table| texts.get(&table).map_or("", String::as_str));
        let tables = match tables {
            Ok(tables) => tables,
            Err(error) => {
                let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
                return refuse(format!("{error}{source}"));
            }
        };
        if self.adopted().is_some_and(|adopted| adopted.texts == *texts) {
            return refuse("they are in force already".to_owned());
        }
        self.adopted = Some(Arc::new(Adopted { tables: Arc::new(tables), texts: texts.clone(), epoch }));
        Ok(())
    }
}
