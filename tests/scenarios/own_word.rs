//! What an organisation's key can do, and its members' keys cannot: end what the organisation itself has said, and have
//! another key sign. The log is read by whoever asks, an app as well.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use comity_client::connection::Connection;
use comity_client::{Identity, follow};
use comity_identity::{Authority, pem};
use comity_runtime::clock::SystemClock;
use comity_tests::clients::{Caller, comity};
use comity_tests::federation::{EU_BODY, Federation};
use comity_tests::program::{run, said, succeed};
use comity_tests::wait;
use comity_types::{Clock as _, Digest};
use serde_json::Value;

/// A federation with one organisation, whose one member is an app.
struct Scene {
    federation: Federation,
    only: Caller,
    id: String,
}

impl Scene {
    fn set() -> Self {
        Self::of(Federation::start())
    }

    /// One whose apps' certificates last for as long.
    fn with_certificates_of(life: &str) -> Self {
        let mut federation = Federation::found();
        let config = federation.broker_config();
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, format!("{text}\n[leaf]\ndanger_short = true\napp = \"{life}\"\n")).unwrap();
        federation.start_broker();
        Self::of(federation)
    }

    fn of(mut federation: Federation) -> Self {
        federation.expect_log("peer refused");
        let only = federation.app(EU_BODY, "only");
        Self { federation, only, id: format!("spiffe://{}/app/only", EU_BODY.domain) }
    }

    fn own(&self, arguments: &[&str]) -> String {
        self.federation.say_as(&self.only.identity, arguments)
    }

    fn refused(&self, by: &Caller, arguments: &[&str], why: &str) {
        let answer = self.federation.ask(by, arguments);
        assert!(!answer.status.success() && said(&answer).contains(why), "{arguments:?}, {why}: {}", said(&answer));
    }

    /// The identity's directory, as somebody else has it.
    fn copied(&self, name: &str, files: &[&str]) -> Caller {
        let folder = self.federation.folder().join(name);
        std::fs::create_dir(&folder).unwrap();
        for file in files {
            std::fs::copy(self.only.identity.join(file), folder.join(file)).unwrap();
        }
        Caller { address: self.only.address.clone(), identity: folder }
    }

    fn keys(&self) -> Vec<(String, bool)> {
        let listed: Value = serde_json::from_str(&self.own(&["organisation", "keys", "list", "-o", "json"])).unwrap();
        let key = |key: &Value| (key["fingerprint"].as_str().unwrap().to_owned(), key["here"].as_bool().unwrap());
        listed["keys"].as_array().unwrap().iter().map(key).collect()
    }

    fn key_file(&self, name: &str) -> PathBuf {
        self.only.identity.join(name)
    }
}

/// What a member's identity is made of, without the organisation's key.
const MEMBER: [&str; 5] = ["key.pem", "cert.pem", "root.json", "identity.json", "federation-ca.pem"];
const OWN: &str = "organisation.key.pem";
const NEXT: &str = "organisation.next.key.pem";

#[test]
fn the_only_member_of_an_organisation_takes_back_what_the_organisation_said_of_it_and_a_thief_of_its_key_does_not() {
    let scene = Scene::set();
    let thief = scene.copied("thief", &MEMBER);
    let certificate = Digest::of(Identity::open(&scene.only.identity).unwrap().dir().chain().unwrap().first().unwrap());
    let facts = scene.federation.folder().join("facts.toml");
    scene.federation.write_facts(EU_BODY, &facts);
    for (subject, why) in [
        (scene.id.as_str(), "MEMBER_SUSPENDED"),
        (&format!("{}#sha256={certificate}", scene.id), "CERTIFICATE_SUSPENDED"),
    ] {
        let _said = scene.own(&["suspend", subject, "--reason", "maintenance"]);
        scene.refused(&scene.only, &["model", "list"], why);
        scene.refused(&scene.only, &["model", "list"], "comity lift");
        scene.refused(&scene.only, &["invite", EU_BODY.domain, "--kind", "app", "--name", "x"], why);
        scene.refused(&thief, &["lift", subject], "organisation.key.pem");
        std::fs::copy(thief.identity.join("key.pem"), thief.identity.join(OWN)).unwrap();
        scene.refused(&thief, &["lift", subject], why);
        std::fs::remove_file(thief.identity.join(OWN)).unwrap();
        // Operators are told whose word it is.
        scene.refused(&scene.federation.operator(), &["lift", subject], "its own organisation suspended it");
        let _said = scene.own(&["lift", subject]);
        let _listed = scene.own(&["model", "list"]);
    }
    let _said = scene.own(&["suspend", &scene.id, "--reason", "for good"]);
    let _said = scene.own(&["withdraw", &scene.id]);
}

