//! Operators need each other: below the threshold nothing comes into force, and one alone can stop somebody for a time.

use std::path::PathBuf;
use std::process::{Command, Output};

use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::{Caller, comity};
use comity_tests::federation::{EU_BODY, EU_OWNED, FEDERATION, Federation, PENDING, US_VENDOR};
use comity_tests::node::NodeSpec;
use comity_tests::program::{run, said, succeed};
use comity_tests::wait;
use serde_json::Value;

/// Two of three.
fn two_of_three() -> Federation {
    Federation::start_governed(&["bob", "carol"], 2)
}

/// What an operator runs, to whatever end.
fn attempt(federation: &Federation, operator: &str, arguments: &[&str]) -> Output {
    federation.ask(&federation.operator_named(operator), arguments)
}

/// What an operator runs, as JSON.
fn operator(federation: &Federation, operator: &str, arguments: &[&str]) -> Value {
    let output = attempt(federation, operator, &[arguments, &["-o", "json"]].concat());
    assert!(output.status.success(), "{operator} {arguments:?}: {}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// An operator signs what waits; gives its proposal.
fn proposes(federation: &Federation, name: &str, arguments: &[&str]) -> String {
    let said = operator(federation, name, arguments);
    let proposal = &said["proposal"];
    assert_eq!((&proposal["needed"], &said["epoch"]), (&2.into(), &Value::Null), "{said}");
    proposal["id"].as_str().unwrap().to_owned()
}

fn comes_into_force(federation: &Federation, name: &str, arguments: &[&str]) {
    let said = operator(federation, name, arguments);
    assert!(said["epoch"].is_u64(), "{name} {arguments:?}: {said}");
}

/// Who has signed each of the proposals.
fn waiting(federation: &Federation) -> Vec<usize> {
    let list = operator(federation, "carol", &["proposal", "list"]);
    let proposals = list["proposals"].as_array().cloned().unwrap_or_default();
    proposals.iter().map(|proposal| proposal["signedBy"].as_array().map_or(0, Vec::len)).collect()
}

/// The enrolment that waits.
fn enrolment(federation: &Federation) -> String {
    let list = operator(federation, "alice", &["enrolment", "list"]);
    let all = list["enrolments"].as_array().unwrap();
    let waits = all.iter().find(|enrolment| enrolment["state"] == "ENROLMENT_STATE_WAITING").unwrap();
    waits["id"].as_str().unwrap().to_owned()
}

fn pending(join: &impl Fn() -> Command) {
    let asked = run(&mut join());
    assert_eq!(asked.status.code(), Some(PENDING), "{}", said(&asked));
}

#[test]
fn without_yes_and_without_a_terminal_approve_shows_what_it_would_sign_and_signs_nothing() {
    let federation = two_of_three();
    let join = federation.waiting_app(EU_BODY, "a1");
    let id = enrolment(&federation);
    let asked = attempt(&federation, "alice", &["approve", &id]);
    assert_eq!(asked.status.code(), Some(2), "{}", said(&asked));
    let signed = ["fingerprint of its key", "none is in force", "comity offer list"];
    for told in signed.into_iter().chain(["nothing was signed: there is no terminal", "--yes"]) {
        assert!(said(&asked).contains(told), "no {told:?} in {}", said(&asked));
    }
    assert_eq!(waiting(&federation), Vec::<usize>::new(), "nobody has signed anything");
    // Another operator's signature is not added to either.
    let _proposal = proposes(&federation, "alice", &["approve", "--yes", &id]);
    let asked = attempt(&federation, "bob", &["approve", &id]);
    assert_eq!((asked.status.code(), waiting(&federation)), (Some(2), vec![1]), "{}", said(&asked));
    pending(&join);
}

fn standing(federation: &Federation, member: &str) -> String {
    let shown = operator(federation, "alice", &["federation", "show"]);
    let of = shown["members"].as_array().unwrap().iter().find(|one| one["id"] == member);
    of.map_or_else(String::new, |one| one["standing"].as_str().unwrap().to_owned())
}

#[test]
fn one_operator_alone_admits_nobody_and_the_second_lets_them_in_by_enrolment_or_by_proposal() {
    let federation = two_of_three();
    let join = federation.waiting_app(EU_BODY, "assistant");
    let id = enrolment(&federation);
    let proposal = proposes(&federation, "alice", &["approve", "--yes", &id]);
    assert_eq!(proposes(&federation, "alice", &["approve", "--yes", &id]), proposal, "signing again adds nothing");
    assert_eq!(waiting(&federation), [1]);
    pending(&join);
    assert_eq!(standing(&federation, EU_BODY.domain), "");
    comes_into_force(&federation, "bob", &["approve", "--yes", &id]);
    let _joined = succeed(&mut join());
    assert!(waiting(&federation).is_empty());

    let join = federation.waiting_app(US_VENDOR, "assistant");
    let proposal = proposes(&federation, "bob", &["approve", "--yes", &enrolment(&federation)]);
    pending(&join);
    comes_into_force(&federation, "carol", &["approve", "--yes", proposal.get(..12).unwrap()]);
    let _joined = succeed(&mut join());
    assert_eq!(standing(&federation, US_VENDOR.domain), "active");
}

#[test]
fn an_operator_an_enrolment_and_a_proposal_are_shown_one_by_one() {
    let federation = two_of_three();
    let _join = federation.waiting_app(EU_BODY, "assistant");
    let id = enrolment(&federation);
    let shown = operator(&federation, "bob", &["enrolment", "show", &id]);
    assert_eq!((&shown["id"], &shown["state"]), (&id.as_str().into(), &"ENROLMENT_STATE_WAITING".into()), "{shown}");
    let for_people = said(&attempt(&federation, "bob", &["enrolment", "show", &id]));
    let fingerprint = shown["fingerprint"].as_str().unwrap();
    assert!(for_people.contains(fingerprint) && for_people.contains("ultimate controllers"), "{for_people}");

    let proposal = proposes(&federation, "alice", &["approve", "--yes", &id]);
    let alice = format!("spiffe://{FEDERATION}/operator/alice");
    let shown = operator(&federation, "bob", &["proposal", "show", proposal.get(..12).unwrap()]);
    assert_eq!((&shown["id"], &shown["signedBy"]), (&proposal.as_str().into(), &serde_json::json!([alice])), "{shown}");
    let for_people = said(&attempt(&federation, "bob", &["proposal", "show", &proposal]));
    assert!(for_people.contains(EU_BODY.domain) && for_people.contains("1 of 2"), "{for_people}");

    let carol = format!("spiffe://{FEDERATION}/operator/carol");
    let stop = ["suspend", &carol, "--reason", "a lost key"];
    let _proposed = operator(&federation, "alice", &stop);
    comes_into_force(&federation, "bob", &stop);
    let listed = operator(&federation, "alice", &["operator", "list"]);
    for (name, standing, reason) in [("alice", "active", ""), ("carol", "suspended", "a lost key")] {
        let shown = operator(&federation, "alice", &["operator", "show", name]);
        let of = listed["operators"].as_array().unwrap().iter().find(|one| one["id"] == shown["id"]).unwrap();
        assert_eq!((&shown["fingerprint"], &shown["standing"]), (&of["fingerprint"], &standing.into()), "{shown}");
        assert_eq!(shown["suspensionReason"], reason, "{shown}");
    }
    for unknown in [["operator", "show", "mallory"], ["enrolment", "show", "0000"], ["proposal", "show", "00000000"]] {
        let answer = attempt(&federation, "alice", &unknown);
        assert_eq!(answer.status.code(), Some(1), "{unknown:?}: {}", said(&answer));
        assert!(said(&answer).contains("list` shows what there is"), "{unknown:?}: {}", said(&answer));
    }
}

#[test]
fn an_operator_below_the_threshold_lifts_evicts_and_removes_nobody_and_lowers_no_threshold() {
    let federation = two_of_three();
    let _app = federation.app(EU_BODY, "assistant");
    let brake = operator(&federation, "alice", &["suspend", EU_BODY.domain, "--reason", "a test"]);
    comes_into_force(&federation, "bob", &["approve", "--yes", brake["ratification"]["id"].as_str().unwrap()]);
    let before = operator(&federation, "alice", &["federation", "show"]);
    for alone in [
        &["lift", EU_BODY.domain][..],
        &["evict", EU_BODY.domain, "--reason", "mine"],
        &["operator", "threshold", "--root", "1", "--membership", "1"],
        &["operator", "remove", "alice"],
    ] {
        let signed = attempt(&federation, "carol", alone);
        // Of two statements that would stand at one place, only the first waits.
        assert!(said(&signed).contains("1 of 2") || !signed.status.success(), "{alone:?}: {}", said(&signed));
        let again = attempt(&federation, "carol", alone);
        assert!(said(&again).contains("1 of 2") || !again.status.success(), "{alone:?}: {}", said(&again));
    }
    assert_eq!(operator(&federation, "alice", &["federation", "show"]), before);
    assert!(waiting(&federation).iter().all(|signed| *signed == 1));
    // Only with somebody else: they choose which.
    let list = operator(&federation, "bob", &["proposal", "list"]);
    let lift = list["proposals"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned());
    let lifted = lift.map(|id| attempt(&federation, "bob", &["approve", &id, "--dry-run"]));
    assert!(lifted.filter(|shown| said(shown).contains("lifted")).count() >= 1);
}

#[test]
fn one_operators_brake_ends_a_stream_at_once_the_second_makes_it_final_and_two_lift_it() {
    let backend = Backend::start(Behaviour::Stall);
    let federation = two_of_three();
    let _node = federation.node(EU_OWNED, &NodeSpec::openai("n1", &backend.url(), "DE"));
    let app = federation.app(EU_BODY, "assistant");
    let chat = ["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "Where?"];
    // The backend never ends an answer: what ends the stream is the brake.
    let (cut, brake) = std::thread::scope(|scope| {
        let stream = scope.spawn(|| federation.ask(&app, &chat));
        wait::until("the backend is asked", || (!backend.asked().is_empty()).then_some(()));
        let brake = operator(&federation, "carol", &["suspend", EU_BODY.domain, "--reason", "leaks"]);
        (stream.join().unwrap(), brake)
    });
    assert!(!cut.status.success() && said(&cut).contains("ORGANISATION_SUSPENDED"), "{}", said(&cut));
    backend.wait_until_left();
    backend.behave(Behaviour::Answer);
    assert!(said(&federation.ask(&app, &chat)).contains("ORGANISATION_SUSPENDED"));
    assert!(brake["epoch"].is_u64() && brake["ratification"]["needed"] == 2, "{brake}");
    comes_into_force(&federation, "alice", &["approve", "--yes", brake["ratification"]["id"].as_str().unwrap()]);
    // It is final: she who braked cannot take it back any more.
    let lift = proposes(&federation, "carol", &["lift", EU_BODY.domain]);
    assert!(said(&federation.ask(&app, &chat)).contains("ORGANISATION_SUSPENDED"));
    comes_into_force(&federation, "bob", &["approve", "--yes", &lift]);
    assert!(said(&federation.ask(&app, &chat)).contains("Paris"));
}

#[test]
fn a_brake_is_taken_back_by_whoever_made_it_and_made_once_and_two_others_can_end_it() {
    let federation = two_of_three();
    let _app = federation.app(EU_BODY, "assistant");
    let brake = ["suspend", EU_BODY.domain, "--reason", "a test"];
    assert!(operator(&federation, "alice", &brake)["epoch"].is_u64());
    comes_into_force(&federation, "alice", &["lift", EU_BODY.domain]);
    let again = operator(&federation, "alice", &brake);
    assert!(again["epoch"].is_null() && again["noBrake"].as_str().unwrap().contains("once"), "{again}");
    let proposed = again["ratification"]["id"].as_str().unwrap();
    let _taken_back = operator(&federation, "alice", &["proposal", "reject", proposed]);
    assert_eq!(standing(&federation, EU_BODY.domain), "active");
    // A hostile brake: those who did not make it end it by their threshold, and not by one of them.
    assert!(operator(&federation, "carol", &brake)["epoch"].is_u64());
    let lift = proposes(&federation, "bob", &["lift", EU_BODY.domain]);
    assert!(standing(&federation, EU_BODY.domain).starts_with("suspended"));
    comes_into_force(&federation, "alice", &["approve", "--yes", &lift]);
    assert_eq!(standing(&federation, EU_BODY.domain), "active");
}

#[test]
fn whoever_says_a_suspension_second_ratifies_it_and_where_no_brake_may_be_said_it_is_proposed() {
    let federation = two_of_three();
    let _app = federation.app(EU_BODY, "assistant");
    let stop = |reason| ["suspend", EU_BODY.domain, "--reason", reason];
    let would = |name: &str, reason| {
        let shown = operator(&federation, name, &[&stop(reason)[..], &["--dry-run"]].concat());
        let all = shown["wouldSign"].as_array().unwrap().iter();
        all.map(|one| one["statement"]["suspended"]["by"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(would("alice", "leaks"), ["brake", "federation"]);
    let braked = operator(&federation, "alice", &stop("leaks"));
    assert!(braked["epoch"].is_u64() && braked["noBrake"].is_null(), "{braked}");
    // As after a crash between the two: said again, it does what is left to do.
    let repeated = operator(&federation, "alice", &stop("leaks"));
    assert_eq!(repeated["ratification"]["id"], braked["ratification"]["id"]);
    assert_eq!(would("bob", "leaks"), ["federation"], "the dry run says what would be said");
    // For another reason it is another proposal, and names the first.
    let other = attempt(&federation, "carol", &stop("rumours"));
    let first = braked["ratification"]["id"].as_str().unwrap();
    assert!(other.status.success() && said(&other).contains(&format!("comity approve {first}")), "{}", said(&other));
    comes_into_force(&federation, "bob", &stop("leaks"));
    assert!(waiting(&federation).is_empty());
    for refused in [&stop("leaks")[..], &[&stop("leaks")[..], &["--dry-run"]].concat()] {
        let refused = attempt(&federation, "carol", refused);
        assert!(!refused.status.success() && said(&refused).contains("is suspended already"), "{}", said(&refused));
    }

    // An operator, whom nobody may brake alone here: two others suspend her.
    let carol = format!("spiffe://{FEDERATION}/operator/carol");
    let stop = ["suspend", &carol, "--reason", "a lost key"];
    let proposed = operator(&federation, "alice", &stop);
    assert!(proposed["epoch"].is_null() && proposed["ratification"]["id"].is_string(), "{proposed}");
    comes_into_force(&federation, "bob", &stop);
    assert!(standing(&federation, &carol).starts_with("suspended"));
}

#[test]
fn one_operators_no_keeps_no_organisation_out_and_two_do_with_a_reason_that_it_reads() {
    let federation = two_of_three();
    let join = federation.waiting_app(EU_BODY, "assistant");
    let id = enrolment(&federation);
    let _proposal = proposes(&federation, "alice", &["approve", "--yes", &id]);
    let tried = operator(&federation, "carol", &["reject", &id, "--reason", "a veto", "--dry-run"]);
    assert_eq!(tried["does"], "is one vote on the enrolment", "{tried}");
    let unknown = attempt(&federation, "carol", &["reject", &"0".repeat(32), "--reason", "a veto", "--dry-run"]);
    assert!(!unknown.status.success() && said(&unknown).contains("no enrolment"), "{}", said(&unknown));
    let veto = operator(&federation, "carol", &["reject", &id, "--reason", "a veto"]);
    assert_eq!(veto["ended"], false, "{veto}");
    let listed = operator(&federation, "bob", &["enrolment", "list"]);
    assert_eq!(listed["enrolments"][0]["refusedBy"][0]["reason"], "a veto", "{listed}");
    let shown = attempt(&federation, "bob", &["approve", &id, "--dry-run"]);
    assert!(said(&shown).contains("a veto") && said(&shown).contains("1 of 2 operators"), "{}", said(&shown));
    pending(&join);
    comes_into_force(&federation, "bob", &["approve", "--yes", &id]);
    let _joined = succeed(&mut join());

    let join = federation.waiting_app(US_VENDOR, "assistant");
    let id = enrolment(&federation);
    let _proposal = proposes(&federation, "alice", &["approve", "--yes", &id]);
    let _no = operator(&federation, "carol", &["reject", &id, "--reason", "who are they"]);
    let last = operator(&federation, "bob", &["reject", &id, "--reason", "the seat is not proven"]);
    assert_eq!(last["ended"], true, "{last}");
    let rejected = run(&mut join());
    assert_eq!(rejected.status.code(), Some(1), "{}", said(&rejected));
    // Whoever uses the directory afterwards is told the same, and not that nobody has joined there.
    let identity = federation.folder().join(US_VENDOR.domain).join("assistant");
    let used = run(comity().arg("--identity").arg(&identity).args(["model", "list"]));
    let looked_at = run(comity().arg("--identity").arg(&identity).arg("doctor"));
    for told in [rejected, used, looked_at] {
        assert_eq!(told.status.code(), Some(1), "{}", said(&told));
        assert!(said(&told).contains("the seat is not proven"), "{}", said(&told));
    }
    assert!(waiting(&federation).is_empty());
    // Alice, who signed, sees what became of it, also where she would sign again.
    let shown = operator(&federation, "alice", &["enrolment", "list", "--rejected"]);
    assert_eq!(shown["enrolments"][0]["rejection"]["reason"], "the seat is not proven", "{shown}");
    let late = attempt(&federation, "alice", &["approve", "--yes", &id]);
    assert!(!late.status.success() && said(&late).contains("turned down by"), "{}", said(&late));
}

#[test]
fn whoever_signs_for_a_key_first_or_last_is_shown_that_another_key_came_by_its_invite() {
    let mut federation = two_of_three();
    federation.expect_log("an invite was presented by a second key");
    let (invite, facts) = (federation.invite(EU_BODY, "app", "assistant"), federation.folder().join("facts.toml"));
    federation.write_facts(EU_BODY, &facts);
    let join = |dir: &str| {
        let dir = federation.folder().join(dir);
        run(comity().args(["join", &invite, "--dir"]).arg(dir).arg("--organisation").arg(&facts))
    };
    assert_eq!(join("member").status.code(), Some(PENDING));
    let thief = join("thief");
    assert!(!thief.status.success() && said(&thief).contains("another key"), "{}", said(&thief));
    let id = enrolment(&federation);
    let first = attempt(&federation, "alice", &["approve", &id, "--dry-run"]);
    let proposal = proposes(&federation, "alice", &["approve", "--yes", &id]);
    let last = attempt(&federation, "bob", &["approve", &proposal, "--dry-run"]);
    let shown = attempt(&federation, "bob", &["proposal", "show", &proposal]);
    for told in [first, last, shown] {
        assert!(said(&told).contains("the invite was also presented by"), "{}", said(&told));
    }
}

#[test]
fn a_dry_run_refuses_what_the_log_would_refuse() {
    let federation = two_of_three();
    let _join = federation.waiting_app(EU_BODY, "assistant");
    let reason = ["--reason", "a test"];
    for (arguments, why) in [
        (&["evict", "nobody.example", reason[0], reason[1]][..], "nobody.example"),
        (&["lift", "nobody.example"], "nobody.example"),
        (&["operator", "threshold", "--root", "9"], "at most the number of operators"),
    ] {
        let tried = attempt(&federation, "alice", &[arguments, &["--dry-run"]].concat());
        assert!(!tried.status.success() && said(&tried).contains(why), "{arguments:?}: {}", said(&tried));
    }
    let invite = ["invite", EU_BODY.domain, "--kind", "app", "--name", "assistant"];
    let words = |dry: &[&str]| {
        let tried = attempt(&federation, "alice", &[&invite[..], dry].concat());
        assert!(!tried.status.success() && said(&tried).contains("comity reject"), "{}", said(&tried));
        said(&tried)
    };
    assert_eq!(words(&["--dry-run"]), words(&[]));
    let other = attempt(&federation, "alice", &["invite", "new.example", "--kind", "app", "--name", "a", "--dry-run"]);
    assert!(other.status.success() && said(&other).contains("spiffe://new.example/app/a"), "{}", said(&other));
    let listed = operator(&federation, "alice", &["enrolment", "list"]);
    assert!(!listed.to_string().contains("new.example"), "{listed}");
}

#[test]
fn a_change_of_operators_is_counted_by_those_who_govern_and_by_those_who_are_to() {
    let federation = two_of_three();
    let as_it_is = attempt(&federation, "alice", &["operator", "threshold", "--root", "2", "--membership", "2"]);
    assert!(!as_it_is.status.success() && said(&as_it_is).contains("nothing is proposed"), "{}", said(&as_it_is));
    let signed = attempt(&federation, "alice", &["operator", "threshold", "--root", "3", "--membership", "2"]);
    let text = said(&signed);
    assert!(text.contains("1 of 2 operators that govern now and 1 of 3 operators that are to govern"), "{text}");
    let list = operator(&federation, "carol", &["proposal", "list"]);
    let quorums = &list["proposals"][0]["quorums"];
    assert_eq!((&quorums[0]["signed"], &quorums[1]["needed"]), (&1.into(), &3.into()), "{quorums}");
}

#[test]
fn an_operator_who_is_removed_counts_no_more_and_one_who_is_invited_counts_once_two_have_approved() {
    let federation = two_of_three();
    let removal = proposes(&federation, "alice", &["operator", "remove", "carol"]);
    comes_into_force(&federation, "bob", &["approve", "--yes", &removal]);
    let differs = operator(&federation, "alice", &["federation", "diff", "1"]);
    let gone = differs["fields"].as_array().unwrap().iter().find(|one| one["to"].is_null()).unwrap();
    assert!(gone["field"].as_str().unwrap().ends_with("/operator/carol"), "{differs}");
    let gone = attempt(&federation, "carol", &["operator", "list"]);
    assert!(!gone.status.success(), "{}", said(&gone));

    let invite = operator(&federation, "alice", &["invite", FEDERATION, "--kind", "operator", "--name", "dave"]);
    let dave = federation.operator_named("dave");
    let join = joining(&dave, invite["invite"].as_str().unwrap());
    pending(&join);
    let id = enrolment(&federation);
    let _proposal = proposes(&federation, "alice", &["approve", "--yes", &id]);
    pending(&join);
    comes_into_force(&federation, "bob", &["approve", "--yes", &id]);
    let _joined = succeed(&mut join());

    let newcomer = federation.waiting_app(EU_BODY, "assistant");
    let _proposal = proposes(&federation, "dave", &["approve", "--yes", &enrolment(&federation)]);
    comes_into_force(&federation, "bob", &["approve", "--yes", &enrolment(&federation)]);
    let _joined = succeed(&mut newcomer());
}

fn joining(member: &Caller, invite: &str) -> impl Fn() -> Command + use<> {
    let (dir, invite): (PathBuf, String) = (member.identity.clone(), invite.to_owned());
    move || {
        let mut join = comity();
        join.args(["join", &invite, "--dir"]).arg(&dir);
        join
    }
}

#[test]
fn whoever_comes_back_is_shown_beside_what_it_said_of_itself_before() {
    let federation = Federation::start();
    let _was = federation.app(EU_OWNED, "assistant");
    let _evicted = federation.govern(&["evict", EU_OWNED.domain, "--reason", "a test"]);
    // Its keys are of no use any more. The same organisation, from another seat:
    std::fs::remove_dir_all(federation.folder().join(EU_OWNED.domain)).unwrap();
    let moved = comity_tests::federation::OrganisationSpec { seat: "PT", ..EU_OWNED };
    let _waits = federation.waiting_app(moved, "another");
    let diff = operator(&federation, "alice", &["organisation", "diff", &enrolment(&federation)]);
    assert_eq!((&diff["trustDomain"], &diff["wasMember"]), (&EU_OWNED.domain.into(), &true.into()));
    let fields: Vec<_> = diff["changes"].as_array().unwrap().iter().map(|change| change["field"].clone()).collect();
    assert_eq!(fields, ["seat"], "{diff}");
}
