//! Whether the offer that answered was eligible: by the candidates that the decision names, and evaluated again by what the
//! federation's log says of that epoch. That caller and node took part in it was looked at before.

use std::sync::Arc;

use comity_membership::Log;
use comity_policy::{Capability, ENGINE_VERSION, ReasonCode, Request, Tables, Usage, Verdict, evaluate};
use comity_proto::convert::Envelope;
use comity_proto::inference;
use comity_transparency::record::Field;
use comity_types::{OfferName, SpiffeId};
use prost::Message as _;

use super::node::NodesWord;
use super::{Account, Against, AsOf, CheckError, contradiction};

/// What was asked, as the record of the decision has it.
struct AskedFor {
    caller: SpiffeId,
    capability: Capability,
    envelope: Envelope,
}

impl Account {
    /// That the offer was eligible.
    pub(super) fn eligibility(&mut self, against: &Against<'_>, node: Option<&NodesWord>) -> Result<(), CheckError> {
        let Some((name, recorded)) = self.answered()? else { return Ok(()) };
        if let Some(field) = self.named(&name, &recorded)? {
            // The node signed the index of the decision's leaf: that was in the log before the node ran.
            let before = if node.is_some() { ", made before anything was sent," } else { "" };
            self.verdict(true, &[field], format!("the decision{before} names {name} as eligible"));
        }
        let (Some(AsOf { log, .. }), Some(asked)) = (against.log, self.asked_for()?) else {
            self.unproven("eligibility, evaluated again: it takes the federation's log and the receipt with its envelope (`comity receipt show`)");
            return Ok(());
        };
        let leaf = *self.verified.decision().leaf();
        if leaf.engine != ENGINE_VERSION {
            self.unproven(format!(
                "eligibility, evaluated again: version {} of the rules decided, and this program has {ENGINE_VERSION}",
                leaf.engine
            ));
            return Ok(());
        }
        match self.evaluated_again(log, &asked, &name, against.tables)? {
            Verdict::Eligible { .. } => {
                self.proven(format!(
                    "evaluated again at epoch {} and {}, {name} is eligible",
                    leaf.epoch.size, leaf.at
                ));
            }
            Verdict::Rejected { reasons } => {
                // What was used that day, and where the broker stands, is in no log.
                let unknowable = |code| matches!(code, ReasonCode::QuotaExceeded | ReasonCode::BrokerPathNotAllowed);
                if let Some(reason) = reasons.iter().find(|reason| !unknowable(reason.code)) {
                    return Err(contradiction(format!("evaluated again, {name} was not eligible: {reason}")));
                }
                self.unproven(format!(
                    "that {name} was within its quota, and the broker's place allowed: no log says so"
                ));
            }
        }
        Ok(())
    }

    /// Who asked for what, where all of it is shown.
    fn asked_for(&self) -> Result<Option<AskedFor>, CheckError> {
        let shown = |field| self.verified.get(field);
        let (Some(caller), Some(method), Some(envelope)) =
            (shown(Field::CALLER), shown(Field::METHOD), shown(Field::ENVELOPE))
        else {
            return Ok(None);
        };
        let unreadable = |what: &str| contradiction(format!("the {what} that was decided on cannot be read"));
        let caller = str::from_utf8(caller).ok().and_then(|caller| caller.parse().ok());
        let envelope = inference::Envelope::decode(envelope).ok().and_then(|wire| Envelope::try_from(wire).ok());
        Ok(Some(AskedFor {
            caller: caller.ok_or_else(|| unreadable("caller"))?,
            capability: capability(method).ok_or_else(|| unreadable("method"))?,
            envelope: envelope.ok_or_else(|| unreadable("envelope"))?,
        }))
    }

    fn evaluated_again(
        &self,
        log: &Log,
        asked: &AskedFor,
        name: &OfferName,
        own: &Arc<Tables>,
    ) -> Result<Verdict, CheckError> {
        let federation = log.federation();
        let missing = || contradiction("who asked or who answered was no member at that epoch");
        let asking = federation.organisation(asked.caller.trust_domain()).ok_or_else(missing)?;
        let answering = federation.organisation(name.node().trust_domain()).ok_or_else(missing)?;
        // As they counted, with what auditors had signed; and by the tables of that epoch.
        let offer = federation.offers().find(|offer| offer.name() == *name).ok_or_else(missing)?;
        let demanded = asking.layers.demanded(Some(asked.caller.name()), &asked.envelope.requirements);
        let request = Request {
            caller: &asking.facts,
            model: Some(&asked.envelope.model),
            capability: asked.capability,
            declared: &asked.envelope.declared,
            requirements: &demanded.requirements,
            broker_places: None,
            used: Usage::none(),
            as_of: self.verified.decision().leaf().at,
        };
        Ok(evaluate(offer, &answering.facts, &request, federation.tables_or(own)))
    }
}

/// What a model has to be able to do for a method; nothing for one that this program does not know.
fn capability(method: &[u8]) -> Option<Capability> {
    match method {
        b"Chat" | b"ChatStream" => Some(Capability::Chat),
        b"Embed" => Some(Capability::Embed),
        b"Forward" => Some(Capability::Forward),
        _ => None,
    }
}
