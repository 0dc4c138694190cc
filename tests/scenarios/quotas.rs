//! What an offer grants is granted once: the broker counts, and where it does not know any more, the node does. That a
//! day ends, broker and node show in tests of their own, by clocks that are moved.

use std::process::Output;
use std::time::{SystemTime, UNIX_EPOCH};

use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::Caller;
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation};
use comity_tests::node::NodeSpec;
use comity_tests::program::said;

/// What two apps saw of an offer that grants each organisation two requests a day.
struct Seen {
    /// The answers to the first two requests.
    granted: [String; 2],
    /// To the third one.
    refused: Output,
    /// What `comity explain` said then.
    explained: String,
    /// What it said when the broker had begun anew.
    forgotten: String,
    /// The answer to a request then.
    vetoed: Output,
    /// To the first request of another organisation.
    other: String,
    /// How often the model server was asked.
    asked: usize,
}

fn ask(federation: &Federation, app: &Caller) -> Output {
    federation.ask(app, &["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "hello"])
}

fn use_up() -> Seen {
    let backend = Backend::start(Behaviour::Answer);
    let mut federation = Federation::start();
    let _node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE").granting(2));
    let [app, other] = [EU_BODY, EU_OWNED].map(|organisation| federation.app(organisation, "assistant"));
    let granted = [(); 2].map(|()| said(&ask(&federation, &app)));
    let refused = ask(&federation, &app);
    let explain = ["explain", "--model", "test-model", "--purpose", "dpv:CustomerCare"];
    let explained = said(&federation.ask(&app, &explain));
    federation.cut_broker_and_restart();
    federation.expect_log("a try failed");
    let forgotten = said(&federation.ask(&app, &explain));
    let vetoed = ask(&federation, &app);
    let other = said(&ask(&federation, &other));
    Seen { granted, refused, explained, forgotten, vetoed, other, asked: backend.asked().len() }
}

#[expect(clippy::disallowed_methods, reason = "the programs go by the system's clock")]
fn day() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 86_400
}

#[test]
fn a_caller_that_used_up_its_quota_is_refused_by_the_broker_and_by_the_node_if_the_broker_forgot() {
    let (before, mut seen) = (day(), use_up());
    if day() != before {
        // At midnight another day is granted, and the programs go by the system's clock.
        seen = use_up();
    }
    let Seen { granted, refused, explained, forgotten, vetoed, other, asked } = seen;
    for answer in [&granted[0], &granted[1], &other] {
        assert!(answer.contains("Paris"), "{answer}");
    }
    for output in [&refused, &vetoed] {
        assert_eq!(output.status.code(), Some(1), "{}", said(output));
        assert!(said(output).contains("QUOTA_EXCEEDED"), "{}", said(output));
    }
    assert!(explained.contains("QUOTA_EXCEEDED"), "{explained}");
    assert!(forgotten.contains("eligible") && !forgotten.contains("QUOTA_EXCEEDED"), "{forgotten}");
    assert_eq!(asked, 3);
}
