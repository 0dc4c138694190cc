//! Whoever verifies a receipt reads what was demanded, and what the offer that answered had promised when it was decided.

use std::sync::Arc;

use comity_client::receipt::{Against, AsOf, check};
use comity_membership::testing::{TestFederation, read};
use comity_membership::{Body, Entry, Statement, offer_digest};
use comity_policy::Tables;
use comity_proto::inference;
use comity_proto::policy::{PlaceSet, Requirements};
use comity_transparency::leaf::Epoch;
use comity_transparency::receipt::Receipt;
use comity_types::Digest;
use prost::Message as _;

use super::*;
use crate::commands::receipt::testing::TestLog;

const CALLER: &str = "spiffe://org-a.example/app/chat";
const NODE: &str = "spiffe://org-b.example/node/n1";
const OFFER: &str = "org-b.example/n1/chat";

/// What is published of the offer: DE, the law of FR, liable for a thousand euros, nobody from US.
const TERMS: &str = "
id = 'chat'
node = 'spiffe://org-b.example/node/n1'
model = 'tiny'
capabilities = ['chat']
licence = 'Apache-2.0'
processing_locations = ['DE']
[terms]
version = 2
retention = []
training_use = 'never'
governing_law = 'FR'
courts = 'FR'
liability_cap = { currency = 'EUR', micros = 1000000000 }
allowed_purposes = ['dpv:CustomerCare']
caller_rules = { served = ['EU'], served_except = ['US'], min_terms_version = 1 }
";

/// A federation in which `org-b.example` publishes an offer; `entries` is its log.
struct Scene {
    federation: TestFederation,
    log: Log,
}

impl Scene {
    fn new() -> Self {
        let federation = TestFederation::founded(&["alice"], 1);
        let genesis = federation.genesis.clone().unwrap();
        let founded = Entry { epoch: 1, at: federation.now.unwrap(), body: Body::Founded(genesis.clone()) };
        let mut log = Log::new(genesis);
        log.take(&founded.to_json().unwrap()).unwrap();
        let mut scene = Self { federation, log };
        for (domain, member) in [("org-a.example", CALLER), ("org-b.example", NODE)] {
            let application = scene.federation.application(domain, member);
            scene.say(Statement::OrganisationAdmitted { application }, "alice");
        }
        scene.publish(TERMS);
        scene
    }

    fn say(&mut self, statement: Statement, signer: &str) {
        let envelope = self.federation.signed(statement, &[signer]);
        let entry = self.federation.entry(Body::Signed(envelope));
        self.federation.apply(&entry).unwrap();
        self.log.take(&entry.to_json().unwrap()).unwrap();
    }

    fn publish(&mut self, offer: &str) {
        let offers = vec![toml::from_str(offer).unwrap()];
        self.say(Statement::OffersPublished { node: read(NODE), address: "127.0.0.1:1".into(), offers }, NODE);
    }

    fn digest(&self) -> String {
        offer_digest(self.log.federation().offer(&read(OFFER)).unwrap()).to_string()
    }

    /// The decision log of a broker that decided by the state of now, and the receipt of a request that the offer answered
    /// which has this digest.
    fn receipt(&self, sha256: &str) -> (TestLog, Receipt) {
        let mut log = TestLog::new();
        (log.decided, log.root.founded_at) = (self.federation.now.unwrap(), self.federation.now.unwrap());
        log.epoch = Epoch { size: self.log.tree().size(), root: self.log.tree().root() };
        let envelope = String::from_utf8(envelope().encode_to_vec()).unwrap();
        let asked = [(Field::CALLER, CALLER), (Field::METHOD, "Chat"), (Field::ENVELOPE, &*envelope)];
        let decision = log.decision(1, &asked);
        let outcome =
            log.outcome(1, decision, &[(Field::OFFER, OFFER), (Field::OFFER_SHA256, sha256), (Field::STATUS, "0")]);
        let receipt = log.receipt(decision, Some(outcome));
        (log, receipt)
    }
}

fn envelope() -> inference::Envelope {
    let places = vec![PlaceSet { places: vec!["DE".to_owned(), "FR".to_owned()] }];
    let requirements =
        Requirements { allowed_processing_locations: places, no_training: true, ..Requirements::default() };
    inference::Envelope {
        model: "tiny".to_owned(),
        requirements: Some(requirements),
        purposes: vec!["dpv:CustomerCare".to_owned()],
        ..inference::Envelope::default()
    }
}

/// What is told of a receipt, with this log or with none.
fn told(log: &TestLog, receipt: &Receipt, federation: Option<&Log>) -> (String, Map<String, Value>) {
    let [plain, _] = &log.root.decision_log;
    let verified =
        receipt.verify(&log.root.decision_log_origin(), &comity_transparency::NoteVerifier::of(plain)).unwrap();
    let sections = std::iter::once(request(&verified)).chain(besides(&verified, federation));
    (sections.map(|section| section.text() + "\n").collect(), json(&verified, federation))
}

