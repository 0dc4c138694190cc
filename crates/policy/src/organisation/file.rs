//! What an `organisation.toml` says: the facts, and beside them what the organisation demands of its own requests.
//! A file is a table of facts with `[require]` and `[apps.NAME.require]` in it, which are set aside while it is read.

use std::collections::BTreeMap;
use std::fmt;

use comity_types::Name;
use serde::de::value::{MapAccessDeserializer, StringDeserializer};
use serde::de::{DeserializeSeed, Error, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::Organisation;
use crate::requirements::{RequirementsError, RequirementsTable};
use crate::{Layers, Requirements, Tables};

/// What an `organisation.toml` says, expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganisationFile {
    /// Who the organisation is.
    pub facts: Organisation,
    /// What it demands of its own requests.
    pub layers: Layers,
}

/// A layer that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("[{table}] cannot be used")]
pub struct LayerError {
    /// The file's table.
    pub table: String,
    /// Why not.
    #[source]
    pub source: RequirementsError,
}

/// An `organisation.toml` as it stands, its presets by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrganisationTable {
    #[serde(flatten)]
    facts: Organisation,
    #[serde(skip_serializing_if = "is_default")]
    require: RequirementsTable,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    apps: BTreeMap<Name, AppTable>,
}

/// What stands below `[apps.NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AppTable {
    require: RequirementsTable,
}

impl OrganisationTable {
    /// Who the organisation is, whatever it demands.
    #[must_use]
    pub const fn facts(&self) -> &Organisation {
        &self.facts
    }

    /// Puts the presets in, and checks what the layers say.
    ///
    /// # Errors
    /// Names the table, and the preset, the key or the code in it.
    pub fn expand(self, tables: &Tables) -> Result<OrganisationFile, LayerError> {
        let expand = |table: String, require| demands(require, tables).map_err(|source| LayerError { table, source });
        let organisation = expand("require".to_owned(), self.require)?;
        let apps = self.apps.into_iter().map(|(app, of_app)| {
            let layer = expand(format!("apps.{app}.require"), of_app.require)?;
            Ok((app, layer))
        });
        let layers = Layers { organisation, apps: apps.collect::<Result<_, _>>()? };
        Ok(OrganisationFile { facts: self.facts, layers })
    }
}

fn is_default(require: &RequirementsTable) -> bool {
    *require == RequirementsTable::default()
}

/// What a layer demands; it has nothing else to say.
fn demands(require: RequirementsTable, tables: &Tables) -> Result<Requirements, RequirementsError> {
    if let Some(key) = declares(&require) {
        let problem = "an organisation demands, and does not declare or prefer: that is the request's to say \
                       (hint: put it into the requirements of the app)";
        return Err(RequirementsError::Field { path: key.to_owned(), problem: problem.to_owned() });
    }
    Ok(require.expand(tables)?.requirements)
}

/// The first key that demands nothing.
fn declares(require: &RequirementsTable) -> Option<&'static str> {
    let said = [
        ("purposes", !require.purposes.is_empty()),
        ("ai_act_tags", !require.ai_act_tags.is_empty()),
        ("exceptions", !require.exceptions.is_empty()),
        ("access_origins", !require.access_origins.is_empty()),
        ("output_used_in", !require.output_used_in.is_empty()),
        ("classifications", !require.classifications.is_empty()),
        ("data_categories", !require.data_categories.is_empty()),
        ("prefer", !require.prefer.is_default()),
    ];
    said.into_iter().find(|(_, is_said)| *is_said).map(|(key, _)| key)
}

impl<'de> Deserialize<'de> for OrganisationTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = OrganisationTable;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the facts of an organisation")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OrganisationTable, A::Error> {
        let (mut require, mut apps) = (None, None);
        let rest = Facts { map, require: &mut require, apps: &mut apps };
        let facts = Organisation::deserialize(MapAccessDeserializer::new(rest))?;
        Ok(OrganisationTable { facts, require: require.unwrap_or_default(), apps: apps.unwrap_or_default() })
    }
}

