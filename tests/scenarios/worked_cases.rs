//! The worked cases of the vocabulary, and those of layers, asked of live brokers: what the engine says in a test is what a federation says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use comity_policy::{Organisation, OrganisationFile};
use comity_tests::clients::comity;
use comity_tests::federation::Federation;
use comity_tests::members::Admission;
use comity_tests::program::succeed;
use comity_tests::worked_cases::{Case, Cast, world};
use comity_types::{Place, Timestamp};
use futures::{StreamExt as _, stream};
use serde_json::Value;

/// Where the brokers are, in the order in which a case takes the first that fits: inside the EU, outside it, and in the
/// one place of which a case is about the broker itself.
const BROKERS: [&str; 3] = ["DE", "GB", "US"];
/// How many members join at once, and how many questions are asked at once: more do not go faster on two cores.
const AT_ONCE: usize = 4;

/// A live federation with the members of its cases.
struct Live {
    federation: Federation,
    /// The folder of each caller's identity, by trust domain.
    apps: BTreeMap<String, PathBuf>,
}

impl Live {
    fn start(place: &Place, cast: &Cast) -> Self {
        let federation = Federation::start_in(place.as_str());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let apps = runtime.block_on(async {
            let admission = Admission::to(&federation);
            let nodes = stream::iter(cast.operators(place));
            nodes.for_each_concurrent(AT_ONCE, |(facts, offers)| join_node(&admission, facts, offers)).await;
            let apps = stream::iter(cast.callers(place)).map(|(file, app)| join_app(&admission, file, app));
            apps.buffer_unordered(AT_ONCE).collect().await
        });
        Self { federation, apps }
    }

    /// What `comity explain` says of a case, held against what is expected; nothing if it is the same.
    fn ask(&self, case: &Case) -> Option<String> {
        let expectation = &case.expectation;
        let world = world(expectation);
        let file = self.federation.folder().join(format!("{}.toml", world.offer.id));
        std::fs::write(&file, toml::to_string(&world.require).unwrap()).unwrap();
        let said = explain(&self.apps[world.caller.facts().trust_domain.as_str()], &file, case);
        let verdict = verdict_on(&said, case);
        // The JSON form of messages leaves out what is at its default: no reason, not eligible.
        let found: BTreeSet<String> = verdict["reasons"].as_array().into_iter().flatten().map(written).collect();
        let until = |text: &Value| text.as_str().map(|text| text.parse::<Timestamp>().unwrap());
        let ends = expectation.expires_at.is_none_or(|at| until(&verdict["expiresAt"]) == Some(at));
        let same = found == expectation.reasons
            && verdict["eligible"].as_bool().unwrap_or_default() == found.is_empty()
            && ends;
        assert_eq!(until(&said["asOf"]), Some(world.as_of), "case {}", expectation.id);
        (!same).then(|| format!("case {}: expected {:?}, found {verdict}", expectation.id, expectation.reasons))
    }
}

async fn join_node(admission: &Admission, facts: &Organisation, offers: Vec<comity_policy::Offer>) {
    admission.node(facts, "n1", &offers).await;
}

async fn join_app(admission: &Admission, file: OrganisationFile, app: String) -> (String, PathBuf) {
    (file.facts.trust_domain.to_string(), admission.app(&file, &app).await)
}

fn explain(identity: &Path, requirements: &Path, case: &Case) -> Value {
    let world = world(&case.expectation);
    let mut command = comity();
    command.arg("--identity").arg(identity).args(["-o", "json", "explain", "--for", world.capability.as_str()]);
    command.args(["--model", world.offer.model.as_str(), "--as-of", &world.as_of.to_string()]);
    serde_json::from_str(&succeed(command.arg("--require").arg(requirements))).unwrap()
}

fn verdict_on<'a>(said: &'a Value, case: &Case) -> &'a Value {
    let (verdicts, name) = (said["verdicts"].as_array().unwrap(), case.offer());
    let found = verdicts.iter().find(|verdict| verdict["offer"] == name.as_str());
    found.unwrap_or_else(|| panic!("case {}: the broker has no offer {name}", case.expectation.id))
}

/// A reason as the case file writes it.
fn written(reason: &Value) -> String {
    match reason["subject"].as_str().unwrap_or_default() {
        "" => reason["code"].as_str().unwrap().to_owned(),
        subject => format!("{}({subject})", reason["code"].as_str().unwrap()),
    }
}

#[test]
fn every_worked_case_has_the_same_reasons_in_a_live_federation() {
    let brokers = BROKERS.map(|place| place.parse::<Place>().unwrap());
    let cast = Cast::of(&brokers);
    let (mut driven, mut wrong, mut asked) = (Vec::new(), Vec::new(), 0);
    for place in &brokers {
        let cases: Vec<&Case> = cast.at(place).collect();
        let live = Live::start(place, &cast);
        for some in cases.chunks(AT_ONCE) {
            std::thread::scope(|scope| {
                let answers: Vec<_> = some.iter().map(|case| scope.spawn(|| live.ask(case))).collect();
                wrong.extend(answers.into_iter().filter_map(|answer| answer.join().unwrap()));
            });
            asked += some.len();
        }
        driven.push(format!("{} by a broker in {place}", cases.len()));
    }
    let (all, summary) = (cast.cases.len(), driven.join(", "));
    eprintln!("{asked} of {all} worked cases were driven through live brokers: {summary}");
    assert_eq!(asked, all);
    assert!(wrong.is_empty(), "{} of {all} cases differ:\n{}", wrong.len(), wrong.join("\n"));
}
