//! Who says nothing, or half of something, holds a connection for a while and no longer.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::client::TlsStream;

use super::*;
use crate::socket::Socket;

/// What a client says first, with settings that change nothing.
const FIRST: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// The beginning of a head that goes on: one header of HPACK's static table, and no end.
const HEAD: &[u8] = b"\0\0\x01\x01\0\0\0\0\x01\x83";
/// More of it, and no end.
const MORE: &[u8] = b"\0\0\x01\x09\0\0\0\0\x01\x84";

/// The answer to those settings, and the head of a ping that is no answer.
const SETTINGS_TAKEN: &[u8] = b"\0\0\0\x04\x01\0\0\0\0";
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0";

/// A connection that was taken, and has said these words.
async fn said(words: &[u8]) -> (TlsStream<Socket>, Tasks) {
    let tasks = Tasks::new();
    let (_service, world, address) = served(CancellationToken::new(), &tasks).await;
    let mut tls = dial::connect(&address.to_string(), world.client(&world.member, "app/x")).await.unwrap();
    tls.write_all(words).await.unwrap();
    tls.flush().await.unwrap();
    (tls, tasks)
}

/// Reads until this was said.
async fn hears(tls: &mut TlsStream<Socket>, words: &[u8]) {
    let heard = async {
        let mut said = Vec::new();
        while !said.ends_with(words) {
            said.push(tls.read_u8().await.unwrap());
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.expect("it is said");
}

/// Waits until it is hung up on, whatever is said before.
async fn ended(mut tls: TlsStream<Socket>) {
    let mut said = Vec::new();
    let read = tls.read_to_end(&mut said);
    // How it ends, by an error or not, is TLS's business.
    let _end = tokio::time::timeout(PATIENCE, read).await.expect("it is hung up on");
}

async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_connection_that_does_not_say_its_first_words_in_time_is_ended() {
    for words in [&FIRST[..0], &FIRST[..23]] {
        let (tls, _tasks) = said(words).await;
        pass(PREFACE_DEADLINE + Duration::from_secs(1)).await;
        ended(tls).await;
    }
}

#[tokio::test]
async fn a_connection_that_has_said_them_may_be_idle_for_as_long_as_it_answers() {
    let (mut tls, _tasks) = said(FIRST).await;
    hears(&mut tls, SETTINGS_TAKEN).await;
    pass(PREFACE_DEADLINE + Duration::from_secs(1)).await;
    // A ping of ours is answered.
    tls.write_all(b"\0\0\x08\x06\0\0\0\0\0whatever").await.unwrap();
    tls.flush().await.unwrap();
    hears(&mut tls, b"whatever").await;
}

#[tokio::test]
async fn a_head_that_comes_by_the_byte_ends_with_the_connection_that_is_asked_whether_it_stands() {
    let (mut tls, _tasks) = said(&[FIRST, HEAD].concat()).await;
    hears(&mut tls, SETTINGS_TAKEN).await;
    pass(HTTP2.keep_alive + Duration::from_secs(1)).await;
    // Within a head nothing else may be said, so that the question cannot be answered.
    hears(&mut tls, PING).await;
    tls.write_all(MORE).await.unwrap();
    tls.flush().await.unwrap();
    pass(HTTP2.keep_alive_timeout + Duration::from_secs(1)).await;
    ended(tls).await;
}
