//! What is paced leaves when it comes: each token in a write of its own, which on the wire is a record of TLS.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use comity_identity::host::TUNNEL;
use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::membership::Kind;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::Endpoint;

use crate::access::tests::node::{Door, Node, data, waits};
use crate::access::tests::stage::{chat_stream, node};
use crate::access::tests::world::{in_germany, offer};
use crate::testing::{DEADLINE, Member, Scene};

/// An empty message: a token as short as there is one.
const TOKEN: &str = "";
/// How many are said.
const TOKENS: usize = 30;
/// The head of a record, and the kind that holds what was written (RFC 8446, section 5.1).
const HEAD: usize = 5;
const WRITTEN: u8 = 23;

/// Counts the records that come.
struct Tapped {
    tcp: TcpStream,
    records: Arc<AtomicUsize>,
    head: Vec<u8>,
    skip: usize,
}

impl Tapped {
    fn note(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            self.head.push(*byte);
            if let [kind, _, _, high, low] = self.head[..] {
                self.skip = usize::from(u16::from_be_bytes([high, low]));
                self.records.fetch_add(usize::from(kind == WRITTEN), Ordering::SeqCst);
                self.head.clear();
            }
        }
        assert!(self.head.len() < HEAD);
    }
}

impl AsyncRead for Tapped {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(cx, buffer))?;
        self.note(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

/// A connection whose records are counted.
async fn tapped(scene: &Scene, app: &Member) -> (InferenceClient<tonic::transport::Channel>, Arc<AtomicUsize>) {
    let (tls, broker) = (TlsConnector::from(scene.client(app)), scene.address());
    let records = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&records);
    let connector = tower::service_fn(move |_| {
        let (tls, records) = (tls.clone(), Arc::clone(&counted));
        async move {
            let tcp = TcpStream::connect(broker).await?;
            tcp.set_nodelay(true)?;
            let tapped = Tapped { tcp, records, head: Vec::new(), skip: 0 };
            tls.connect("broker".try_into().unwrap(), tapped).await.map(TokioIo::new)
        }
    });
    let channel = Endpoint::from_static("http://broker").connect_with_connector(connector).await.unwrap();
    (InferenceClient::new(channel), records)
}

#[tokio::test]
async fn each_token_that_is_paced_leaves_at_once_in_a_write_of_its_own() {
    for behind_a_tunnel in [false, true] {
        let scene = Scene::new().await;
        let (script, mut answers) = waits();
        let _node = if behind_a_tunnel {
            let member = scene.admit("a.example", Kind::Node, "n1").await;
            scene.publish(&member, TUNNEL, vec![offer(&member.id, "DE", 1)]).await.unwrap();
            let federation = scene.root.organisation_anchors().unwrap();
            let door = Door { address: scene.address().to_string(), federation, clock: scene.clock.clone() };
            let node = Node::that_dials(member.id.clone());
            drop(node.open_tunnel(&door, member.credentials(), script).await.unwrap());
            node
        } else {
            node(&scene, "a.example", "DE", 1, script).await
        };
        let app = scene.admit("app.example", Kind::App, "a1").await;
        let (mut inference, records) = tapped(&scene, &app).await;
        let (answer, answering) = tokio::join!(inference.chat_stream(chat_stream(in_germany())), async {
            let answering = answers.recv().await.unwrap();
            answering.send(Ok(data(TOKEN))).await.unwrap();
            answering
        });
        let mut answer = answer.unwrap().into_inner();
        let mut next = async || tokio::time::timeout(DEADLINE, answer.message()).await.expect("a token").unwrap();
        assert!(next().await.is_some());
        for token in 1..TOKENS {
            let before = records.load(Ordering::SeqCst);
            // The next is not said before this one was read: nothing can have waited for company.
            answering.send(Ok(data(TOKEN))).await.unwrap();
            assert!(next().await.is_some());
            assert_eq!(records.load(Ordering::SeqCst), before + 1, "token {token}, behind a tunnel: {behind_a_tunnel}");
        }
    }
}
