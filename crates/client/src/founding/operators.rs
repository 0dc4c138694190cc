//! The operators of a new federation: who founds it, and who made their keys elsewhere.

use std::path::{Path, PathBuf};

use comity_identity::request::RequestError;
use comity_identity::{IdentityDir, KeyPair, SigningRequest};
use comity_types::ids::Kind;
use comity_types::{Name, SpiffeId, Timestamp, TrustDomain};

use super::{FoundingError, FoundingPlan, Keys, OPERATOR_LIFETIME, operator_id, operator_path};

/// An operator whose key was made elsewhere and stays there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoOperator {
    /// Their name.
    pub name: Name,
    /// What they hand over: a signing request of their key.
    pub request: SigningRequest,
}

/// A key that waits for a federation to be founded with it.
#[derive(Debug)]
pub struct Requested {
    /// Where the key is.
    pub dir: IdentityDir,
    /// What the founder needs: PKCS #10 in DER.
    pub request: Vec<u8>,
    /// A short form of the key's digest, to compare over another channel.
    pub fingerprint: String,
}

/// Makes a key in `dir` for the operator `name` of a federation that is to be founded. Again is the same as once.
///
/// # Errors
/// The directory cannot be used, or holds an identity already.
pub fn request(dir: &Path, federation: TrustDomain, name: Name) -> Result<Requested, FoundingError> {
    let dir = IdentityDir::create(dir)?;
    if dir.is_joined() {
        return Err(FoundingError::Exists { path: dir.path().to_owned() });
    }
    let key = dir.pending_key()?;
    let request = key.signing_request(&SpiffeId::new(federation, Kind::Operator, name))?;
    Ok(Requested { dir, request, fingerprint: key.public_key_digest().fingerprint() })
}

/// What came of making the operators' folders.
pub(super) struct Made {
    pub(super) operator: SpiffeId,
    pub(super) operator_dir: IdentityDir,
    pub(super) co_operator_dirs: Vec<PathBuf>,
}

/// Makes the folder of every operator.
pub(super) fn make(plan: &FoundingPlan, keys: &Keys, root_json: &[u8], now: Timestamp) -> Result<Made, FoundingError> {
    let (operator, operator_dir) = make_founder(plan, keys, root_json, now)?;
    let other = |other: &CoOperator| -> Result<PathBuf, FoundingError> {
        let (id, path) = (operator_id(plan, &other.name), operator_path(plan, &other.name));
        let issued = keys.authority.issue(&other.request, &id, &[], OPERATOR_LIFETIME, now)?;
        IdentityDir::create(&path)?.save_for(id, &issued.chain, root_json)?;
        Ok(path)
    };
    let co_operator_dirs = plan.co_operators.iter().map(other).collect::<Result<_, _>>()?;
    Ok(Made { operator, operator_dir, co_operator_dirs })
}

fn make_founder(
    plan: &FoundingPlan,
    keys: &Keys,
    root_json: &[u8],
    now: Timestamp,
) -> Result<(SpiffeId, IdentityDir), FoundingError> {
    let (id, dir) = (operator_id(plan, &plan.operator), IdentityDir::create(operator_path(plan, &plan.operator))?);
    dir.store_key(&keys.operator)?;
    let issued = keys.authority.issue(&own_request(&keys.operator, &id)?, &id, &[], OPERATOR_LIFETIME, now)?;
    dir.save(&issued.chain, root_json)?;
    Ok((id, dir))
}

fn own_request(key: &KeyPair, id: &SpiffeId) -> Result<SigningRequest, FoundingError> {
    let request: Result<_, RequestError> = SigningRequest::parse(&key.signing_request(id)?);
    Ok(request?)
}
