//! Every block of the README is run, as it stands there, and leads where the reader was told.
//!
//! Adding a block: name it in a comment above it, `<!-- block: name -->`, and follow it in one of the [`WAYS`].

use std::process::Command;

use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::models_as_a_user_has_them;
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, PENDING, free_address};
use comity_tests::node::NodeSpec;
use comity_tests::program::{built, run, said};
use comity_tests::reader::Reader;
use comity_tests::readme::Readme;
use comity_tests::wait;
use serde_json::Value;

/// What a reader does: runs blocks, and looks where they lead.
type Way = fn(&Readme);
/// What readers are told, and the way there, each from the start.
const WAYS: &[(&str, Way)] = &[
    ("the two commands show a federation and are there to test it", the_two_commands),
    ("an organisation joins its model server", an_organisation_joins),
    ("an app asks, from the command line, Python and TypeScript", an_app_asks),
    ("an operator founds and governs", an_operator_governs),
];

#[test]
fn every_block_of_the_readme_is_run_and_leads_where_the_reader_was_told() {
    let readme = Readme::open();
    let lost: Vec<&str> = std::thread::scope(|scope| {
        let readers: Vec<_> = WAYS.iter().map(|(told, way)| (told, scope.spawn(|| way(&readme)))).collect();
        readers.into_iter().filter_map(|(told, reader)| reader.join().err().map(|_| *told)).collect()
    });
    assert!(lost.is_empty(), "the README does not lead there: {lost:?}");
    assert!(readme.not_run().is_empty(), "no reader ran these blocks: {:?}", readme.not_run());
}

/// A reader below a federation's folder, with the programs installed.
fn reader<'a>(readme: &'a Readme, federation: &Federation) -> Reader<'a> {
    let reader = Reader::new(readme, federation.folder().join("reader"));
    let _installed = reader.follow("install");
    reader
}

fn the_two_commands(readme: &Readme) {
    let folder = tempfile::tempdir().unwrap();
    let mut reader = Reader::new(readme, folder.path().join("reader"));
    reader.fill_in("XDG_CACHE_HOME", models_as_a_user_has_them(folder.path()));
    // It ends with 0 only if every step of the story went as told.
    let said = reader.follow("the_two_commands");
    assert!(said.contains("--prepare"), "`cargo xtask test` is not there: {said}");
}

fn an_organisation_joins(readme: &Readme) {
    let backend = Backend::start(Behaviour::Answer);
    let federation = Federation::start();
    let mut reader = reader(readme, &federation);
    let spec = NodeSpec::openai("n1", &backend.url(), "DE");
    std::fs::write(reader.folder().join("node.toml"), spec.toml()).unwrap();
    federation.write_facts(EU_BODY, &reader.folder().join("organisation.toml"));
    reader.fill_in("INVITE", federation.invite(EU_BODY, "node", "n1"));
    let asked = reader.try_to_follow("joining");
    assert_eq!(asked.status.code(), Some(PENDING), "{}", said(&asked));
    assert!(said(&asked).contains("fingerprint"), "{}", said(&asked));
    // Nothing in between: it waits until it is let in, and says so.
    let mut node = reader.stay("serving");
    wait::until("the node says what it waits for", || {
        node.log().contains("waits for the federation's operators").then_some(())
    });
    federation.approve_all();
    // At the end its organisation pauses itself.
    node.expect_log("ORGANISATION_SUSPENDED");
    let _ready = wait::for_file(&reader.folder().join("data/ready"));
    let own = format!("trust_domain = \"{}\"", EU_BODY.domain);
    let facts = std::fs::read_to_string(reader.folder().join("organisation.toml")).unwrap();
    assert!(facts.contains(&own), "{facts}");
    reader.fill_in("ORGANISATION", EU_BODY.domain);
    assert!(reader.follow("inviting_ones_own").contains("comity-invite-2."));
    std::fs::write(reader.folder().join("organisation.toml"), format!("{facts}[require]\npreset = [\"zdr\"]\n"))
        .unwrap();
    assert!(reader.follow("updating").contains("require.no_training"));
    assert!(reader.follow("pausing").contains("suspended"));
}

