//! A node that speaks TLS properly and HTTP/2 as it is told, frame by frame: what no server of a library would send.

use std::sync::atomic::{AtomicUsize, Ordering};

use comity_identity::tls;
use comity_runtime::clock::SystemClock;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::super::node::spawn;
use super::super::world::World;
use super::*;

/// What is said once a request is there: to the first connection that had one, or to any later one, about this stream.
pub(super) type Says = fn(is_first: bool, stream: u32) -> Vec<u8>;

/// What a client says first (RFC 9113, section 3.4).
const PREFACE_BYTES: usize = 24;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;

/// Serves where `node` is admitted, until the test ends; the number of connections is counted.
pub(super) async fn serve(world: &World, node: &SpiffeId, says: Says) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let config = tls::server_config(world.credentials(node), Arc::new(world.trusted()), Arc::new(SystemClock)).unwrap();
    let (connections, asked) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let made = Arc::clone(&connections);
    spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            made.fetch_add(1, Ordering::SeqCst);
            let (acceptor, asked) = (TlsAcceptor::from(Arc::clone(&config)), Arc::clone(&asked));
            spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let _broken = converse(&mut stream, says, &asked).await;
            });
        }
    });
    (address, connections)
}

/// Says what is to be said of the first whole request, and reads on until the broker hangs up.
async fn converse<T>(stream: &mut T, says: Says, asked: &AtomicUsize) -> std::io::Result<()>
where
    T: AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    stream.read_exact(&mut [0; PREFACE_BYTES]).await?;
    loop {
        let (kind, flags, number) = next(stream).await?;
        if number != 0 && matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            let said = says(asked.fetch_add(1, Ordering::SeqCst) == 0, number);
            stream.write_all(&said).await?;
            if said.ends_with(HANG_UP) {
                return stream.shutdown().await;
            }
        }
    }
}

async fn next<T: AsyncRead + Unpin>(stream: &mut T) -> std::io::Result<(u8, u8, u32)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await?;
    let [a, b, c, kind, flags, number @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    stream.read_exact(&mut payload).await?;
    Ok((kind, flags, u32::from_be_bytes(number)))
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[a, b, c, kind, flags][..], &stream.to_be_bytes(), payload].concat()
}

/// An unknown kind of frame, which HTTP/2 has peers skip: after it the connection is closed.
const HANG_UP: &[u8] = &[0, 0, 0, 0xee, 0, 0, 0, 0, 0];

/// A head with this status; HPACK without compression (RFC 7541, section 6.2.2), `:status` being its index 8.
fn head(stream: u32, status: &str) -> Vec<u8> {
    let length = u8::try_from(status.len()).unwrap();
    frame(HEADERS, END_HEADERS, stream, &[&[0x08, length], status.as_bytes()].concat())
}

fn trailers(stream: u32, code: &str) -> Vec<u8> {
    let name = b"grpc-status";
    let [name_length, length] = [name.len(), code.len()].map(|length| u8::try_from(length).unwrap());
    let field = [&[0x00, name_length], &name[..], &[length], code.as_bytes()].concat();
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &field)
}

fn goaway(last: u32, error: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), error.to_be_bytes()].concat())
}

fn answer(stream: u32, text: &str) -> Vec<u8> {
    [head(stream, "200"), frame(DATA, 0, stream, &framed(text.as_bytes())), trailers(stream, "0")].concat()
}

/// HTTP's own way to say that somebody is overloaded, as a proxy before a node does.
pub(super) fn status_503(_: bool, stream: u32) -> Vec<u8> {
    head(stream, "503")
}

/// A frame that is longer than any that was allowed, and then nothing that is HTTP/2.
pub(super) fn malformed(_: bool, _: u32) -> Vec<u8> {
    vec![0xff; 64]
}

/// The same after the answer has begun.
pub(super) fn malformed_in_the_middle(_: bool, stream: u32) -> Vec<u8> {
    [head(stream, "200"), frame(DATA, 0, stream, &framed(b"half")), vec![0xff; 64]].concat()
}

/// A server that gives up what it has begun.
pub(super) fn reset_in_the_middle(_: bool, stream: u32) -> Vec<u8> {
    let reset = frame(RST_STREAM, 0, stream, &INTERNAL_ERROR.to_be_bytes());
    [head(stream, "200"), frame(DATA, 0, stream, &framed(b"half")), reset].concat()
}

/// As a server that rotates: the connection is left, and the request that came too late was not looked at.
pub(super) fn goaway_before_the_request(is_first: bool, stream: u32) -> Vec<u8> {
    if is_first { goaway(0, NO_ERROR) } else { answer(stream, "hello") }
}

/// A server that leaves whatever it is asked on.
pub(super) fn goaway_each_time(_: bool, _: u32) -> Vec<u8> {
    goaway(0, NO_ERROR)
}

/// As a server that rotates: what runs is answered to its end.
pub(super) fn goaway_gracefully(_: bool, stream: u32) -> Vec<u8> {
    // One message, in two frames of HTTP/2.
    let message = framed(b"hello");
    let (begun, rest) = message.split_at(8);
    [head(stream, "200"), frame(DATA, 0, stream, begun), goaway(stream, NO_ERROR)]
        .into_iter()
        .chain([frame(DATA, 0, stream, rest), trailers(stream, "0")])
        .flatten()
        .collect()
}

/// As a server that has failed.
pub(super) fn goaway_in_error(_: bool, stream: u32) -> Vec<u8> {
    [&goaway(stream, INTERNAL_ERROR), HANG_UP].concat()
}

/// The same after the answer has begun.
pub(super) fn goaway_in_error_in_the_middle(_: bool, stream: u32) -> Vec<u8> {
    let begun = [head(stream, "200"), frame(DATA, 0, stream, &framed(b"half"))].concat();
    [&begun, &goaway(stream, INTERNAL_ERROR), HANG_UP].concat()
}

/// A server that is full at the level of HTTP/2, for the first request alone.
pub(super) fn refused_stream(is_first: bool, stream: u32) -> Vec<u8> {
    if is_first { frame(RST_STREAM, 0, stream, &REFUSED_STREAM.to_be_bytes()) } else { answer(stream, "hello") }
}

/// A server that goes away without a word.
pub(super) fn hung_up(_: bool, _: u32) -> Vec<u8> {
    HANG_UP.to_vec()
}
