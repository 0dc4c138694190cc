//! What a record repeats of the offer, of the request and of the node's word, so that a field of it can be shown alone: held
//! against where it comes from. What comes from nowhere else is the broker's word, and said to be.

use std::collections::BTreeSet;

use comity_membership::Log;
use comity_policy::{Claim, Offer};
use comity_proto::inference;
use comity_proto::permit;
use comity_transparency::record::Field;
use comity_types::{OfferName, Place};
use prost::Message as _;

use super::{Account, CheckError, contradiction};

/// What nobody but the broker knows.
const ITS_WORD: [Field; 6] =
    [Field::CONSIDERED, Field::ELIGIBLE, Field::TRIES, Field::BYTES_OUT, Field::DURATION_MS, Field::CANCELLED];

impl Account {
    /// Holds all of it against its sources.
    pub(super) fn repeated(&mut self, log: Option<&Log>) -> Result<(), CheckError> {
        self.model()?;
        if let Some((name, _)) = self.answered()? {
            self.is("operator", Field::OPERATOR, name.node().trust_domain().as_str())?;
            self.among_eligible(&name)?;
            self.place(log.and_then(|log| log.federation().offer(&name)))?;
        }
        let word: Vec<_> = ITS_WORD.into_iter().filter(|field| self.verified.get(*field).is_some()).collect();
        if !word.is_empty() {
            let names: Vec<_> = word.iter().map(|field| field.name()).collect();
            self.unproven(format!("what nobody but the broker knows, which is its word alone: {}", names.join(", ")));
        }
        Ok(())
    }

    /// The status and the try, against what the node signed.
    pub(super) fn as_the_node_said(&self, said: &permit::Outcome) -> Result<(), CheckError> {
        self.is("status", Field::STATUS, &said.status.to_string())?;
        self.is("attempt", Field::ATTEMPT, &said.attempt.to_string())
    }

    /// A field that is shown, against what it repeats.
    fn is(&self, what: &str, field: Field, source: &str) -> Result<(), CheckError> {
        match self.verified.get(field) {
            Some(recorded) if recorded != source.as_bytes() => Err(contradiction(format!(
                "the {what} that the broker recorded is not {source}, from which it follows"
            ))),
            Some(_) | None => Ok(()),
        }
    }

    /// The model, against the envelope.
    fn model(&self) -> Result<(), CheckError> {
        let Some(envelope) = self.verified.get(Field::ENVELOPE) else { return Ok(()) };
        let envelope = inference::Envelope::decode(envelope);
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
        let shown = [Field::JURISDICTION, Field::GOVERNING_LAW].map(|field| self.verified.get(field).is_some());
        let Some(offer) = offer else {
            if shown.contains(&true) {
                self.unproven(
                    "where it was processed and under which law: the broker's word, for want of the federation's log",
                );
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
        if shown.contains(&true) {
            self.proven("where it was processed and under which law is as the offer says that was published");
        }
        Ok(())
    }
}
