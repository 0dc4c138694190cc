//! What a receipt says of the offer that answered, held against the rest of the same receipt: the decision let it try, and its
//! operator is the organisation that it is named after. It takes no log, so that every answer is held against it.

use comity_transparency::receipt::Verified;
use comity_transparency::record::{CANDIDATES, Field};
use comity_types::OfferName;
use serde::Deserialize;

use super::{Account, CheckError, contradiction};

/// An offer that a decision lets try, as its record has it.
#[derive(Debug, Deserialize)]
struct Candidate {
    offer: OfferName,
    offer_sha256: String,
}

/// Whether what is shown of the offer that answered contradicts nothing else that is shown; gives the field in which the
/// decision names it, if that is shown.
///
/// # Errors
/// It does.
pub(super) fn consistent(verified: Verified) -> Result<(Verified, Option<Field>), CheckError> {
    let account = Account { verified, findings: Vec::new() };
    let named = match account.answered()? {
        Some((name, recorded)) => {
            account.operator(&name)?;
            account.named(&name, &recorded)?
        }
        None => None,
    };
    Ok((account.verified, named))
}

impl Account {
    /// Who is recorded as operating the offer, against its name.
    pub(super) fn operator(&self, name: &OfferName) -> Result<(), CheckError> {
        self.is("operator", Field::OPERATOR, name.node().trust_domain().as_str())
    }

    /// The field in which the decision names the offer that answered; none where it may be one that is not shown.
    pub(super) fn named(&self, name: &OfferName, recorded: &str) -> Result<Option<Field>, CheckError> {
        let candidates = self.candidates()?;
        let own = candidates.iter().find(|(_, one)| one.offer == *name && one.offer_sha256 == recorded);
        if let Some((field, _)) = own {
            return Ok(Some(*field));
        }
        let mut fields = (0..CANDIDATES).filter_map(Field::candidate);
        if fields.any(|field| self.verified.decision().hides(field)) {
            return Ok(None);
        }
        Err(contradiction("the offer that answered was not among those that the decision let try"))
    }

    /// Those that are shown.
    fn candidates(&self) -> Result<Vec<(Field, Candidate)>, CheckError> {
        let fields = (0..CANDIDATES).filter_map(Field::candidate);
        let shown = fields.filter_map(|field| Some((field, self.verified.get(field)?)));
        let candidates: Result<_, _> =
            shown.map(|(field, json)| Ok::<_, serde_json::Error>((field, serde_json::from_slice(json)?))).collect();
        candidates.map_err(|_| contradiction("an offer that the decision let try cannot be read"))
    }
}
