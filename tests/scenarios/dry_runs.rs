//! `--dry-run` shows what would be signed and who has to sign it, and leaves the log and every file as they were; and an app
//! is shown as it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use comity_tests::clients::Caller;
use comity_tests::federation::{EU_BODY, EU_OWNED, FEDERATION, Federation};
use comity_tests::program::said;
use serde_json::Value;

/// Who would sign, of how many, and who they are, as `wouldSign` has it.
type Signers = (u64, u64, &'static str);

/// A federation of two of three operators with one organisation, whose first member is an app.
struct Scene {
    federation: Federation,
    own: PathBuf,
}

impl Scene {
    fn set() -> Self {
        let federation = Federation::start_governed(&["bob", "carol"], 2);
        let app = federation.app(EU_BODY, "assistant");
        Self { federation, own: app.identity }
    }

    fn json(&self, identity: &Path, arguments: &[&str]) -> Value {
        let said = self.federation.say_as(identity, &[arguments, &["-o", "json"]].concat());
        serde_json::from_str(&said).unwrap_or_else(|_| panic!("{arguments:?}: {said}"))
    }

    /// The log's end, as it is proven, and what is in a directory.
    fn state(&self, identity: &Path) -> (Value, BTreeMap<PathBuf, Vec<u8>>) {
        let log = self.json(identity, &["log", "verify"]);
        let files = std::fs::read_dir(identity).unwrap().map(|file| file.unwrap().path());
        // The copy of the log beside the identity is read again whenever somebody looks.
        let files = files.filter(|path| path.is_file() && !path.to_string_lossy().contains("federation."));
        (log, files.map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect())
    }
}

#[test]
fn a_dry_run_shows_the_statement_and_its_signers_and_changes_neither_the_log_nor_a_file() {
    let scene = Scene::set();
    let operator = scene.federation.operator().identity;
    let (own, key) = (scene.own.clone(), scene.own.join("organisation.key.pem"));
    let (domain, member) = (EU_BODY.domain, format!("spiffe://{}/app/assistant", EU_BODY.domain));
    let (operators, one_key) = (|needed| (needed, 3, "operators"), (1, 1, "a key of the organisation"));
    for (by, arguments, kind, signers) in [
        (&own, &["withdraw", domain, "--reason", "sold"][..], "organisation_withdrawn", one_key),
        (&own, &["withdraw", &member], "member_withdrawn", one_key),
        (&own, &["organisation", "keys", "set", key.to_str().unwrap()], "keys_changed", one_key),
        (&own, &["organisation", "anchors", "roll"], "anchors_changed", one_key),
        (&operator, &["operator", "remove", "carol"], "root_changed", operators(2)),
        (&operator, &["evict", domain, "--reason", "enough"], "evicted", operators(2)),
    ] {
        shows(&scene, by, arguments, (kind, signers));
    }
}

/// That a dry run of this shows a statement of this kind and these signers, as a table and as JSON, and does nothing else.
fn shows(scene: &Scene, by: &Path, arguments: &[&str], (kind, (needed, of, who)): (&str, Signers)) {
    let before = scene.state(by);
    let dry = [arguments, &["--dry-run"]].concat();
    let text = scene.federation.say_as(by, &dry);
    assert!(text.contains("would sign") && text.contains(kind), "{arguments:?}: {text}");
    let shown = scene.json(by, &dry);
    let would = shown["wouldSign"].as_array().unwrap();
    assert_eq!(would.len(), 1, "{arguments:?}: {shown}");
    assert!(would[0]["statement"][kind].is_object(), "{arguments:?}: {shown}");
    let signer = &would[0]["signers"][0];
    assert_eq!((&signer["needed"], &signer["of"]), (&needed.into(), &of.into()), "{arguments:?}: {shown}");
    assert!(signer["who"].to_string().contains(who), "{arguments:?}: {shown}");
    assert_eq!(scene.state(by), before, "{arguments:?}");
}

#[test]
fn a_dry_run_of_a_root_names_the_operators_that_would_be_left_and_refuses_what_could_not_govern() {
    let scene = Scene::set();
    let operator = scene.federation.operator().identity;
    let shown = scene.json(&operator, &["operator", "remove", "carol", "--dry-run"]);
    let left = &shown["wouldSign"][0]["statement"]["root_changed"]["operators"];
    let left: Vec<_> = left.as_object().unwrap().keys().cloned().collect();
    assert_eq!(left, ["alice", "bob"].map(|name| format!("spiffe://{FEDERATION}/operator/{name}")));
    let nobody = scene.federation.ask(&scene.federation.operator(), &["operator", "remove", "dave", "--dry-run"]);
    assert!(!nobody.status.success() && said(&nobody).contains("comity operator list"), "{}", said(&nobody));
}

#[test]
fn an_app_is_shown_with_its_standing_to_its_own_organisation_and_to_operators_and_to_nobody_else() {
    let scene = Scene::set();
    let (id, other) = (format!("spiffe://{}/app/assistant", EU_BODY.domain), scene.federation.app(EU_OWNED, "a1"));
    let operator = scene.federation.operator().identity;
    for by in [&scene.own, &operator] {
        let text = scene.federation.say_as(by, &["app", "show", &id]);
        assert!(text.contains(&id) && text.contains("active"), "{text}");
    }
    let _said = scene.federation.say_as(&scene.own, &["suspend", &id, "--reason", "under repair"]);
    let shown = scene.json(&operator, &["app", "show", &id]);
    assert_eq!((&shown["spiffeId"], &shown["standing"]), (&id.as_str().into(), &"STANDING_SUSPENDED".into()));
    assert_eq!(shown["suspensionReason"], "under repair", "{shown}");
    let hidden = |by: &Caller, id: &str| {
        let answer = scene.federation.ask(by, &["app", "show", id]);
        assert_eq!(answer.status.code(), Some(1), "{}", said(&answer));
        assert!(said(&answer).contains("comity app list"), "{}", said(&answer));
    };
    hidden(&other, &id);
    hidden(&scene.federation.operator(), &format!("spiffe://{}/app/nobody", EU_BODY.domain));
}
