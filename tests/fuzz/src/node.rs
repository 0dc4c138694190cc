//! Node files, as far as they are about offers.

use comity_policy::check;
use comity_policy::node_file::NodeFile;
use comity_policy::rank::{Ranked, scores};
use comity_types::SpiffeId;

use crate::world::{CALLER, DEMANDS, OPERATOR, evaluated, must, request, said, survives, tables};

/// The node whose file it is.
const NODE: &str = "spiffe://op.example/node/n1";

pub(crate) fn hold(text: &str) {
    let file = match NodeFile::parse(text) {
        Ok(file) => file,
        Err(error) => return said(error),
    };
    let node: SpiffeId = must(NODE.parse());
    let offers = match file.offers(&node, tables()) {
        Ok(offers) => offers,
        Err(faults) => return faults.iter().for_each(said),
    };
    for offer in &offers {
        assert_eq!(check::offer(offer), [], "an offer of a file that is accepted");
        survives(offer);
        for demands in DEMANDS.iter() {
            let _verdict = evaluated(offer, &OPERATOR, &request(&CALLER, demands));
        }
    }
    let ranked: Vec<_> = offers.iter().map(|offer| Ranked { offer, latency_ms: None }).collect();
    for demands in DEMANDS.iter() {
        let scores = scores(&ranked, &demands.prefer, tables(), crate::world::as_of());
        assert_eq!(scores.len(), offers.len());
    }
}
