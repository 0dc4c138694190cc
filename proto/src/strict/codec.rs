//! What the generated servers read requests with. Responses are read with tonic's own codec, which skips what
//! it does not know: a client may be older than the side that answers it.

use std::marker::PhantomData;

use bytes::Buf as _;
use prost::{Message, Name};
use tonic::Status;
use tonic::codec::{DecodeBuf, Decoder};
use tonic_prost::ProstEncoder;

use super::decode;
use crate::error::Failure;

/// Writes responses `T` and reads requests `U`, of which it accepts only those that hold known fields alone.
#[derive(Debug)]
pub struct Codec<T, U>(PhantomData<fn() -> (T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = Requests<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        Requests(PhantomData)
    }
}

/// Reads requests `U`. tonic has checked their size before.
#[derive(Debug)]
pub struct Requests<U>(PhantomData<fn() -> U>);

impl<U: Message + Name + Default> Decoder for Requests<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let message = bytes.copy_to_bytes(bytes.remaining());
        decode(message).map(Some).map_err(|error| Failure::from(error).into())
    }
}
