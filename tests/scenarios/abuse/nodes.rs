//! What a node can do to a broker that called it: the same, from the other side of the connection.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use comity_client::Identity;
use comity_identity::{StaticAnchors, tls};
use comity_tests::abuse::{FRAMES, PIECES};
use comity_tests::backend::{Backend, Behaviour};
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation};
use comity_tests::node::NodeSpec;
use comity_tests::program::said;
use comity_tests::raw::{self, END_HEADERS, ENHANCE_YOUR_CALM, Ended, Held, Kind, LARGEST_FRAME, frame};
use comity_tests::wait::PATIENCE;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::MOST_MEMORY;

/// What a node does that means harm, on a call that it got. All of them end in `ENHANCE_YOUR_CALM`.
struct Attack {
    name: &'static str,
    begins: fn(u32) -> Vec<u8>,
    goes_on: fn(u32) -> Vec<u8>,
}

const ATTACKS: [Attack; 9] = [
    Attack { name: "pings", begins: |_| Vec::new(), goes_on: |_| frame(Kind::Ping, 0, 0, &[7; 8]) },
    Attack {
        name: "settings",
        begins: |_| Vec::new(),
        goes_on: |_| frame(Kind::Settings, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]),
    },
    Attack {
        name: "resets of a call that it has reset",
        begins: |_| Vec::new(),
        goes_on: |call| frame(Kind::RstStream, 0, call, &[0, 0, 0, 2]),
    },
    Attack { name: "windows", begins: |_| Vec::new(), goes_on: |_| frame(Kind::WindowUpdate, 0, 0, &[0, 0, 0, 1]) },
    Attack {
        name: "interim answers",
        begins: |_| Vec::new(),
        goes_on: |call| frame(Kind::Headers, END_HEADERS, call, &raw::headers(&[(":status", "103")])),
    },
    Attack {
        name: "a head without an end",
        begins: |call| frame(Kind::Headers, 0, call, &raw::headers(&[(":status", "200")])),
        goes_on: |call| frame(Kind::Continuation, 0, call, &[]),
    },
    Attack {
        name: "a head as long as its pieces may be",
        begins: |call| frame(Kind::Headers, 0, call, &raw::headers(&[(":status", "200")])),
        goes_on: |call| frame(Kind::Continuation, 0, call, &much()),
    },
    Attack {
        name: "trailers as long as their pieces may be",
        begins: |call| [begun(call), frame(Kind::Headers, raw::END_STREAM, call, &[])].concat(),
        goes_on: |call| frame(Kind::Continuation, 0, call, &much()),
    },
    Attack { name: "an answer of nothing", begins: begun, goes_on: |call| frame(Kind::Data, 0, call, &[]) },
];

fn much() -> Vec<u8> {
    raw::headers(&[("x-much", &"x".repeat(LARGEST_FRAME - 64))])
}

/// An answer that has begun.
fn begun(call: u32) -> Vec<u8> {
    let head = raw::headers(&[(":status", "200"), ("content-type", "application/grpc")]);
    frame(Kind::Headers, END_HEADERS, call, &head)
}

/// A node's place, taken by somebody with its key.
struct Hostile {
    /// Which attack is on.
    at: Arc<AtomicUsize>,
    /// How each connection ended on which one was carried out.
    ended: mpsc::Receiver<(usize, Ended)>,
    _runtime: tokio::runtime::Runtime,
}