const DEMANDED: &str = "
Demanded by the request:
 model              tiny
 processed only in  DE FR
 trained on         never
 for the purposes   dpv:CustomerCare
";

#[test]
fn what_was_demanded_and_the_offer_as_it_was_published_then_are_told_in_plain_words() {
    let mut scene = Scene::new();
    let sha256 = scene.digest();
    let (log, receipt) = scene.receipt(&sha256);
    let (said, json) = told(&log, &receipt, Some(&scene.log));
    let published = format!(
        "
The offer {OFFER}, as its organisation had published it by epoch 4 (SHA-256 {sha256}):
 model                         tiny
 model's SHA-256               unknown
 made by                       unknown
 reads and writes              unknown
 can                           chat
 context tokens                unknown
 licence                       Apache-2.0
 price                         unknown
 CO2                           unknown
 its node says it is           active
 in force                      always
 processed in                  DE
 stored in                     unknown
 reached from                  unknown
 runs in                       unknown
 sovereignty ratings           unknown
 CADA level                    unknown
 Gaia-X label                  unknown
 safety grade                  unknown
 operator                      org-b.example
 operator's seat               DE
 operator's controllers        unknown
 operator's owners             unknown
 sub-processors                unknown
 version of the terms          2
 kept                          nothing
 trained on                    never
 read by people                unknown
 content logged                unknown
 certificates                  unknown
 leaves the EEA by             unknown
 governing law                 FR
 courts                        FR
 liable for at most            EUR 1000.000000
 support                       unknown
 available                     unknown
 requests a day                as many as there are
 reasons shown to callers      full
 allowed purposes              dpv:CustomerCare
 prohibited purposes           -
 high-risk uses                unknown
 classified at most            -
 personal data                 any
 serves                        EU
 but not                       US
 checked of a caller           its seat, where the call comes from
 not owned or controlled from  -
 kinds not served              -
 sectors not served            -
 nobody on the lists           -
 terms accepted since version  1
"
    );
    assert_eq!(said, format!("{DEMANDED}{published}"));
    assert_eq!(json["asked"]["requirements"]["noTraining"], true);
    assert_eq!(
        (&json["offer"]["name"], &json["offer"]["offer"]["terms"]["governingLaw"]),
        (&json!(OFFER), &json!("FR"))
    );
    // It is told as it was, whatever was published since.
    let then = scene.log.clone();
    scene.publish(&TERMS.replace("governing_law = 'FR'", "governing_law = 'US'"));
    assert_eq!(told(&log, &receipt, Some(&then)).0, said);
}

#[test]
fn without_the_log_it_is_said_that_the_digest_of_the_terms_can_be_resolved_with_it() {
    let scene = Scene::new();
    let sha256 = scene.digest();
    let (log, receipt) = scene.receipt(&sha256);
    let (said, json) = told(&log, &receipt, None);
    let hint = format!(
        "\nThe terms of {OFFER}: those with the SHA-256 {sha256}; give --log FILE (`comity log export` writes it) to see them\n"
    );
    assert_eq!(said, format!("{DEMANDED}{hint}"));
    assert!(json.contains_key("asked") && !json.contains_key("offer"), "{json:?}");
}

#[test]
fn a_log_that_has_no_offer_of_that_digest_shows_no_other_one_and_the_receipt_is_not_believed() {
    let scene = Scene::new();
    let (log, receipt) = scene.receipt(&Digest::of(b"other terms").to_string());
    let (said, json) = told(&log, &receipt, Some(&scene.log));
    assert!(said.contains("the log has no such offer") && !said.contains("governing law"), "{said}");
    assert!(!json.contains_key("offer"), "{json:?}");
    let tables = Arc::new(Tables::builtin().unwrap().clone());
    let state = AsOf { log: &scene.log, until: None };
    let against = Against { root: &log.root, log: Some(state), policy: None, tables: &tables, now: log.decided };
    let error = check(&receipt, &against).unwrap_err();
    assert!(error.to_string().contains("published in another form than the broker recorded"), "{error}");
}

#[test]
fn of_what_is_not_shown_no_demand_is_made_up() {
    let scene = Scene::new();
    let (log, receipt) = scene.receipt(&scene.digest());
    let hidden = receipt.narrowed(|field| field == Field::STATUS);
    let (said, json) = told(&log, &hidden, Some(&scene.log));
    assert_eq!(said, "\nWhat was demanded: not shown (the field `envelope`), or erased\n");
    assert!(json.is_empty(), "{json:?}");
}
