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
use tonic::{Code, Response, Status};

use super::Admitted;
use crate::backend::Pieces;

/// An answer in one message.
pub(super) fn whole<T>(admitted: &Admitted, usage: Option<Usage>, answer: T) -> Response<T> {
    usage.iter().for_each(|usage| admitted.used(usage));
    let mut response = Response::new(answer);
    let mut trailers = HeaderMap::new();
    trailers.extend(account(admitted, usage));
    response.extensions_mut().insert(Trailers(trailers));
    response
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
        let mut last = None;
        while let Some(piece) = admitted.next(pieces.next()).await? {
            // A later piece may tell of all again.
            last = usage(&piece).or(last);
            yield piece;
        }
        last.iter().for_each(|usage| admitted.used(usage));
        for (name, value) in account(&admitted, last) {
            filled.insert(name, value);
        }
    };
    let mut response = Response::new(stream.boxed());
    response.extensions_mut().insert(late);
    response
}

/// What a request that ended well used, the node's word on it, and how busy the node is.
fn account(admitted: &Admitted, usage: Option<Usage>) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let used = usage.and_then(|usage| header(USAGE, &usage.encode_to_vec()));
    let signed = admitted.outcome(Code::Ok, usage).and_then(|outcome| header(OUTCOME, &outcome));
    let load = header(LOAD, &admitted.load().encode_to_vec());
    used.into_iter().chain(signed).chain(load)
}

fn header(name: &'static str, bytes: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let value = HeaderValue::try_from(STANDARD_NO_PAD.encode(bytes)).ok()?;
    Some((HeaderName::from_static(name), value))
}
