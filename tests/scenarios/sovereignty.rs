//! What is an organisation's own it says itself, and nobody else: no operator is asked, and none can say it.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use comity_client::follow::{self, Followed};
use comity_client::say::{self, Draft, SayError};
use comity_client::{Connection, Identity};
use comity_identity::{Invite, Inviter, KeyPair};
use comity_membership::{InviteId, Statement};
use comity_policy::{Layers, Organisation};
use comity_runtime::clock::SystemClock;
use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::{Caller, comity};
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, Node, OrganisationSpec};
use comity_tests::node::NodeSpec;
use comity_tests::program::{run, said, succeed};
use comity_tests::wait;
use comity_transparency::Signer as _;
use comity_types::{Clock as _, Digest, Timestamp};
use serde_json::Value;

/// How long the invite holds that is to expire.
const SHORT: Duration = Duration::from_secs(1);
/// What is asked of the model.
const CHAT: [&str; 6] = ["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "Where?"];

/// A node of [`EU_OWNED`] in a federation, and [`EU_BODY`] with its first app, which has the organisation's key.
struct Scene {
    node: Node,
    federation: Federation,
    backend: Backend,
    first: Caller,
}

impl Scene {
    fn set() -> Self {
        let backend = Backend::start(Behaviour::Answer);
        let mut federation = Federation::start();
        let mut node = federation.node(EU_OWNED, &NodeSpec::openai("n1", &backend.url(), "DE"));
        for text in ["SUSPENDED", "MEMBER", "peer refused", "broker", "backend"] {
            node.program.expect_log(text);
        }
        for text in ["a try failed", "peer refused", "a key that was not admitted"] {
            federation.expect_log(text);
        }
        let first = federation.app(EU_BODY, "first");
        Self { federation, backend, node, first }
    }

    fn own(&self, arguments: &[&str]) -> String {
        self.federation.say_as(&self.first.identity, arguments)
    }

    fn invite(&self, name: &str) -> Value {
        let words = ["invite", EU_BODY.domain, "--kind", "app", "--name", name, "-o", "json"];
        serde_json::from_str(&self.own(&words)).unwrap()
    }

    fn join(&self, invite: &str, folder: &str) -> Output {
        run(comity().args(["join", invite, "--dir"]).arg(self.dir(folder)))
    }

    fn dir(&self, folder: &str) -> PathBuf {
        self.federation.folder().join("joined").join(folder)
    }

    fn app(&self, folder: &str) -> Caller {
        Caller { address: self.first.address.clone(), identity: self.dir(folder) }
    }

    fn chat(&self, app: &Caller) -> Output {
        self.federation.ask(app, &CHAT)
    }

    fn answers(&self, app: &Caller) {
        let chat = self.chat(app);
        assert!(said(&chat).contains("Paris"), "{}", said(&chat));
    }

    fn refused(&self, app: &Caller, why: &str) {
        let chat = self.chat(app);
        assert!(!chat.status.success() && said(&chat).contains(why), "{why}: {}", said(&chat));
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} is missing in {value}"))
}

fn is_refused(output: &Output) {
    assert_eq!(output.status.code(), Some(1), "{}", said(output));
}

#[test]
fn an_organisations_own_invite_lets_an_app_in_at_once_and_no_operator_is_asked() {
    let scene = Scene::set();
    let before = scene.federation.govern_json(&["federation", "show"])["epoch"].as_u64().unwrap();
    let invite = scene.invite("second");
    let joined = scene.join(text(&invite, "invite"), "second");
    assert!(joined.status.success(), "{}", said(&joined));
    scene.answers(&scene.app("second"));
    let entries = scene.federation.govern_json(&["log", "show", "--after", &before.to_string()]);
    let kinds: Vec<_> = entries.as_array().unwrap().iter().map(|entry| text(entry, "kind")).collect();
    assert_eq!(kinds, ["member_invited", "member_admitted"]);
    assert!(!entries.to_string().contains("/operator/"), "{entries}");
}

#[test]
fn an_own_invite_is_taken_up_once_by_one_key_and_not_when_it_was_revoked_or_has_expired() {
    let mut scene = Scene::set();
    let once = scene.invite("once");
    for _ in 0..2 {
        let joined = scene.join(text(&once, "invite"), "once");
        assert!(joined.status.success(), "whoever lost the answer asks again: {}", said(&joined));
    }
    // Refused, and alarmed.
    scene.federation.expect_log("an invite was presented by a second key");
    let thief = scene.join(text(&once, "invite"), "thief");
    is_refused(&thief);
    assert!(said(&thief).contains("another key"), "{}", said(&thief));
    let revoked = scene.invite("revoked");
    let _said = scene.own(&["reject", text(&revoked, "inviteId"), "--reason", "a test"]);
    is_refused(&scene.join(text(&revoked, "invite"), "revoked"));
    let (expired, ends) = brief_invite(&scene);
    wait::until("the invite has expired", || (SystemClock.now() > ends).then_some(()));
    is_refused(&scene.join(&expired, "late"));
    scene.answers(&scene.app("once"));
}

/// An invite of the organisation's for an instant: shorter than its program makes one.
fn brief_invite(scene: &Scene) -> (String, Timestamp) {
    let identity = Identity::open(&scene.first.identity).unwrap();
    let root = identity.dir().identity().unwrap().federation_root;
    let invite = Invite::generate(Inviter::Organisation, root, &identity.brokers()[0]).unwrap();
    let ends = SystemClock.now().plus(SHORT);
    let statement = Statement::MemberInvited {
        member: format!("spiffe://{}/app/late", EU_BODY.domain).parse().unwrap(),
        invite: InviteId::from_bytes(invite.id),
        key: invite.signer().unwrap().public_key().unwrap(),
        expires_at: ends,
    };
    let key = identity.dir().organisation_key().unwrap().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _said = runtime
        .block_on(async {
            say::say_unseen(&Connection::open(&identity).unwrap(), draft(&identity, root, statement), &key).await
        })
        .unwrap();
    (invite.encode().unwrap().reveal().clone(), ends)
}

fn draft(identity: &Identity, federation: Digest, statement: Statement) -> Draft {
    Draft { federation, statement, at: identity.clock().now() }
}

#[test]
fn an_organisation_pauses_its_own_and_operators_neither_lift_that_nor_update_it() {
    let scene = Scene::set();
    let _joined =
        succeed(comity().args(["join", text(&scene.invite("second"), "invite"), "--dir"]).arg(scene.dir("second")));
    let second = scene.app("second");
    let id = format!("spiffe://{}/app/second", EU_BODY.domain);
    for (subject, why) in [(id.as_str(), "MEMBER_SUSPENDED"), (EU_BODY.domain, "ORGANISATION_SUSPENDED")] {
        let _said = scene.own(&["suspend", subject, "--reason", "under repair"]);
        scene.refused(&second, why);
        is_refused(&scene.federation.ask(&scene.federation.operator(), &["lift", subject]));
        scene.refused(&second, why);
        let _said = scene.own(&["lift", subject]);
        scene.answers(&second);
    }
    // A node pauses its organisation too, and follows no log until it lifts that.
    let node = scene.node.folder.join("data/identity");
    let _said = scene.federation.say_as(&node, &["suspend", EU_OWNED.domain, "--reason", "under repair"]);
    assert!(!scene.chat(&second).status.success());
    let _said = scene.federation.say_as(&node, &["lift", EU_OWNED.domain]);
    wait::until("the node serves again", || said(&scene.chat(&second)).contains("Paris").then_some(()));
    // What operators suspend, the organisation does not lift, and it is heard no more than anybody else.
    let _said = scene.federation.govern(&["suspend", EU_BODY.domain, "--reason", "theirs"]);
    is_refused(&scene.federation.ask(&scene.first, &["lift", EU_BODY.domain]));
    scene.refused(&second, "ORGANISATION_SUSPENDED");
    let _said = scene.federation.govern(&["lift", EU_BODY.domain]);

    let facts = scene.federation.folder().join("theirs.toml");
    scene.federation.write_facts(OrganisationSpec { seat: "FR", ..EU_BODY }, &facts);
    let update = ["organisation", "update", facts.to_str().unwrap()];
    let by_program = scene.federation.ask(&scene.federation.operator(), &update);
    assert!(!by_program.status.success(), "{}", said(&by_program));
    let seat_is = |place: &str| {
        let shown = scene.federation.govern_json(&["organisation", "show", EU_BODY.domain]);
        shown.to_string().contains(&format!("\"{place}\""))
    };
    let by_hand = operator_says_it_all(&scene.federation);
    assert!(matches!(by_hand, Err(SayError::Call(_))), "{by_hand:?}");
    assert!(seat_is("DE") && !seat_is("FR"));
    let _said = scene.own(&update);
    assert!(seat_is("FR"));
}

/// An operator signs an organisation's facts, and hands them in past their program.
fn operator_says_it_all(federation: &Federation) -> Result<say::Said, SayError> {
    let identity = Identity::open(federation.operator().identity).unwrap();
    let (root, key): (_, KeyPair) = (identity.dir().identity().unwrap().federation_root, identity.dir().key().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let connection = Connection::open(&identity).unwrap();
        let followed = Followed::new(identity.root(), root, Arc::clone(identity.clock()));
        let followed = follow::read(&connection, followed, |_, _| {}).await.unwrap();
        let state = followed.log().federation();
        let facts: Organisation = state.organisation(&EU_BODY.domain.parse().unwrap()).unwrap().organisation.clone();
        let organisation = Box::new(Organisation { name: "ours".into(), ..facts });
        let statement = Statement::OrganisationUpdated { organisation, layers: Box::new(Layers::default()) };
        let signed = draft(&identity, root, statement).sign(state, &[&key]).unwrap();
        say::submit(&connection, &signed).await
    })
}

