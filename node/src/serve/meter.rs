//! What an answer used, in the trailing metadata, and the stream of its pieces.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use comity_proto::inference::Usage;
use comity_proto::metadata::USAGE;
use comity_runtime::trailers::{LateTrailers, Trailers};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http::{HeaderMap, HeaderName, HeaderValue};
use prost::Message;
use tonic::{Response, Status};

use super::Admitted;
use crate::backend::Pieces;

/// An answer in one message.
pub(super) fn whole<T>(admitted: &Admitted, usage: Option<Usage>, answer: T) -> Response<T> {
    usage.iter().for_each(|usage| admitted.used(usage));
    let mut response = Response::new(answer);
    let mut trailers = HeaderMap::new();
    trailers.extend(usage.as_ref().and_then(header));
    response.extensions_mut().insert(Trailers(trailers));
    response
}

/// An answer in pieces, for as long as the call's deadline allows; its usage is told when a piece tells it.
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
            let told = usage(&piece);
            if let Some((name, value)) = told.as_ref().and_then(header) {
                filled.insert(name, value);
            }
            // A later piece may tell of all again.
            last = told.or(last);
            yield piece;
        }
        last.iter().for_each(|usage| admitted.used(usage));
    };
    let mut response = Response::new(stream.boxed());
    response.extensions_mut().insert(late);
    response
}

fn header(usage: &Usage) -> Option<(HeaderName, HeaderValue)> {
    let value = HeaderValue::try_from(STANDARD_NO_PAD.encode(usage.encode_to_vec())).ok()?;
    Some((HeaderName::from_static(USAGE), value))
}
