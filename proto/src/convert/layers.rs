//! What an organisation demands of its own requests.

use std::collections::BTreeMap;

use comity_policy::layers::MAX_APPS;
use comity_policy::{Demanded, Layer, Layers, Requirements, Tables};
use comity_types::ids::Kind;
use comity_types::{Name, SpiffeId, TrustDomain};
use prost::Message as _;

use super::{WireError, bounded, parse};
use crate::policy as wire;

/// Longest layers of an organisation, in bytes as they travel: 256 apps with a dozen requirements each. A request to
/// join has 64 KiB, of which the facts and the key need the other half.
pub const MAX_LAYERS_BYTES: usize = 32 * 1024;

impl TryFrom<wire::Layers> for Layers {
    type Error = WireError;

    fn try_from(wire: wire::Layers) -> Result<Self, WireError> {
        let bytes = wire.encoded_len();
        if bytes > MAX_LAYERS_BYTES {
            return Err(WireError::new("", format!("has {bytes} bytes where at most {MAX_LAYERS_BYTES} are accepted")));
        }
        bounded("apps", wire.apps.len(), MAX_APPS)?;
        let organisation = requirements("organisation", wire.organisation)?;
        let mut apps = BTreeMap::new();
        for (index, wire) in wire.apps.into_iter().enumerate() {
            let path = format!("apps[{index}]");
            let layer = requirements(&format!("{path}.requirements"), wire.requirements)?;
            if apps.insert(parse(format!("{path}.app"), &wire.app)?, layer).is_some() {
                return Err(WireError::new(format!("{path}.app"), "another entry is for this app"));
            }
        }
        Ok(Self { organisation, apps })
    }
}

fn requirements(path: &str, wire: Option<wire::Requirements>) -> Result<Requirements, WireError> {
    wire.unwrap_or_default().try_into().map_err(|error: WireError| error.within(path))
}

/// Reads layers, and holds every code and level in them against the tables. Absent layers demand nothing.
///
/// # Errors
/// The path of the first field that is malformed, or speaks of something unknown.
pub fn checked_layers(wire: Option<wire::Layers>, tables: &Tables) -> Result<Layers, WireError> {
    let layers = Layers::try_from(wire.unwrap_or_default())?;
    layers.check(tables).map_err(|(path, problem)| WireError::new(path, problem))?;
    Ok(layers)
}

impl From<&Layers> for wire::Layers {
    fn from(layers: &Layers) -> Self {
        let app = |(app, layer): (&Name, &Requirements)| wire::AppLayer {
            app: app.to_string(),
            requirements: Some(layer.into()),
        };
        Self { organisation: Some((&layers.organisation).into()), apps: layers.apps.iter().map(app).collect() }
    }
}

/// What the layers of an organisation add to a request of an app, on its way out.
#[must_use]
pub fn layer_demands(organisation: &TrustDomain, app: Option<&Name>, demanded: &Demanded) -> Vec<wire::LayerDemands> {
    let app = app.map(|app| SpiffeId::new(organisation.clone(), Kind::App, app.clone()).to_string());
    let of_layer = |(layer, keys): (Layer, &[&'static str])| wire::LayerDemands {
        layer: wire_layer(layer).into(),
        subject: match layer {
            Layer::Organisation | Layer::Request => organisation.to_string(),
            Layer::App => app.clone().unwrap_or_default(),
        },
        constraints: keys.iter().map(ToString::to_string).collect(),
    };
    demanded.beyond_the_request().map(of_layer).collect()
}

/// The number of a layer on the wire.
#[must_use]
pub const fn wire_layer(layer: Layer) -> wire::Layer {
    match layer {
        Layer::Organisation => wire::Layer::Organisation,
        Layer::App => wire::Layer::App,
        Layer::Request => wire::Layer::Request,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str) -> wire::AppLayer {
        let requirements = wire::Requirements { no_training: true, ..Default::default() };
        wire::AppLayer { app: name.into(), requirements: Some(requirements) }
    }

    fn places(places: &[&str]) -> Option<wire::Requirements> {
        let places = wire::PlaceSet { places: places.iter().map(ToString::to_string).collect() };
        Some(wire::Requirements { allowed_processing_locations: vec![places], ..Default::default() })
    }

    fn refused(layers: wire::Layers) -> String {
        checked_layers(Some(layers), Tables::builtin().unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn layers_survive_the_wire() {
        let wire = wire::Layers { organisation: places(&["EU"]), apps: vec![app("a1"), app("a2")] };
        let layers = checked_layers(Some(wire), Tables::builtin().unwrap()).unwrap();
        assert_eq!((layers.apps.len(), layers.organisation.keys().len()), (2, 1));
        assert_eq!(Layers::try_from(wire::Layers::from(&layers)).unwrap(), layers);
        assert!(checked_layers(None, Tables::builtin().unwrap()).unwrap().is_empty());
    }

    #[test]
    fn each_mistake_in_a_layer_names_its_field() {
        let of_organisation = |organisation| refused(wire::Layers { organisation, apps: vec![] });
        let error = of_organisation(places(&["uk"]));
        assert!(error.starts_with("organisation.allowed_processing_locations[0].places[0]: "), "{error}");
        let error = of_organisation(places(&["EUU"]));
        assert!(error.starts_with("organisation.allowed_processing_locations: \"EUU\" is not in"), "{error}");
        let of_apps = |apps| refused(wire::Layers { organisation: None, apps });
        assert!(of_apps(vec![app("A1")]).starts_with("apps[0].app: "));
        assert!(of_apps(vec![app("a1"), app("a1")]).starts_with("apps[1].app: another entry"));
        let unknown = wire::AppLayer { requirements: places(&["EUU"]), ..app("a1") };
        assert!(of_apps(vec![unknown]).starts_with("apps.a1.allowed_processing_locations: "));
        let many = (0..=MAX_APPS).map(|n| app(&format!("a{n}"))).collect();
        assert!(of_apps(many).starts_with("apps: at most 256"));
        let licences = wire::LicenceSet { licences: (0..256).map(|n| format!("LicenseRef-{n:0>250}")).collect() };
        let long = wire::Requirements { allowed_licences: vec![licences; 2], ..Default::default() };
        assert!(of_organisation(Some(long)).contains("at most 32768"));
    }
}