#[test]
fn a_member_that_is_withdrawn_is_refused_and_its_name_is_free_and_an_organisation_leaves_by_its_own_word() {
    let scene = Scene::set();
    let _joined =
        succeed(comity().args(["join", text(&scene.invite("second"), "invite"), "--dir"]).arg(scene.dir("second")));
    let _said = scene.own(&["withdraw", &format!("spiffe://{}/app/second", EU_BODY.domain)]);
    let gone = scene.chat(&scene.app("second"));
    assert!(!gone.status.success(), "{}", said(&gone));
    let _joined =
        succeed(comity().args(["join", text(&scene.invite("second"), "invite"), "--dir"]).arg(scene.dir("again")));
    scene.answers(&scene.app("again"));
    let gone = scene.chat(&scene.app("second"));
    assert!(!gone.status.success(), "the old key is no member: {}", said(&gone));
    let _said = scene.own(&["withdraw", EU_BODY.domain, "--reason", "moved away"]);
    for left in [scene.first.clone(), scene.app("again")] {
        let gone = scene.chat(&left);
        assert!(!gone.status.success(), "{}", said(&gone));
    }
    assert_eq!(scene.backend.asked().len(), 1);
    let listed = scene.federation.govern_json(&["federation", "show"]);
    assert!(listed["departed"].to_string().contains("moved away"), "{listed}");
}