fn an_app_asks(readme: &Readme) {
    let backend = Backend::start(Behaviour::Answer);
    let federation = Federation::start();
    let _node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    let mut reader = reader(readme, &federation);
    // The organisation's first: it brings the facts, and waits.
    federation.write_facts(EU_OWNED, &reader.folder().join("organisation.toml"));
    reader.fill_in("INVITE", federation.invite(EU_OWNED, "app", "assistant"));
    let asked = reader.try_to_follow("app_joins");
    assert_eq!(asked.status.code(), Some(PENDING), "{}", said(&asked));
    federation.approve_all();
    assert!(reader.follow("app_looks").contains("test-model"));
    let _keeps = reader.stay("app_keeps");
    reader.fill_in("MODEL", "test-model");
    assert!(reader.follow("app_asks").contains("Paris"));
    assert!(reader.follow("app_explains").contains(EU_BODY.domain));
    let _installed = reader.follow("python_packages");
    assert!(reader.follow("python_app").contains("Paris"));
    let _installed = reader.follow("typescript_packages");
    assert!(reader.follow("typescript_app").contains("Paris"));
}

fn an_operator_governs(readme: &Readme) {
    let folder = tempfile::tempdir().unwrap();
    let mut reader = Reader::new(readme, folder.path().join("reader"));
    let _installed = reader.follow("install");
    reader.fill_in("ADDRESS", free_address());
    let _founded = reader.follow("founding");
    let _checked = reader.follow("budgeting");
    let _broker = reader.stay("brokering");
    let _ready = wait::for_file(&reader.folder().join("federation/broker/data/address"));
    assert!(reader.follow("governing").lines().count() > 0);

    // Somebody of a new organisation takes up an invite, so that there is something to decide.
    let folder = reader.folder().to_owned();
    let comity = |arguments: &[&str]| {
        let mut command = Command::new(built("comity"));
        run(command.args(arguments).current_dir(&folder).env("COMITY_IDENTITY", "federation/operator/alice"))
    };
    let invited = comity(&["invite", "org-a.example", "--kind", "app", "--name", "a1", "-o", "json"]);
    let invited: Value = serde_json::from_slice(&invited.stdout).unwrap();
    let field = |name: &str| invited.get(name).and_then(Value::as_str).unwrap();
    let facts = "trust_domain = \"org-a.example\"\nname = \"A\"\nseat = \"FR\"\nultimate_controllers = []\n";
    std::fs::write(folder.join("organisation.toml"), facts).unwrap();
    let asked = comity(&["join", field("invite"), "--dir", "a1", "--organisation", "organisation.toml"]);
    assert_eq!(asked.status.code(), Some(PENDING), "{}", said(&asked));
    reader.fill_in("ENROLMENT", field("inviteId"));
    let _decided = reader.follow("deciding");
    assert!(reader.follow("proving").contains("federation.example"));
    let organisations = comity(&["organisation", "list", "-o", "json"]);
    let organisations: Value = serde_json::from_slice(&organisations.stdout).unwrap();
    assert_eq!(
        organisations.pointer("/organisations/0/standing"),
        Some(&Value::from("STANDING_ACTIVE")),
        "{organisations}"
    );
}

/// The model server's own name for its model, which the reader writes into `node.toml`.
const OWN_NAME: &str = "test-model";

