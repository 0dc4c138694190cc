//! What an organisation demands binds its apps, whatever they send; it alone changes it, and it outlives the broker.

use std::path::PathBuf;

use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::{Caller, comity};
use comity_tests::federation::{EU_BODY, Federation, US_VENDOR};
use comity_tests::node::NodeSpec;
use comity_tests::program::{run, said};

const EU_ONLY: &str = "[require]\npreset = [\"eu-processing\"]\n";
const EU_ONLY_FOR_ONE: &str = "[apps.assistant.require]\nallowed_processing_locations = [\"EU\"]\n";

/// The facts of the public body, with what it demands.
fn file(federation: &Federation, demands: &str) -> PathBuf {
    let path = federation.folder().join("update.toml");
    federation.write_facts(EU_BODY, &path);
    let facts = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{facts}{demands}")).unwrap();
    path
}

/// As whoever has the organisation's key.
fn update(federation: &Federation, demands: &str, more: &[&str]) -> String {
    let signer = federation.organisation_dir(EU_BODY.domain).unwrap();
    let path = file(federation, demands);
    federation.say_as(&signer, &[&["organisation", "update", path.to_str().unwrap()], more].concat())
}

fn ask_abroad(federation: &Federation, app: &Caller) -> (bool, String) {
    let question = ["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "--operator-seat", "US", "hello"];
    let answer = federation.ask(app, &question);
    (answer.status.success(), said(&answer))
}

#[track_caller]
fn assert_refused((answered, text): (bool, String), who: &str) {
    assert!(!answered && text.contains(&format!("{who}: allowed_processing_locations")), "{text}");
}

#[test]
fn an_organisation_that_joins_with_demands_binds_its_apps_until_it_updates_them_itself() {
    let [inside, outside] = [Behaviour::Answer, Behaviour::Answer].map(Backend::start);
    let mut federation = Federation::start();
    let folder = federation.folder().join(EU_BODY.domain).join("n1");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("node.toml"), NodeSpec::openai("n1", &inside.url(), "DE").toml()).unwrap();
    std::fs::copy(file(&federation, EU_ONLY), folder.join("organisation.toml")).unwrap();
    let inside_node = federation.start_node_in(EU_BODY, "n1", folder);
    inside_node.wait_until_ready();
    let _outside_node = federation.node(US_VENDOR, &NodeSpec::openai("n1", &outside.url(), "US"));
    let app = federation.app(EU_BODY, "assistant");

    assert_refused(ask_abroad(&federation, &app), "set by eu-body.example");
    let explain = ["explain", "--model", "test-model", "--purpose", "dpv:CustomerCare"];
    let explained = said(&federation.ask(&app, &explain));
    assert!(explained.contains("set by eu-body.example: allowed_processing_locations"), "{explained}");
    assert!(federation.govern(&["organisation", "show", EU_BODY.domain]).contains("require.allowed_access_locations"));
    // Neither an app without the organisation's key nor an operator of the federation can do it.
    for other in [&app.identity, &federation.operator().identity] {
        let by_another =
            run(comity().arg("--identity").arg(other).args(["organisation", "update"]).arg(file(&federation, "")));
        let told = said(&by_another);
        assert!(by_another.status.code() == Some(2) && told.contains("first member"), "{told}");
    }

    let dry = update(&federation, "", &["--dry-run"]);
    assert!(dry.contains("require.allowed_processing_locations"), "{dry}");
    assert_refused(ask_abroad(&federation, &app), "set by eu-body.example");
    assert!(outside.asked().is_empty(), "the node abroad was asked against the organisation's word");

    assert_eq!(update(&federation, "", &[]), dry, "what was shown is what is done");
    let (answered, text) = ask_abroad(&federation, &app);
    assert!(answered && text.contains("Paris"), "{text}");

    let other = federation.app(EU_BODY, "other");
    assert!(update(&federation, EU_ONLY_FOR_ONE, &[]).contains("apps.assistant.require.allowed_processing_locations"));
    federation.cut_broker_and_restart();
    let _up = outside_node_is_back(&federation, &other);
    let before = outside.asked().len();
    assert_refused(ask_abroad(&federation, &app), "set for spiffe://eu-body.example/app/assistant");
    assert_eq!(outside.asked().len(), before);
}

/// The layer of one app is not another's: it is answered, once the broker has found the node again.
fn outside_node_is_back(federation: &Federation, app: &Caller) -> String {
    comity_tests::wait::until("the other app is answered", || {
        let (answered, text) = ask_abroad(federation, app);
        answered.then_some(text)
    })
}
