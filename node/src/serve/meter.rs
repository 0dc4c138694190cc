//! What an answer used, in the trailing metadata with the node's signature, and the stream of its pieces.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use comity_proto::inference::Usage;
use comity_proto::metadata::{LOAD, OUTCOME, USAGE};
use comity_runtime::trailers::{LateTrailers, Trailers};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http::{HeaderMap, HeaderName, HeaderValue};
use prost::Message;
use tonic::{Response, Status};

use super::Admitted;
use super::admit::OnFile;
use crate::backend::Pieces;

/// An answer in one message.
///
/// # Errors
/// It cannot be written down that it is handed over, or another try was answered.
pub(super) fn whole<T>(admitted: &Admitted, usage: Option<Usage>, answer: T) -> Result<Response<T>, Status> {
    usage.iter().for_each(|usage| admitted.used(usage));
    let on_file = admitted.answers()?;
    let mut response = Response::new(answer);
    let mut trailers = HeaderMap::new();
    trailers.extend(account(admitted, &on_file, usage));
    response.extensions_mut().insert(Trailers(trailers));
    Ok(response)
}

/// An answer in pieces, for as long as the call's deadline allows; its usage is told when a piece tells it, and signed when
/// the last one has gone.
///
/// The stream holds the call's place. Dropping it drops the pieces, and with them the backend's work.
pub(super) fn pieces<T: Send + 'static>(
    admitted: Admitted,
    mut pieces: Pieces<T>,
    mut usage: impl FnMut(&T) -> Option<Usage> + Send + 'static,
) -> Response<BoxStream<'static, Result<T, Status>>> {
    let late = LateTrailers::default();
    let filled = late.clone();
    let stream = async_stream::try_stream! {
        let (mut last, mut on_file) = (None, None);
        while let Some(piece) = admitted.next(pieces.next()).await? {
            // Before the first one goes, for whoever has that may break off before the trailers.
            if on_file.is_none() {
                on_file = Some(admitted.answers()?);
            }
            // A later piece may tell of all again.
            last = usage(&piece).or(last);
            yield piece;
        }
        last.iter().for_each(|usage| admitted.used(usage));
        // One without pieces ends well, too.
        let on_file = match on_file {
            Some(on_file) => on_file,
            None => admitted.answers()?,
        };
        for (name, value) in account(&admitted, &on_file, last) {
            filled.insert(name, value);
        }
    };
    let mut response = Response::new(stream.boxed());
    response.extensions_mut().insert(late);
    response
}

/// What a request that ended well used, the node's word on it, and how busy the node is.
fn account(
    admitted: &Admitted,
    answered: &OnFile,
    usage: Option<Usage>,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let used = usage.and_then(|usage| header(USAGE, &usage.encode_to_vec()));
    let signed = admitted.outcome(answered, usage).and_then(|outcome| header(OUTCOME, &outcome));
    let load = header(LOAD, &admitted.load().encode_to_vec());
    used.into_iter().chain(signed).chain(load)
}

fn header(name: &'static str, bytes: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let value = HeaderValue::try_from(STANDARD_NO_PAD.encode(bytes)).ok()?;
    Some((HeaderName::from_static(name), value))
}