/// What the README tells a reader to make of the example: the backend and the offer that they have, with their server.
fn write_node(reader: &Reader<'_>, url: &str) {
    let example = std::fs::read_to_string(reader.folder().join("deploy/node.example.toml")).unwrap();
    let mut config: toml::Table = toml::from_str(&example).unwrap();
    let table = |config: &mut toml::Table, name: &str| config[name].as_table().unwrap().clone();
    let mut node = table(&mut config, "node");
    node.remove("advertise");
    // A port that is free.
    node.insert("listen".into(), "127.0.0.1:0".into());
    config.insert("node".into(), node.into());
    let mut server = table(&mut config, "backends")["server"].as_table().unwrap().clone();
    server.insert("url".into(), format!("{url}/v1").into());
    server.remove("api_key_file");
    server.remove("ca_file");
    config.insert("backends".into(), toml::Table::from_iter([("server".to_owned(), server.into())]).into());
    let offers = config["offers"].as_array().unwrap().clone();
    let mut chat = offers.into_iter().find(|offer| offer["id"].as_str() == Some("chat")).unwrap();
    chat.as_table_mut().unwrap().insert("backend_model".into(), OWN_NAME.into());
    config.insert("offers".into(), vec![chat].into());
    std::fs::write(reader.folder().join("node.toml"), toml::to_string(&config).unwrap()).unwrap();
}

/// The invite that a block has printed.
fn invite(printed: &str) -> String {
    let found = printed.split_whitespace().find(|word| word.starts_with("comity-invite-"));
    found.unwrap_or_else(|| panic!("no invite was printed: {printed}")).to_owned()
}

#[test]
fn from_an_empty_directory_the_readme_leads_one_reader_in_its_own_order_to_an_answered_call() {
    let (readme, folder) = (Readme::open(), tempfile::tempdir().unwrap());
    let backend = Backend::start(Behaviour::Answer);
    let mut left = readme.order().into_iter();
    let mut next = |name: &str| {
        assert_eq!(left.next(), Some(name), "the README tells another order");
        name.to_owned()
    };
    let mut operator = Reader::new(&readme, folder.path().join("reader"));
    let _installed = operator.follow(&next("install"));
    operator.fill_in("ADDRESS", free_address());
    let _founded = operator.follow(&next("founding"));
    let _broker = operator.in_another_terminal("broker").stay(&next("brokering"));
    let _ready = wait::for_file(&operator.folder().join("federation/broker/data/address"));
    let invited = invite(&operator.follow(&next("governing")));

    let mut organisation = operator.in_another_terminal("organisation");
    let example = organisation.folder().join("deploy/organisation.example.toml");
    std::fs::copy(example, organisation.folder().join("organisation.toml")).unwrap();
    write_node(&organisation, &backend.url());
    organisation.fill_in("INVITE", invited);
    let asked = organisation.try_to_follow(&next("joining"));
    assert_eq!(asked.status.code(), Some(PENDING), "{}", said(&asked));

    // What is waiting, as `comity enrolment list` has it.
    let mut list = Command::new(built("comity"));
    list.args(["enrolment", "list", "-o", "json"]).current_dir(operator.folder());
    let waiting = run(list.env("COMITY_IDENTITY", "federation/operator/alice"));
    let waiting: Value = serde_json::from_slice(&waiting.stdout).unwrap();
    let id = waiting.pointer("/enrolments/0/id").and_then(Value::as_str);
    operator.fill_in("ENROLMENT", id.unwrap_or_else(|| panic!("nobody waits: {waiting}")));
    let _decided = operator.follow(&next("deciding"));

    let node = organisation.stay(&next("serving"));
    let _ready = wait::for_file(&organisation.folder().join("data/ready"));
    let mut owner = organisation.in_another_terminal("owner");
    owner.fill_in("ORGANISATION", "org-a.example");
    let invited = invite(&owner.follow(&next("inviting_ones_own")));

    let mut app = operator.in_another_terminal("app");
    app.fill_in("INVITE", invited);
    let _joined = app.follow(&next("app_joins"));
    let listed = wait::until("the node's offer is listed", || {
        let listed = app.follow("app_looks");
        listed.contains("qwen3-8b").then_some(listed)
    });
    assert!(!listed.is_empty(), "{}", node.log());
    let _looked = next("app_looks");
    app.fill_in("MODEL", "qwen3-8b");
    assert!(app.follow(&next("app_asks")).contains("Paris"));
    assert_eq!(left.next(), None, "the README goes on");
}
