//! What an organisation demands of its own requests, whatever its apps send: a layer for all of them, and one for
//! each app that is named. Layers merge with what a request demands by tightening alone (VOCABULARY D4), in
//! [`Layers::demanded`] and nowhere else.

use std::collections::BTreeMap;

use comity_types::Name;
use serde::{Deserialize, Serialize};

use crate::requirements::{RequirementsFile, check};
use crate::{Requirements, Tables};

/// Most apps of an organisation that have a layer of their own.
pub const MAX_APPS: usize = 256;

/// What an organisation demands of its own requests. It declares nothing: why a request is made, its app says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Layers {
    /// Of every request.
    #[serde(skip_serializing_if = "is_empty")]
    pub organisation: Requirements,
    /// Beyond that, of the requests of single apps, by their names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub apps: BTreeMap<Name, Requirements>,
}

/// Who demands something of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// The caller's organisation, of all its requests.
    Organisation,
    /// The caller's organisation, of the app that calls.
    App,
    /// The request itself.
    Request,
}

/// What has to hold for a request, and who demands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demanded {
    /// All layers together: never looser than any of them.
    pub requirements: Requirements,
    by: [(Layer, Vec<&'static str>); 3],
}

impl Layers {
    /// True if nothing is demanded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What has to hold for a `request` of `app`: organisation, app and request together. An app that nobody names has
    /// the organisation's layer alone.
    #[must_use]
    pub fn demanded(&self, app: Option<&Name>, request: &Requirements) -> Demanded {
        let none = Requirements::default();
        let of_app = app.and_then(|app| self.apps.get(app)).unwrap_or(&none);
        let by = [
            (Layer::Organisation, self.organisation.keys()),
            (Layer::App, of_app.keys()),
            (Layer::Request, request.keys()),
        ];
        Demanded { requirements: self.organisation.clone().meet(of_app.clone()).meet(request.clone()), by }
    }

    /// Checks every code, every level and every list, as those of a request are.
    ///
    /// # Errors
    /// The path of the first field that is wrong, and what would be right.
    pub fn check(&self, tables: &Tables) -> Result<(), (String, String)> {
        if self.apps.len() > MAX_APPS {
            return Err(("apps".to_owned(), format!("at most {MAX_APPS} are accepted, there are {}", self.apps.len())));
        }
        let apps = self.apps.iter().map(|(app, layer)| (format!("apps.{app}"), layer));
        let mut all = std::iter::once(("organisation".to_owned(), &self.organisation)).chain(apps);
        all.try_for_each(|(layer, requirements)| {
            let file = RequirementsFile { requirements: requirements.clone(), ..RequirementsFile::default() };
            check(&file, tables).map_err(|(path, problem)| (format!("{layer}.{path}"), problem))
        })
    }
}

impl Demanded {
    /// The requirements of the organisation's layers, by the keys of a requirements file: what a request cannot drop.
    /// Layers that demand nothing are left out.
    pub fn beyond_the_request(&self) -> impl Iterator<Item = (Layer, &[&'static str])> {
        let set = self.by.iter().filter(|(layer, keys)| *layer != Layer::Request && !keys.is_empty());
        set.map(|(layer, keys)| (*layer, keys.as_slice()))
    }

    /// The layers that make a requirement.
    #[must_use]
    pub fn layers_of(&self, constraint: &str) -> Vec<Layer> {
        self.by.iter().filter(|(_, keys)| keys.contains(&constraint)).map(|(layer, _)| *layer).collect()
    }
}

fn is_empty(requirements: &Requirements) -> bool {
    *requirements == Requirements::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn layers(text: &str) -> Layers {
        let text = format!("trust_domain = 'a.example'\nname = 'A'\n{text}");
        let table: crate::organisation::OrganisationTable = toml::from_str(&text).unwrap();
        table.expand(Tables::builtin().unwrap()).unwrap().layers
    }

    fn request(text: &str) -> Requirements {
        RequirementsFile::from_toml(text, Tables::builtin().unwrap()).unwrap().requirements
    }

    const LAYERS: &str = "[require]\nallowed_processing_locations = ['EU']\n[apps.a1.require]\nno_training = true";

    #[test]
    fn an_app_has_the_organisations_layer_and_its_own_and_no_other_apps() {
        let layers = layers(LAYERS);
        let of = |app| layers.demanded(Some(&name(app)), &request("no_human_review = true")).requirements.keys();
        assert_eq!(of("a1"), ["allowed_processing_locations", "no_training", "no_human_review"]);
        assert_eq!(of("a2"), ["allowed_processing_locations", "no_human_review"]);
    }

    #[test]
    fn it_is_told_who_makes_each_requirement() {
        let demanded = layers(LAYERS).demanded(Some(&name("a1")), &request("no_training = true"));
        assert_eq!(demanded.layers_of("no_training"), [Layer::App, Layer::Request]);
        assert_eq!(demanded.layers_of("allowed_processing_locations"), [Layer::Organisation]);
        let beyond: Vec<_> = demanded.beyond_the_request().collect();
        let expected: [(Layer, &[&str]); 2] =
            [(Layer::Organisation, &["allowed_processing_locations"]), (Layer::App, &["no_training"])];
        assert_eq!(beyond, expected);
    }

    #[test]
    fn layers_survive_being_stored_and_a_requirement_of_a_later_version_is_refused() {
        let layers = layers(&format!(
            "{LAYERS}\nmax_price = {{ currency = 'EUR', input_micros_per_million_tokens = 1, output_micros_per_million_tokens = 2 }}\nmin_seal = {{ SOV-1 = 3 }}"
        ));
        let stored = serde_json::to_string(&layers).unwrap();
        assert_eq!(serde_json::from_str::<Layers>(&stored).unwrap(), layers);
        let later = stored.replace("no_training", "no_emissions");
        assert!(serde_json::from_str::<Layers>(&later).is_err(), "{later}");
        assert_eq!(serde_json::to_string(&Layers::default()).unwrap(), "{}");
    }

    #[test]
    fn a_code_that_no_table_has_is_refused_with_its_layer() {
        let mut layers = layers(LAYERS);
        layers.apps.get_mut(&name("a1")).unwrap().allowed_operator_seats =
            crate::requirements::AllowLists::one(["EUU".parse().unwrap()]);
        let (path, _) = layers.check(Tables::builtin().unwrap()).unwrap_err();
        assert_eq!(path, "apps.a1.allowed_operator_seats");
    }

    #[test]
    fn a_layer_of_one_app_is_something_and_one_for_more_apps_than_the_most_is_refused() {
        let of = |count| Layers {
            apps: (0..count).map(|n| (name(&format!("a{n}")), request("no_training = true"))).collect(),
            ..Layers::default()
        };
        assert!(of(0).is_empty() && !of(1).is_empty());
        let check = |count| of(count).check(Tables::builtin().unwrap());
        assert_eq!(check(MAX_APPS), Ok(()));
        let (path, problem) = check(MAX_APPS + 1).unwrap_err();
        assert_eq!((path.as_str(), problem.as_str()), ("apps", "at most 256 are accepted, there are 257"));
    }
}
