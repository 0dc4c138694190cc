//! What nodes publish.

use std::collections::BTreeSet;
use std::sync::Arc;

use comity_policy::Offer;
use comity_types::SpiffeId;

use super::{Federation, Refused, Standing};
use crate::statement::{Subject, offer_digest};

/// Most offers of one node: more belong on more nodes.
pub const MAX_OFFERS_PER_NODE: usize = 256;
/// Most bytes of the offers that an application names, as JSON: some dozens with all their terms. Strangers hand
/// applications in, they wait by the thousand, and whoever approves one reads it.
pub const MAX_APPLIED_OFFERS_BYTES: usize = 64 * 1024;

impl Federation {
    pub(super) fn publish(&mut self, node: &SpiffeId, address: &str, offers: &[Offer]) -> Result<(), Refused> {
        let standing = self.standing(node);
        let state = self.nodes.get_mut(node).ok_or_else(|| Refused::NotAMember(Subject::Member(node.clone())))?;
        if let Standing::Suspended { subject, .. } = standing {
            return Err(Refused::Suspended(subject));
        }
        check_offers(node, offers)?;
        let state = Arc::make_mut(state);
        (state.address, state.offers) = (Some(address.to_owned()), offers.to_vec());
        state.digests = offers.iter().map(offer_digest).collect();
        self.end_audits_of_offers(node, offers);
        self.weigh_node(node);
        Ok(())
    }
}

/// What holds for the offers of a node, published or applied with: there are not too many, each is its own, and its name
/// is no other one's.
///
/// # Errors
/// It does not.
pub fn check_offers(node: &SpiffeId, offers: &[Offer]) -> Result<(), Refused> {
    if offers.len() > MAX_OFFERS_PER_NODE {
        return Err(Refused::TooManyOffers { node: node.clone(), found: offers.len() });
    }
    let mut ids = BTreeSet::new();
    for offer in offers {
        let refuse = |why| Err(Refused::Offer { node: node.clone(), offer: Box::new(offer.name()), why });
        if offer.node != *node {
            return refuse("the offer names another node");
        }
        if !ids.insert(&offer.id) {
            return refuse("the node has two offers of this id");
        }
    }
    Ok(())
}
