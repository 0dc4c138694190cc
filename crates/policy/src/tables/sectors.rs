//! Sectors of the economy: the sections of NACE and what is within them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::sheet::{Provenance, TableError, read};

const TABLE: &str = "sectors";
/// Digits of a division, such as `84`.
const DIVISION: usize = 2;
/// Digits of a class, the narrowest that there is, such as `84.22`.
const CLASS: usize = 4;

/// The sections, by their letter.
#[derive(Debug, Clone)]
pub struct Sectors {
    /// Where the rows come from.
    pub provenance: Provenance,
    sections: BTreeMap<String, Vec<String>>,
}

impl Sectors {
    pub(super) fn parse(text: &str) -> Result<Self, TableError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            provenance: Provenance,
            section: Vec<Row>,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Row {
            id: String,
            #[expect(dead_code, reason = "for whoever reads the table")]
            about: String,
            divisions: String,
        }
        let File { provenance, section } = read(TABLE, text)?;
        let mut sections = BTreeMap::<String, Vec<String>>::new();
        for Row { id, divisions, .. } in section {
            let divisions: Vec<_> = divisions.split_whitespace().map(str::to_owned).collect();
            let is_division = |code: &String| code.len() == DIVISION && code.bytes().all(|byte| byte.is_ascii_digit());
            if let Some(wrong) = divisions.iter().find(|code| !is_division(code)) {
                return Err(TableError::row(TABLE, id, format!("`divisions`: {wrong} has not two digits")));
            }
            if let Some(again) = divisions.iter().find(|code| sections.values().flatten().any(|other| other == *code)) {
                return Err(TableError::row(TABLE, id, format!("`divisions`: {again} is in another section")));
            }
            if sections.insert(id.clone(), divisions).is_some() {
                return Err(TableError::row(TABLE, id, "`id` stands twice"));
            }
        }
        Ok(Self { provenance, sections })
    }

    /// True if there is such a section, or a division that the code is within.
    #[must_use]
    pub fn knows(&self, code: &str) -> bool {
        !self.digits(code).is_empty()
    }

    /// True if one of the codes is within the other: who states the wider one may be in the narrower one.
    #[must_use]
    pub fn overlap(&self, one: &str, other: &str) -> bool {
        let others = self.digits(other);
        let within = |one: &String| others.iter().any(|other| one.starts_with(other) || other.starts_with(one));
        self.digits(one).iter().any(within)
    }

    /// A code in digits; a section is all of its divisions. None for a code that nobody knows.
    fn digits(&self, code: &str) -> Vec<String> {
        if let Some(divisions) = self.sections.get(code) {
            return divisions.clone();
        }
        let digits = code.replace('.', "");
        let is_code = (DIVISION..=CLASS).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        let is_known = self.sections.values().flatten().any(|division| digits.starts_with(division));
        if is_code && is_known { vec![digits] } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use crate::Tables;

    #[test]
    fn a_class_is_within_its_group_its_division_and_its_section() {
        let sectors = &Tables::builtin().unwrap().sectors;
        for wider in ["84.22", "8422", "84.2", "84", "P"] {
            assert!(sectors.overlap("84.22", wider) && sectors.overlap(wider, "84.22"), "{wider}");
        }
        for other in ["84.23", "84.1", "85", "O", "Q"] {
            assert!(!sectors.overlap("84.22", other) && !sectors.overlap(other, "84.22"), "{other}");
        }
        assert!(sectors.overlap("C", "10.1") && !sectors.overlap("C", "P"));
    }

    #[test]
    fn a_code_without_a_division_is_unknown() {
        let sectors = &Tables::builtin().unwrap().sectors;
        assert!(["A", "V", "01", "99.00", "84.2"].iter().all(|code| sectors.knows(code)));
        assert!(["", "W", "p", "8", "45", "04", "84.222", "84.x", "P84"].iter().all(|code| !sectors.knows(code)));
    }
}
