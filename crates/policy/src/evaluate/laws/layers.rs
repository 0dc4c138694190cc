//! The laws of layers: what an organisation demands holds for its requests, whatever an app sends.

use std::collections::BTreeSet;

use comity_types::Name;
use proptest::prelude::*;

use super::demands::layer;
use super::world::{World, theme, world};
use crate::{Layer, Layers, Requirements};

fn app() -> Name {
    "a1".parse().unwrap()
}

fn layers(organisation: &Requirements, of_app: &Requirements) -> Layers {
    Layers { organisation: organisation.clone(), apps: [(app(), of_app.clone())].into() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_is_demanded_together_is_never_looser_than_any_layer(
        worlds in proptest::collection::vec(world(), 1..3), organisation in layer(), of_app in layer(), request in layer()
    ) {
        let demanded = layers(&organisation, &of_app).demanded(Some(&app()), &request);
        for world in worlds.iter().map(World::read) {
            let of_each = [&organisation, &of_app, &request].map(|layer| world.is_eligible(layer));
            // No looser than any, and no tighter than all of them.
            prop_assert_eq!(world.is_eligible(&demanded.requirements), of_each.iter().all(|eligible| *eligible));
        }
    }

    #[test]
    fn nor_where_a_request_demands_the_same_in_another_way((world, organisation, request) in theme()) {
        let world = world.read();
        let demanded = layers(&organisation, &Requirements::default()).demanded(Some(&app()), &request);
        let is_eligible = world.is_eligible(&demanded.requirements);
        prop_assert!(!is_eligible || world.is_eligible(&organisation), "loosened: {:?}", world.own());
        prop_assert!(!is_eligible || world.is_eligible(&request));
    }

    #[test]
    fn every_requirement_is_told_with_the_layers_that_make_it(
        organisation in layer(), of_app in layer(), request in layer()
    ) {
        let demanded = layers(&organisation, &of_app).demanded(Some(&app()), &request);
        let together: BTreeSet<_> = demanded.requirements.keys().into_iter().collect();
        let of_each = [(Layer::Organisation, &organisation), (Layer::App, &of_app), (Layer::Request, &request)];
        let all: BTreeSet<_> = of_each.iter().flat_map(|(_, layer)| layer.keys()).collect();
        prop_assert_eq!(&together, &all);
        for key in together {
            let makers: Vec<_> =
                of_each.iter().filter(|(_, layer)| layer.keys().contains(&key)).map(|(layer, _)| *layer).collect();
            prop_assert_eq!(demanded.layers_of(key), makers);
        }
    }

    #[test]
    fn layers_are_stored_and_read_as_they_are(organisation in layer(), of_app in layer()) {
        let layers = layers(&organisation, &of_app);
        let stored = serde_json::to_vec(&layers).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Layers>(&stored).unwrap(), layers);
    }
}