/// The entries of a file without its layers, which are set aside.
struct Facts<'a, A> {
    map: A,
    require: &'a mut Option<RequirementsTable>,
    apps: &'a mut Option<BTreeMap<Name, AppTable>>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Facts<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, mut seed: K) -> Result<Option<K::Value>, A::Error> {
        loop {
            seed = match self.map.next_key_seed(KeySeed(seed))? {
                None => return Ok(None),
                Some(Key::Fact(key)) => return Ok(Some(key)),
                Some(Key::Require(seed)) => {
                    once(self.require, "require", self.map.next_value()?)?;
                    seed
                }
                Some(Key::Apps(seed)) => {
                    once(self.apps, "apps", self.map.next_value()?)?;
                    seed
                }
            };
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

fn once<T, E: Error>(place: &mut Option<T>, key: &'static str, value: T) -> Result<(), E> {
    if place.replace(value).is_some() { Err(E::duplicate_field(key)) } else { Ok(()) }
}

/// A key of the file: a fact's, or a layer's, and then the seed is for the next key.
enum Key<V, K> {
    Fact(V),
    Require(K),
    Apps(K),
}

/// Reads a key where it stands, so that a mistake in it is shown there.
struct KeySeed<K>(K);

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for KeySeed<K> {
    type Value = Key<K::Value, K>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let key = String::deserialize(deserializer)?;
        match key.as_str() {
            "require" => Ok(Key::Require(self.0)),
            "apps" => Ok(Key::Apps(self.0)),
            _ => {
                let key: StringDeserializer<D::Error> = key.into_deserializer();
                self.0.deserialize(key).map(Key::Fact)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    const FACTS: &str = "trust_domain = 'a.example'\nname = 'A'\nseat = 'DE'\n";

    fn read(text: &str) -> Result<OrganisationFile, String> {
        let table: OrganisationTable = toml::from_str(&format!("{FACTS}{text}")).map_err(|error| error.to_string())?;
        table.expand(Tables::builtin().unwrap()).map_err(|error| format!("{error}: {}", error.source().unwrap()))
    }

    #[test]
    fn a_file_of_facts_alone_demands_nothing() {
        let file = read("").unwrap();
        assert!(file.layers.is_empty() && file.facts.seat.is_some());
        assert_eq!(file.facts, toml::from_str(FACTS).unwrap());
    }

    #[test]
    fn layers_that_demand_nothing_are_not_written() {
        let written = |text: &str| {
            let table: OrganisationTable = toml::from_str(&format!("{FACTS}{text}")).unwrap();
            serde_json::to_value(&table).unwrap()
        };
        assert_eq!(written("").get("require"), None);
        assert!(written("[require]\nno_training = true").get("require").is_some());
    }

    #[test]
    fn what_is_no_organisation_is_told_what_would_be() {
        let error = serde_json::from_str::<OrganisationTable>("5").unwrap_err().to_string();
        assert!(error.contains("expected the facts of an organisation"), "{error}");
    }

    #[test]
    fn layers_are_read_as_requirements_files_with_their_presets() {
        let file = read("[require]\npreset = ['eu-processing']\n[apps.a1.require]\npreset = ['zdr-strict']").unwrap();
        let Layers { organisation, apps } = file.layers;
        assert_eq!(organisation.keys().len(), 3);
        assert_eq!(apps[&"a1".parse::<Name>().unwrap()].keys(), ["max_content_retention_days", "no_training"]);
    }

    #[test]
    fn what_is_declared_or_preferred_is_refused_in_a_layer() {
        for (text, key) in [("purposes = ['dpv:CustomerCare']", "purposes"), ("prefer = { price = 1 }", "prefer")] {
            let error = read(&format!("[apps.a1.require]\n{text}")).unwrap_err();
            assert!(error.starts_with(&format!("[apps.a1.require] cannot be used: {key}: ")), "{error}");
        }
    }

    #[test]
    fn mistakes_name_their_line_or_their_table() {
        let error = read("[require]\nno_trainning = true").unwrap_err();
        assert!(error.contains("line 5") && error.contains("no_trainning"), "{error}");
        let error = read("[apps.A1.require]\nno_training = true").unwrap_err();
        assert!(error.contains("line 4"), "{error}");
        let error = read("seet = 'DE'").unwrap_err();
        assert!(error.contains("line 4") && error.contains("seet"), "{error}");
        let error = read("[apps.a1]\nrequires = {}").unwrap_err();
        assert!(error.contains("line 5") && error.contains("requires"), "{error}");
        let error = read("[require]\nallowed_processing_locations = ['EUU']").unwrap_err();
        assert!(error.starts_with("[require] cannot be used: allowed_processing_locations: \"EUU\""), "{error}");
        let error = read("[require]\npreset = ['eu']").unwrap_err();
        assert!(error.contains("there is no preset \"eu\""), "{error}");
    }
}