#[test]
fn an_evicted_organisation_is_out_with_all_its_members_and_comes_back_under_its_old_name() {
    let scene = Scene::set();
    let second = scene.invite("second");
    let _said = scene.federation.govern(&["evict", EU_BODY.domain, "--reason", "broke the rules"]);
    let gone = scene.chat(&scene.first);
    assert!(!gone.status.success(), "{}", said(&gone));
    is_refused(&scene.join(text(&second, "invite"), "second"));
    std::fs::remove_dir_all(scene.federation.folder().join(EU_BODY.domain)).unwrap();
    let list = scene.federation.govern_json(&["enrolment", "list"]);
    assert!(!list.to_string().contains(EU_BODY.domain), "what it once came by waits for nobody: {list}");
    let back = scene.federation.app(EU_BODY, "first");
    scene.answers(&back);
}

#[test]
fn a_suspended_organisation_app_node_or_certificate_is_refused_its_streams_are_cut_and_lifting_is_enough() {
    let scene = Scene::set();
    let certificate = certificate(&scene.first.identity);
    let app = format!("spiffe://{}/app/first", EU_BODY.domain);
    for (subject, why) in [
        (EU_BODY.domain, "ORGANISATION_SUSPENDED"),
        (EU_OWNED.domain, "ORGANISATION_SUSPENDED"),
        (&app, "MEMBER_SUSPENDED"),
        (&scene.node.id, "MEMBER_SUSPENDED"),
        (&format!("{app}#sha256={certificate}"), "CERTIFICATE_SUSPENDED"),
    ] {
        scene.backend.behave(Behaviour::Stall);
        let asked = scene.backend.asked().len();
        let cut = std::thread::scope(|scope| {
            let stream = scope.spawn(|| scene.chat(&scene.first));
            wait::until("the backend is asked", || (scene.backend.asked().len() > asked).then_some(()));
            let _said = scene.federation.govern(&["suspend", subject, "--reason", "a test"]);
            stream.join().unwrap()
        });
        assert!(!cut.status.success() && said(&cut).contains(why), "{subject}: {}", said(&cut));
        wait::until("the node's work has ended", || {
            (scene.backend.left() == scene.backend.asked().len()).then_some(())
        });
        scene.backend.behave(Behaviour::Answer);
        let refused = scene.chat(&scene.first);
        assert!(!refused.status.success(), "{subject}: {}", said(&refused));
        assert_eq!(scene.backend.asked().len(), asked + 1, "{subject}: a node was asked");
        let _said = scene.federation.govern(&["lift", subject]);
        wait::until("it is answered again", || said(&scene.chat(&scene.first)).contains("Paris").then_some(()));
        // What was answered left nobody waiting.
        scene.backend.forget();
    }
}

/// SHA-256 of the certificate of an identity.
fn certificate(dir: &Path) -> Digest {
    Digest::of(Identity::open(dir).unwrap().dir().chain().unwrap().first().unwrap())
}
