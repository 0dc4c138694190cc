//! Which classes are kept as bits as well: nothing that an answer would show.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::index::Index;
use crate::{Offer, Organisation, Tables};

#[test]
fn a_class_is_kept_as_bits_where_that_is_read_faster() {
    // Two words hold 128 offers; with one more, two members are read faster by their numbers, and three as bits.
    let models = ["a"; 2].into_iter().chain(["b"; 3]).chain(["c"; 124]);
    let offer = |model| -> Offer {
        toml::from_str(&format!(
            "id = 'o'\nnode = 'spiffe://op.example/node/n'\nmodel = '{model}'\ncapabilities = ['chat']"
        ))
        .unwrap()
    };
    let operator: Organisation = toml::from_str("trust_domain = 'op.example'\nname = 'OP'").unwrap();
    let index = Index::new([operator], models.map(offer), Arc::new(Tables::builtin().unwrap().clone()));
    let of_class = |(facet, class): (&super::Classes, usize)| {
        (facet.members.get(class..class + 1).count(), facet.only_bits(&(class..class + 1)).is_some())
    };
    let all = index.facets.iter().flat_map(|facet| (0..facet.len()).map(move |class| (facet, class)));
    let kept: BTreeSet<_> = all.map(of_class).collect();
    assert!(index.facets.iter().all(|facet| facet.only_bits(&(0..2)).is_none()), "bits are of one class");
    assert!(kept.contains(&(2, false)) && kept.contains(&(3, true)), "{kept:?}");
}