#[test]
fn an_organisation_that_suspended_its_only_member_comes_back_by_its_key_after_every_certificate_has_ended() {
    let scene = Scene::with_certificates_of("6s");
    let thief = scene.copied("thief", &MEMBER);
    let open = || Identity::open(&scene.only.identity).unwrap();
    let has_ended = || (SystemClock.now() > open().leaf().not_after).then_some(());
    for of_certificate in [false, true] {
        let certificate = Digest::of(open().dir().chain().unwrap().first().unwrap());
        let subject = if of_certificate { format!("{}#sha256={certificate}", scene.id) } else { scene.id.clone() };
        let _said = scene.own(&["suspend", &subject, "--reason", "maintenance"]);
        wait::until("the certificate has ended", has_ended);
        scene.refused(&scene.only, &["model", "list"], "comity lift");
        scene.refused(&thief, &["lift", &subject], "comity lift");
        let dry = scene.own(&["lift", &subject, "--dry-run"]);
        assert!(dry.contains("a key of the organisation"), "{dry}");
        scene.refused(&scene.only, &["model", "list"], "comity lift");
        let _said = scene.own(&["lift", &subject]);
        let _listed = scene.own(&["model", "list"]);
    }
}

#[test]
fn a_copied_organisation_key_signs_nothing_after_a_roll_and_copies_are_told_where_the_new_one_is() {
    let scene = Scene::set();
    let copy = scene.copied("copy", &[MEMBER.as_slice(), &[OWN]].concat());
    let invite = |name: &'static str| ["invite", EU_BODY.domain, "--kind", "app", "--name", name];
    let old = scene.keys();
    let dry = scene.own(&["organisation", "keys", "roll", "--dry-run", "-o", "json"]);
    assert!(dry.contains(&old[0].0) && !scene.key_file(NEXT).exists(), "{dry}");
    assert_eq!(scene.keys(), old);
    let old_file = std::fs::read(scene.key_file(OWN)).unwrap();
    let _said = scene.own(&["organisation", "keys", "roll"]);
    let new = scene.keys();
    assert!(new.len() == 1 && new[0].1 && new[0].0 != old[0].0, "{old:?} {new:?}");
    let mode = std::fs::metadata(scene.key_file(OWN)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    scene.refused(&copy, &invite("theirs"), "is none of the keys that sign");
    scene.refused(&copy, &invite("theirs"), "copy organisation.key.pem");
    let _said = scene.own(&invite("ours"));

    // Cut after the federation was told, and before the file took its place: either command ends it.
    for command in [&invite("again")[..], &["organisation", "keys", "roll"]] {
        std::fs::rename(scene.key_file(OWN), scene.key_file(NEXT)).unwrap();
        write_secret(&scene.key_file(OWN), &old_file);
        let _said = scene.own(command);
        assert!(!scene.key_file(NEXT).exists());
        assert!(scene.keys()[0].1, "{command:?}");
    }
    // A paused organisation is not shown the log, and rolls all the same.
    let before = scene.keys();
    let _said = scene.own(&["suspend", EU_BODY.domain, "--reason", "a key was copied"]);
    let _said = scene.own(&["organisation", "keys", "roll"]);
    let _said = scene.own(&["lift", EU_BODY.domain]);
    assert_ne!(scene.keys(), before);
}

/// What whoever signs with a key of before is told is not to do the same again.
fn assert_is_shown_the_newer_key(scene: &Scene, copy: &Caller, arguments: &[&str], [old, new]: [&str; 2]) {
    let answer = scene.federation.ask(copy, arguments);
    let told = said(&answer);
    assert!(!answer.status.success() && told.contains(old) && told.contains(new), "{arguments:?}: {told}");
    let hint = told.lines().find(|line| line.starts_with("hint: ")).unwrap();
    assert!(hint.contains("not the newest") && !hint.contains("comity lift"), "{arguments:?}: {told}");
}

#[test]
fn whoever_signs_with_a_key_of_before_is_shown_it_and_the_one_that_signs_now_also_where_the_log_is_not() {
    let scene = Scene::set();
    let copy = scene.copied("copy", &[MEMBER.as_slice(), &[OWN]].concat());
    let (old, _) = scene.keys().remove(0);
    let _said = scene.own(&["organisation", "keys", "roll"]);
    let (new, _) = scene.keys().remove(0);
    let is_shown = |arguments: &[&str]| assert_is_shown_the_newer_key(&scene, &copy, arguments, [&old, &new]);
    is_shown(&["invite", EU_BODY.domain, "--kind", "app", "--name", "theirs"]);
    is_shown(&["suspend", EU_BODY.domain, "--reason", "theirs"]);
    for subject in [EU_BODY.domain, &scene.id] {
        let _said = scene.own(&["suspend", subject, "--reason", "maintenance"]);
        is_shown(&["lift", subject]);
        let _said = scene.own(&["lift", subject]);
    }
}

#[test]
fn an_old_key_that_lifts_without_a_certificate_is_named_and_so_is_what_its_directory_knows() {
    let scene = Scene::with_certificates_of("6s");
    let files = [MEMBER.as_slice(), &[OWN]].concat();
    let strange = scene.copied("strange", &files);
    let (old, _) = scene.keys().remove(0);
    let _said = scene.own(&["organisation", "keys", "roll"]);
    let (new, _) = scene.keys().remove(0);
    // A directory that read the log after the roll, and has the key of before it.
    let knows = scene.copied("knows", &MEMBER);
    std::fs::copy(strange.identity.join(OWN), knows.identity.join(OWN)).unwrap();
    let _read = scene.federation.say_as(&knows.identity, &["log", "show"]);
    let _said = scene.own(&["suspend", &scene.id, "--reason", "maintenance"]);
    let not_after = Identity::open(&scene.only.identity).unwrap().leaf().not_after;
    wait::until("the certificate has ended", || (SystemClock.now() > not_after).then_some(()));
    assert_is_shown_the_newer_key(&scene, &knows, &["lift", &scene.id], [&old, &new]);
    // One that never read it is told which key it used, and that it may be one of before.
    assert_is_shown_the_newer_key(&scene, &strange, &["lift", &scene.id], [&old, "what operators suspended"]);
    let _said = scene.own(&["lift", &scene.id]);
}

#[test]
fn a_roll_that_failed_is_gone_on_with_by_the_next_one_which_says_so() {
    let mut scene = Scene::set();
    let before = scene.keys();
    assert!(scene.federation.broker.take().unwrap().stop().success());
    let roll = ["organisation", "keys", "roll"];
    for said_of_it in ["whether that was heard is not known", "an earlier roll was not ended"] {
        scene.refused(&scene.only, &roll, said_of_it);
        assert!(scene.key_file(NEXT).exists());
    }
    scene.federation.start_broker();
    assert_eq!(scene.keys(), before);
    let doctor = scene.own(&["doctor"]);
    assert!(doctor.contains("was begun and not ended"), "{doctor}");
    let dry = scene.own(&["organisation", "keys", "roll", "--dry-run"]);
    let made = dry.lines().find(|line| line.contains("would begin")).unwrap().to_owned();
    assert!(made.contains("which an earlier roll made"), "{dry}");
    let _said = scene.own(&roll);
    let (fingerprint, here) = scene.keys().remove(0);
    assert!(here && made.contains(&fingerprint) && !scene.key_file(NEXT).exists(), "{made} {fingerprint}");

    // The reply to it was lost: what is listed says where the key is, and another roll makes a new one.
    std::fs::copy(scene.key_file(OWN), scene.key_file(NEXT)).unwrap();
    write_secret(&scene.key_file(OWN), &std::fs::read(scene.federation.operator().identity.join("key.pem")).unwrap());
    let listed = scene.own(&["organisation", "keys", "list"]);
    assert!(listed.contains("as organisation.next.key.pem"), "{listed}");
    let _said = scene.own(&roll);
    assert_ne!(scene.keys()[0].0, fingerprint);
}

fn write_secret(path: &Path, content: &[u8]) {
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn several_keys_sign_for_an_organisation_if_each_of_them_says_so() {
    let scene = Scene::set();
    let other = scene.copied("other", &MEMBER);
    // Another key, as any member's is.
    let second = scene.federation.folder().join("second.key.pem");
    write_secret(&second, &std::fs::read(scene.federation.operator().identity.join("key.pem")).unwrap());
    let [first, second] = [scene.key_file(OWN), second].map(|path| path.to_str().unwrap().to_owned());
    scene.refused(&scene.only, &["organisation", "keys", "set", &second], "the key of this directory");
    let _said = scene.own(&["organisation", "keys", "set", &first, &second]);
    assert_eq!(scene.keys().iter().filter(|(_, here)| *here).count(), 1);
    assert_eq!(scene.keys().len(), 2);
    write_secret(&other.identity.join(OWN), &std::fs::read(&second).unwrap());
    let invite = ["invite", EU_BODY.domain, "--kind", "app", "--name", "x"];
    let _said = scene.federation.say_as(&other.identity, &invite);
    std::fs::set_permissions(&second, std::fs::Permissions::from_mode(0o644)).unwrap();
    scene.refused(&scene.only, &["organisation", "keys", "roll", "--keep", &second], "chmod 600");
    std::fs::set_permissions(&second, std::fs::Permissions::from_mode(0o600)).unwrap();
    let _said = scene.own(&["organisation", "keys", "roll", "--keep", &second]);
    assert_eq!(scene.keys().len(), 2);
    let _said = scene.own(&["organisation", "keys", "set", &first]);
    assert_eq!(scene.keys().len(), 1);
    scene.refused(&other, &invite, "is none of the keys that sign");
}

#[test]
fn a_dry_run_of_what_an_organisation_says_is_refused_as_the_log_would_refuse_it_and_touches_no_file() {
    let scene = Scene::set();
    let copy = scene.copied("copy", &[MEMBER.as_slice(), &[OWN]].concat());
    let second = scene.federation.folder().join("second.key.pem");
    write_secret(&second, &std::fs::read(scene.federation.operator().identity.join("key.pem")).unwrap());
    let anchors = scene.federation.folder().join("anchors.pem");
    let authority = Authority::generate(EU_BODY.domain.parse().unwrap(), SystemClock.now()).unwrap();
    std::fs::write(&anchors, pem::encode(&[authority.anchor()])).unwrap();
    let (second, anchors) = (second.to_str().unwrap(), anchors.to_str().unwrap());
    let set_anchors = ["organisation", "anchors", "set", anchors, "--dry-run"];
    let roll = ["organisation", "keys", "roll", "--dry-run"];

    // What the log refuses, whoever signs it; and what would shut its own signer out.
    scene.refused(&scene.only, &[&roll[..], &["--keep", second, "--keep", second]].concat(), "this would be refused");
    scene.refused(&scene.only, &set_anchors, "--force signs all the same");
    let would = scene.own(&[&set_anchors[..], &["--force"]].concat());
    assert!(would.contains(EU_BODY.domain), "{would}");

    // A key of before signs nothing, and is told so before it tries.
    let old = std::fs::read(scene.key_file(OWN)).unwrap();
    let _said = scene.own(&["organisation", "keys", "roll"]);
    let own_key = copy.identity.join(OWN);
    let set_keys = ["organisation", "keys", "set", own_key.to_str().unwrap(), second, "--dry-run"];
    for dry in [&roll[..], &set_keys, &[&set_anchors[..], &["--force"]].concat()] {
        scene.refused(&copy, dry, "is none of the keys that sign");
    }
    // A change that was cut before its end is seen, and left as it is.
    std::fs::rename(scene.key_file(OWN), scene.key_file(NEXT)).unwrap();
    write_secret(&scene.key_file(OWN), &old);
    for dry in [&roll[..], &[&set_anchors[..], &["--force"]].concat()] {
        let _would = scene.own(dry);
        assert!(std::fs::read(scene.key_file(OWN)).unwrap() == old && scene.key_file(NEXT).exists(), "{dry:?}");
    }
}

#[test]
fn whoever_changes_an_organisations_keys_is_told_which_open_invites_end_by_it() {
    let scene = Scene::set();
    let own = scene.key_file(OWN).to_str().unwrap().to_owned();
    let invited = scene.own(&["invite", EU_BODY.domain, "--kind", "app", "--name", "second", "-o", "json"]);
    let invited: Value = serde_json::from_str(&invited).unwrap();
    let id = invited["inviteId"].as_str().unwrap().to_owned();
    for command in [&["organisation", "keys", "set", &own][..], &["organisation", "keys", "roll"]] {
        let dry = scene.own(&[command, &["--dry-run"]].concat());
        assert!(dry.contains("would end the invite") && dry.contains(&id), "{command:?}: {dry}");
        let dry: Value = serde_json::from_str(&scene.own(&[command, &["--dry-run", "-o", "json"]].concat())).unwrap();
        assert_eq!(dry["wouldEndInvites"][&id], format!("spiffe://{}/app/second", EU_BODY.domain), "{dry}");
    }
    let changed = scene.federation.ask(&scene.only, &["organisation", "keys", "set", &own]);
    assert!(changed.status.success() && said(&changed).contains(&format!("ends the open invite {id}")));
    let dry = scene.own(&["organisation", "keys", "set", &own, "--dry-run"]);
    assert!(!dry.contains("would end the invite"), "{dry}");
}

#[test]
fn an_app_proves_the_federations_log_by_itself() {
    let scene = Scene::set();
    let verified = scene.own(&["log", "verify"]);
    assert!(verified.contains("epoch"), "{verified}");
    let file = scene.federation.folder().join("exported.log");
    let _said = scene.own(&["log", "export", file.to_str().unwrap()]);
    let root = scene.only.identity.join("root.json");
    let offline: Output = run(comity().args(["log", "verify"]).arg(&file).arg("--root").arg(&root));
    assert!(offline.status.success(), "{}", said(&offline));
    let _state = scene.own(&["federation", "show"]);
    // And so does a program, in one call of the library.
    let identity = Identity::open(&scene.only.identity).unwrap();
    let verify = async { follow::verified(&identity, &Connection::open(&identity).unwrap()).await };
    let log = tokio::runtime::Runtime::new().unwrap().block_on(verify).unwrap();
    let shown: Value = serde_json::from_str(&scene.own(&["log", "verify", "-o", "json"])).unwrap();
    assert_eq!((&shown["epoch"], &shown["root"]), (&log.tree().size().into(), &log.tree().root().to_string().into()));
    let doctor = succeed(comity().arg("--identity").arg(&scene.only.identity).arg("doctor"));
    assert!(doctor.contains("log"), "{doctor}");
}

#[test]
fn nobody_is_shown_what_another_organisations_file_would_change_of_it() {
    let scene = Scene::set();
    let file = scene.federation.folder().join("theirs.toml");
    scene.federation.write_facts(comity_tests::federation::EU_OWNED, &file);
    scene.refused(&scene.only, &["organisation", "update", file.to_str().unwrap(), "--dry-run"], "signs for");
}
