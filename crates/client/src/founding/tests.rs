use std::os::unix::fs::PermissionsExt as _;

use comity_identity::SigningRequest;
use comity_types::{Clock as _, Secret};

use super::*;
use crate::Identity;
use crate::testing::plan;

fn now() -> Timestamp {
    comity_runtime::clock::SystemClock.now()
}

#[test]
fn a_founded_federation_has_a_root_that_the_operator_pins() {
    let dir = tempfile::tempdir().unwrap();
    let founded = found(&plan(dir.path(), "broker.example:7443"), now()).unwrap();
    let bytes = std::fs::read(founded.data_dir.join("root.json")).unwrap();
    assert_eq!(Root::pinned(&bytes, founded.root_digest).unwrap(), founded.root);
    let identity = Identity::open(founded.operator_dir.path()).unwrap();
    assert_eq!((identity.id(), identity.root()), (&founded.operator, &founded.root));
    assert_eq!(identity.brokers(), ["broker.example:7443"]);
    let [RootOperator { id, key }] = &founded.root.operators[..] else { panic!("one operator") };
    assert_eq!((id, key.id()), (&founded.operator, identity.leaf().public_key));
}

#[test]
fn the_brokers_keys_belong_to_the_root_and_are_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let founded = found(&plan(dir.path(), "broker.example:7443"), now()).unwrap();
    let ca = founded.data_dir.join("ca/fed.example.key.pem");
    let key = Secret::new(std::fs::read_to_string(&ca).unwrap());
    let authority = Authority::from_pem(&key, &founded.root.anchors[0]).unwrap();
    let written = std::fs::read_to_string(founded.data_dir.join("ca/fed.example.pem")).unwrap();
    assert_eq!(written, pem::encode(&[authority.anchor()]));
    let decisions = ["decision-log.key", "decision-log.ml-dsa-44.key"].map(|name| founded.data_dir.join(name));
    let [plain, post_quantum] = decisions.each_ref().map(|path| Secret::new(std::fs::read(path).unwrap()));
    let key = LogKey::from_pkcs8(&founded.root.decision_log_origin(), &plain, &post_quantum).unwrap();
    assert_eq!(*key.verifiers(), founded.root.decision_log);
    let log = founded.data_dir.join("log.key");
    let log_key = NoteKey::from_pkcs8("n".into(), &Secret::new(std::fs::read(&log).unwrap())).unwrap();
    assert_eq!(log_key.public().unwrap(), founded.root.log_key);
    let [plain, post_quantum] = decisions;
    for path in [ca, plain, post_quantum, log] {
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
}

#[test]
fn the_configuration_says_what_was_planned() {
    let dir = tempfile::tempdir().unwrap();
    let founded = found(&plan(dir.path(), "broker.example:7443"), now()).unwrap();
    let config: toml::Table = std::fs::read_to_string(&founded.config).unwrap().parse().unwrap();
    let expected = "listen = '127.0.0.1:0'\nadvertise = ['broker.example:7443']\ndata_dir = 'data'\nplaces = ['DE']\nreplica = 'b1'";
    assert_eq!(config, expected.parse().unwrap());
    assert_eq!(founded.config.parent().unwrap().join(DATA_DIR), founded.data_dir);
}

#[test]
fn a_federation_is_not_founded_over_another() {
    let dir = tempfile::tempdir().unwrap();
    let first = found(&plan(dir.path(), "broker.example:7443"), now()).unwrap();
    let refused = found(&plan(dir.path(), "broker.example:7443"), now()).unwrap_err();
    assert!(matches!(refused, FoundingError::Exists { .. }), "{refused:?}");
    let other = FoundingPlan { operator: "bob".parse().unwrap(), ..plan(dir.path(), "broker.example:7443") };
    assert!(matches!(found(&other, now()).unwrap_err(), FoundingError::Exists { .. }));
    assert!(Identity::open(first.operator_dir.path()).is_ok());
}

#[test]
fn a_wrong_plan_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = FoundingPlan { places: BTreeSet::new(), ..plan(dir.path(), "broker.example:7443") };
    assert!(matches!(found(&nowhere, now()).unwrap_err(), FoundingError::NoPlace));
    let refused = found(&plan(dir.path(), "https://broker.example"), now()).unwrap_err();
    assert!(matches!(refused, FoundingError::Root(_)), "{refused:?}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn operators_who_made_their_keys_themselves_govern_from_the_first_day() {
    let dir = tempfile::tempdir().unwrap();
    let (fed, bob) = ("fed.example".parse::<TrustDomain>().unwrap(), "bob".parse::<Name>().unwrap());
    let requested = request(&dir.path().join("bob"), fed, bob.clone()).unwrap();
    let co_operator = CoOperator { name: bob, request: SigningRequest::parse(&requested.request).unwrap() };
    let plan = FoundingPlan {
        co_operators: vec![co_operator],
        root_threshold: 2,
        membership_threshold: 2,
        ..plan(&dir.path().join("federation"), "broker.example:7443")
    };
    let founded = found(&plan, now()).unwrap();
    assert_eq!((founded.root.operators.len(), founded.root.membership_threshold), (2, 2));
    let [handed_over] = &founded.co_operator_dirs[..] else { panic!("one folder") };
    assert!(!handed_over.join("key.pem").exists(), "no key is made for another");
    for file in std::fs::read_dir(handed_over).unwrap().map(|file| file.unwrap().path()) {
        std::fs::copy(&file, requested.dir.path().join(file.file_name().unwrap())).unwrap();
    }
    let identity = Identity::open(requested.dir.path()).unwrap();
    assert_eq!(identity.id().as_str(), "spiffe://fed.example/operator/bob");
    assert_eq!(identity.leaf().public_key, founded.root.operators[1].key.id());
}

#[test]
fn a_request_that_was_made_for_another_federation_or_by_another_name_founds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let name = |text: &str| text.parse::<Name>().unwrap();
    for (number, federation, made_for) in [(0, "other.example", "bob"), (1, "fed.example", "carol")] {
        let requested = request(&dir.path().join(made_for), federation.parse().unwrap(), name(made_for)).unwrap();
        let request = SigningRequest::parse(&requested.request).unwrap();
        let at = dir.path().join(format!("federation-{number}"));
        let co_operators = vec![CoOperator { name: name("bob"), request }];
        let refused = found(&FoundingPlan { co_operators, ..plan(&at, "broker.example:7443") }, now()).unwrap_err();
        assert!(matches!(&refused, FoundingError::OtherRequest { .. }), "{refused}");
        assert!(refused.to_string().contains(&format!("spiffe://{federation}/operator/{made_for}")), "{refused}");
        assert!(!at.exists());
    }
}

#[test]
fn a_threshold_that_nobody_can_meet_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let plan = FoundingPlan { membership_threshold: 2, ..plan(dir.path(), "broker.example:7443") };
    assert!(matches!(found(&plan, now()).unwrap_err(), FoundingError::Root(RootError::Threshold { .. })));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
