//! What `deploy/` shows is what the programs run with: the examples as they stand, with this machine's addresses
//! and paths in them.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::model;
use comity_tests::federation::{Federation, OrganisationSpec, free_address};
use comity_tests::program::{built, said, succeed, workspace};

/// The organisation of `organisation.example.toml`, by its name there.
const ORG_A: OrganisationSpec = OrganisationSpec { domain: "org-a.example", seat: "DE", controller: Some("FR") };

/// The examples that nobody has run yet.
struct Examples(BTreeSet<String>);

impl Examples {
    fn all() -> Self {
        let files = std::fs::read_dir(workspace().join("deploy")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        Self(names.filter(|name| name.ends_with(".example.toml")).collect())
    }

    /// The text of one, with these lines of the form `key = value` in the place of its own.
    fn take(&mut self, name: &str, lines: &[String]) -> String {
        let file = format!("{name}.example.toml");
        assert!(self.0.remove(&file), "deploy/{file} is missing");
        let text = std::fs::read_to_string(workspace().join("deploy").join(file)).unwrap();
        lines.iter().fold(text, |text, line| with_line(&text, line))
    }
}

/// A text with a line in the place of the first that sets the same key.
fn with_line(text: &str, line: &str) -> String {
    let key = line.split_inclusive(" = ").next().unwrap();
    let old = text.lines().find(|old| old.starts_with(key)).unwrap_or_else(|| panic!("no {key:?} in {text}"));
    text.replacen(&format!("\n{old}\n"), &format!("\n{line}\n"), 1)
}

fn write(folder: &Path, file: &str, text: impl AsRef<[u8]>) {
    std::fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
    std::fs::write(folder.join(file), text).unwrap();
}

#[test]
fn a_federation_runs_on_the_examples() {
    let mut examples = Examples::all();
    let backend = Backend::start(Behaviour::Answer);
    let mut federation = Federation::found();
    let address = federation.address().to_owned();
    let lines = [format!("listen = {address:?}"), format!("advertise = [{address:?}]"), "data_dir = \"data\"".into()];
    // Budgets are off in the example of a broker: with the line that it shows, they are those of the example beside it.
    let broker = examples.take("broker", &lines).replace("# budgets = \"budgets.toml\"", "budgets = \"budgets.toml\"");
    assert!(broker.contains("\nbudgets = "), "{broker}");
    std::fs::write(federation.broker_config(), broker).unwrap();
    std::fs::write(federation.broker_config().with_file_name("budgets.toml"), examples.take("budgets", &[])).unwrap();
    federation.start_broker();

    let (folder, listen) = (federation.folder().join("org-a"), free_address());
    let lines = [("listen", &listen), ("advertise", &listen), ("url", &backend.url())]
        .map(|(key, value)| format!("{key} = {value:?}"));
    let node_toml = examples.take("node", &[&lines[..], &["backend_model = \"test-model\"".to_owned()]].concat());
    write(&folder, "node.toml", node_toml);
    write(&folder, "organisation.toml", examples.take("organisation", &[]));
    write(&folder, "api-key", "a key");
    std::fs::set_permissions(folder.join("api-key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    write(&folder, "models-ca.pem", std::fs::read(federation.operator().identity.join("federation-ca.pem")).unwrap());
    std::fs::create_dir_all(folder.join("models")).unwrap();
    std::os::unix::fs::symlink(model(), folder.join("models/smollm2-135m-instruct.gguf")).unwrap();
    let _said = succeed(Command::new(built("comity-node")).args(["check", "--config"]).arg(folder.join("node.toml")));
    let node = federation.start_node_in(ORG_A, "n1", folder);
    node.wait_until_ready();

    let app = federation.app(ORG_A, "assistant");
    write(federation.folder(), "requirements.toml", examples.take("requirements", &[]));
    let requirements = federation.folder().join("requirements.toml");
    let question = ["chat", "--model", "qwen3-8b", "--require", requirements.to_str().unwrap(), "hello"];
    let answer = federation.ask(&app, &question);
    assert!(said(&answer).contains("Paris"), "{}", said(&answer));
    let embedded = app.python("embed", "paraphrase-minilm-l3-v2");
    assert_eq!(embedded["dimensions"], serde_json::json!([384, 384]), "{embedded}");
    let local = app.python("streaming", "smollm2-135m-instruct");
    assert!(local["text"].as_str().is_some_and(|text| !text.is_empty()), "{local}");
    assert!(examples.0.is_empty(), "nobody runs these examples: {:?}", examples.0);
}