impl Hostile {
    fn start(address: &str, identity: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (at, (tell, ended)) = (Arc::<AtomicUsize>::default(), mpsc::channel());
        let (acceptor, listener) = runtime.block_on(async {
            let identity = Identity::open(identity).unwrap();
            let anchors: StaticAnchors = [identity.root().organisation_anchors().unwrap()].into_iter().collect();
            let clock = Arc::clone(identity.clock());
            let tls = tls::server_config(Arc::clone(identity.credentials()), Arc::new(anchors), clock).unwrap();
            (TlsAcceptor::from(tls), TcpListener::bind(address).await.unwrap())
        });
        let attacking = Arc::clone(&at);
        let accepting = runtime.spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, at, tell) = (acceptor.clone(), Arc::clone(&attacking), tell.clone());
                spawn(async move {
                    if let Ok(ended) = attack(tcp, acceptor, &at).await {
                        // The scenario may be over.
                        let _heard = tell.send(ended);
                    }
                });
            }
        });
        drop(accepting);
        Self { at, ended, _runtime: runtime }
    }

    /// How the first connection ends on which this attack is carried out.
    fn ended(&self, attack: usize) -> Ended {
        loop {
            let (at, ended) = self.ended.recv_timeout(PATIENCE).unwrap();
            if at == attack {
                return ended;
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a hostile node is no part of the programs")]
fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(work));
}

/// Waits for a call, and answers it with what is on.
async fn attack(tcp: TcpStream, acceptor: TlsAcceptor, at: &AtomicUsize) -> std::io::Result<(usize, Ended)> {
    tcp.set_nodelay(true)?;
    let mut tls = acceptor.accept(tcp).await?;
    tls.write_all(&frame(Kind::Settings, 0, 0, &[])).await?;
    tls.flush().await?;
    let mut first = [0; raw::FIRST.len()];
    tokio::io::AsyncReadExt::read_exact(&mut tls, &mut first).await?;
    let call = loop {
        let read = raw::read(&mut tls).await?;
        if read.kind == Kind::Headers as u8 {
            break read.stream;
        }
    };
    let at = at.load(Ordering::SeqCst);
    let attack = &ATTACKS[at];
    tls.write_all(&(attack.begins)(call)).await?;
    let piece = (attack.goes_on)(call).repeat(usize::try_from(FRAMES).unwrap());
    Ok((at, raw::flood(tls, PIECES, move |_| piece.clone()).await))
}

#[test]
fn a_node_that_floods_the_broker_that_called_it_is_hung_up_on_and_others_answer() {
    let backend = Backend::start(Behaviour::Answer);
    let mut federation = Federation::start();
    // Operators are told of a node whose link breaks, each time.
    federation.expect_log("a link broke");
    federation.expect_log("a try failed");
    let bad = NodeSpec::openai("n1", &backend.url(), "DE").model("bad-model");
    let mut bad = federation.node(EU_OWNED, &bad);
    let good = federation.node(EU_BODY, &NodeSpec::openai("n2", &backend.url(), "DE").model("good-model"));
    let app = federation.app(EU_BODY, "assistant");
    let ask = |model: &str| {
        let words = ["chat", "--model", model, "--purpose", "dpv:CustomerCare", "-o", "json", "what is the capital?"];
        federation.ask(&app, &words)
    };
    let address = bad.address();
    assert!(bad.program.stop().success());
    let hostile = Hostile::start(&address, &bad.folder.join("data/identity"));
    let broker = federation.broker.as_ref().unwrap().id();
    assert!(ask("good-model").status.success());
    let before = Held::by(broker);
    for (at, attack) in ATTACKS.iter().enumerate() {
        hostile.at.store(at, Ordering::SeqCst);
        let (asked, answered) = std::thread::scope(|scope| {
            let asking = scope.spawn(|| ask("bad-model"));
            // Beside it.
            let answered = ask("good-model");
            (asking.join().unwrap(), answered)
        });
        assert!(!asked.status.success(), "{}: {}", attack.name, said(&asked));
        assert!(answered.status.success(), "{}: {}", attack.name, said(&answered));
        assert_eq!(hostile.ended(at), ENHANCE_YOUR_CALM, "{}", attack.name);
    }
    let after = Held::by(broker);
    assert!(after.memory < before.memory + MOST_MEMORY, "{before:?} has become {after:?}");
    drop((hostile, good));
}
