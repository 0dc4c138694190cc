//! What a record repeats of the offer, of the request and of the node's word, so that a field of it can be shown alone: held
//! against where it comes from. What comes from nowhere else is the broker's word, and said to be.

use std::collections::BTreeSet;

use comity_membership::Log;
use comity_policy::{Claim, Offer};
use comity_proto::inference;
use comity_transparency::record::{CANDIDATES, Field};
use comity_types::{Digest, OfferName, Place};
use prost::Message as _;

use super::{Account, CheckError, contradiction};

/// Who asked for what: nobody else signed it.
const ASKED: [Field; 5] = [Field::CALLER, Field::METHOD, Field::MODEL, Field::ENVELOPE_SHA256, Field::ENVELOPE];
/// Where it was processed, and under which law.
const PLACE: [Field; 2] = [Field::JURISDICTION, Field::GOVERNING_LAW];

impl Account {
    /// Holds all of it against its sources.
    pub(super) fn repeated(&mut self, log: Option<&Log>) -> Result<(), CheckError> {
        self.envelope()?;
        if let Some((name, _)) = self.answered()? {
            self.among_eligible(&name)?;
            self.place(log.and_then(|log| log.federation().offer(&name)))?;
        }
        Ok(())
    }

    /// What is left: the broker's word, with what would have to be shown besides to prove it.
    pub(super) fn word(&mut self) {
        let names = |fields: &[Field]| fields.iter().map(|field| field.name()).collect::<Vec<_>>().join(", ");
        let asked: Vec<_> = self.open().filter(|field| ASKED.contains(field)).collect();
        if !asked.is_empty() {
            let what =
                format!("who asked for what, which is the broker's word to all but whoever asked: {}", names(&asked));
            self.verdict(false, &asked, what);
        }
        let mut open: Vec<_> = self.open().map(|field| (self.provable_by(field), field)).collect();
        open.sort_by_key(|(by, _)| *by);
        for of_one in open.chunk_by(|(one, _), (next, _)| one == next) {
            let fields: Vec<_> = of_one.iter().map(|(_, field)| *field).collect();
            let what = match of_one.first().and_then(|(by, _)| *by) {
                None => format!("what nobody but the broker knows, which is its word alone: {}", names(&fields)),
                Some(by) => format!("the broker's word, unless {by} besides: {}", names(&fields)),
            };
            self.verdict(false, &fields, what);
        }
    }

    /// What proves a field on which there was no verdict, if anything does.
    fn provable_by(&self, field: Field) -> Option<&'static str> {
        const OFFER: &str = "offer and offer_sha256 are shown, and the federation's log is given,";
        let is_candidate = (0..CANDIDATES).any(|rank| Field::candidate(rank) == Some(field));
        match field {
            Field::OPERATOR | Field::OFFER | Field::OFFER_SHA256 => {
                Some("offer, offer_sha256 and node_outcome are shown, and the federation's log is given,")
            }
            Field::JURISDICTION | Field::GOVERNING_LAW => Some(OFFER),
            Field::STATUS | Field::USAGE | Field::ATTEMPT | Field::NODE_OUTCOME => {
                Some("node_outcome is shown, and the federation's log is given,")
            }
            // Beside the one that answered, the others are of nobody's knowledge.
            _ if is_candidate && self.verified.get(Field::OFFER).is_none() => Some(OFFER),
            _ => None,
        }
    }

    /// A field that is shown, against what it repeats.
    pub(super) fn is(&self, what: &str, field: Field, source: &str) -> Result<(), CheckError> {
        match self.verified.get(field) {
            Some(recorded) if recorded != source.as_bytes() => Err(contradiction(format!(
                "the {what} that the broker recorded is not {source}, from which it follows"
            ))),
            Some(_) | None => Ok(()),
        }
    }

    /// The model against the envelope, and that against its digest.
    fn envelope(&self) -> Result<(), CheckError> {
        let Some(bytes) = self.verified.get(Field::ENVELOPE) else { return Ok(()) };
        let digest = self.verified.get(Field::ENVELOPE_SHA256);
        if digest.is_some_and(|digest| digest != Digest::of(bytes).as_bytes()) {
            return Err(contradiction("the envelope is another than the one whose digest was decided on"));
        }
        let envelope = inference::Envelope::decode(bytes);
        let envelope = envelope.map_err(|_| contradiction("the envelope that was decided on cannot be read"))?;
        self.is("model", Field::MODEL, &envelope.model)
    }

    /// The offer that answered, in the list of those that were eligible, which is cut where it is long.
    fn among_eligible(&self, name: &OfferName) -> Result<(), CheckError> {
        let Some(list) = self.verified.get(Field::ELIGIBLE) else { return Ok(()) };
        let list: Vec<OfferName> =
            serde_json::from_slice(list).map_err(|_| contradiction("the list of eligible offers cannot be read"))?;
        // The candidates are its head, and one of them answered.
        if list.contains(name) {
            return Ok(());
        }
        Err(contradiction("the offer that answered is not in the list of those that the broker recorded as eligible"))
    }

    /// Where it was processed, and under which law, against the offer as it was published.
    fn place(&mut self, offer: Option<&Offer>) -> Result<(), CheckError> {
        let shown = PLACE.iter().any(|field| self.verified.get(*field).is_some());
        let Some(offer) = offer else {
            if shown {
                let what =
                    "where it was processed and under which law: the broker's word, for want of the federation's log";
                self.verdict(false, &PLACE, what);
            }
            return Ok(());
        };
        let places = offer.processing_locations.as_ref().map(Claim::everything);
        let recorded = self.verified.get(Field::JURISDICTION).map(serde_json::from_slice::<BTreeSet<Place>>);
        if recorded.is_some_and(|recorded| recorded.ok() != places) {
            return Err(contradiction("the jurisdiction that the broker recorded is not where the offer is processed"));
        }
        let law = offer.terms.as_ref().and_then(|terms| terms.governing_law.as_ref()).map_or("", Place::as_str);
        self.is("governing law", Field::GOVERNING_LAW, law)?;
        if shown {
            let what = "the jurisdiction and the governing law on record are as the offer says that was published";
            self.verdict(true, &PLACE, what);
        }
        Ok(())
    }
}
