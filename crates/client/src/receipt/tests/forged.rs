//! What a broker that lies would log, of requests that nobody could have made, at times that were not.

use std::time::Duration;

use comity_membership::{By, Subject};

use super::*;

impl Scene {
    fn suspend(&mut self, subject: Subject) {
        self.say(Statement::Suspended { subject, reason: "a reason".into(), by: By::Federation }, "alice");
    }

    /// Why what is logged is not to be believed, by a federation that had come further at `until`, and a clock that says `now`.
    fn at_the_wrong_time(&self, at: Timestamp, until: Option<Timestamp>, now: Timestamp) -> Option<String> {
        let against = Against { log: Some(AsOf { log: &self.log, until }), now, ..self.against() };
        let receipt = self.receipt(|logged| logged.at = at);
        check(&receipt, &against).err().map(|error| error.to_string())
    }
}

#[test]
fn a_caller_that_was_never_admitted_or_is_of_another_kind_contradicts_though_its_organisation_is_a_member() {
    let scene = Scene::new();
    let ghost = scene.contradiction(|logged| logged.caller = "spiffe://org-a.example/app/ghost".into());
    assert!(ghost.contains("app/ghost asked") && ghost.contains("was no member"), "{ghost}");
    let node = scene.contradiction(|logged| logged.caller = NODE.into());
    assert!(node.contains("of a kind that no broker lets call this"), "{node}");
    let hidden = scene.receipt(|logged| logged.caller = NODE.into()).narrowed(|field| field == Field::CALLER);
    assert!(matches!(check(&hidden, &scene.against()), Err(CheckError::Contradiction(_))), "whatever it called");
}

#[test]
fn whoever_was_suspended_when_it_was_decided_neither_asked_nor_answered() {
    for (member, did) in [(CALLER, "asked"), (NODE, "answered")] {
        for subject in [
            Subject::Member(read(member)),
            Subject::Organisation(read::<comity_types::SpiffeId>(member).trust_domain().clone()),
        ] {
            let mut scene = Scene::new();
            scene.suspend(subject.clone());
            let said = scene.contradiction(|_| {});
            assert!(said.contains(&format!("{member} {did}")) && said.contains("was suspended"), "{subject}: {said}");
        }
    }
}

#[test]
fn a_decision_is_of_the_time_at_which_its_epoch_was_the_newest() {
    let scene = Scene::new();
    let (came, later) = (scene.log.federation().at().unwrap(), Duration::from_secs(3600));
    let now = came.plus(later * 2);
    assert_eq!(scene.at_the_wrong_time(came.plus(later), Some(now), now), None);
    assert_eq!(scene.at_the_wrong_time(came.plus(later).plus(EPOCH_TOLERANCE), Some(came.plus(later)), now), None);
    let stale = scene.at_the_wrong_time(came.plus(later), Some(came), now).unwrap();
    assert!(stale.contains("the federation had come further"), "{stale}");
    let early = scene.at_the_wrong_time(came.minus(later), Some(now), now).unwrap();
    assert!(early.contains("founded at"), "{early}");
    let founded = Root { founded_at: came.minus(later * 2), ..scene.root.clone() };
    let receipt = scene.receipt(|logged| logged.at = came.minus(later));
    let early = check(&receipt, &Against { root: &founded, now, ..scene.against() }).unwrap_err().to_string();
    assert!(early.contains("later than that"), "{early}");
    let (_, unproven) =
        scene.account(Against { log: Some(AsOf { log: &scene.log, until: None }), ..scene.against() }, |_| {});
    assert!(has(&unproven, "the log that was given ends there"), "{unproven:#?}");
}

#[test]
fn nothing_is_believed_that_was_decided_before_the_federation_or_after_now_with_its_log_or_without() {
    let scene = Scene::new();
    let now = scene.federation.now.unwrap();
    let of = |at: Timestamp, against: Against<'_>| {
        check(&scene.receipt(|logged| logged.at = at), &against).err().map(|error| error.to_string())
    };
    assert_eq!(of(now.plus(CLOCK_TOLERANCE), scene.without_log()), None);
    let future = now.plus(CLOCK_TOLERANCE * 2);
    let past = scene.root.founded_at.minus(Duration::from_secs(86_400));
    for against in [scene.against(), scene.without_log()] {
        let said = of(future, against).unwrap();
        assert!(said.contains("is this machine's clock right?"), "{said}");
        assert!(of(past, against).unwrap().contains("founded at"));
    }
}

#[test]
fn an_abort_whose_record_names_an_answer_is_not_believed() {
    let scene = Scene::new();
    let receipt = scene.receipt(|logged| logged.kind = Kind::Abort { decision: 1 });
    let refused = check(&receipt, &scene.against());
    assert!(matches!(refused, Err(CheckError::Receipt(ReceiptError::AbortWithRecord { index: 2 }))), "{refused:?}");
}

/// What is logged with every field that there is.
fn whole(logged: &mut Logged) {
    logged.decision = vec![
        (Field::MODEL, "tiny".into()),
        (Field::CONSIDERED, "1".into()),
        (Field::ELIGIBLE, format!(r#"["{OFFER}"]"#)),
        (Field::candidate(1).unwrap(), logged.candidate.replace("n1/chat", "n1/other")),
    ];
    logged.outcome = [
        (Field::OPERATOR, "org-b.example"),
        (Field::JURISDICTION, r#"["DE","FR"]"#),
        (Field::ATTEMPT, "1"),
        (Field::TRIES, "[]"),
        (Field::BYTES_OUT, "9"),
        (Field::DURATION_MS, "5"),
        (Field::CANCELLED, "false"),
    ]
    .map(|(field, value)| (field, value.to_owned()))
    .into();
}

#[test]
fn every_field_that_is_shown_has_exactly_one_verdict_whatever_is_shown_beside_it() {
    let mut scene = Scene::new();
    scene.publish("processing_locations = ['DE', 'FR']");
    let receipt = scene.receipt(whole);
    let all: Vec<_> = [RecordKind::Decision, RecordKind::Outcome].into_iter().flat_map(RecordKind::fields).collect();
    let mut shown: Vec<Vec<Field>> = all.iter().map(|field| vec![*field]).collect();
    shown.extend(all.iter().flat_map(|one| all.iter().map(|other| vec![*one, *other])));
    shown.extend(all.iter().map(|hidden| all.iter().copied().filter(|field| field != hidden).collect()));
    shown.extend([all.clone(), vec![Field::STATUS, Field::USAGE, Field::OPERATOR, Field::OFFER]]);
    for fields in shown {
        let part = receipt.clone().narrowed(|field| fields.contains(&field));
        for against in [scene.against(), scene.without_log()] {
            let account = check(&part, &against).unwrap();
            for field in all.iter().filter(|field| account.verified.get(**field).is_some()) {
                let of_it = account.findings.iter().filter(|finding| finding.fields.contains(field)).count();
                assert_eq!(of_it, 1, "{} of {fields:?}: {:#?}", field.name(), account.findings);
            }
        }
    }
}

#[test]
fn whatever_is_shown_is_proven_to_be_what_the_log_committed_to_which_is_a_verdict_on_no_field() {
    let mut scene = Scene::new();
    scene.publish("processing_locations = ['DE', 'FR']");
    for against in [scene.against(), scene.without_log()] {
        let committed = |shown: &[Field]| {
            let part = scene.receipt(whole).narrowed(|field| shown.contains(&field));
            let findings = check(&part, &against).unwrap().findings;
            let mut of_all = findings.into_iter().filter(|finding| finding.what.contains("what the log committed to"));
            let said = of_all.next().map(|finding| {
                assert!(finding.proven && finding.fields.is_empty(), "{finding:?}");
                finding.what.rsplit(": ").next().unwrap().to_owned()
            });
            assert_eq!(of_all.next(), None);
            said
        };
        assert_eq!(committed(&[Field::JURISDICTION]).as_deref(), Some("jurisdiction"));
        assert_eq!(committed(&[Field::CALLER, Field::STATUS]).as_deref(), Some("caller, status"));
        assert_eq!(committed(&[]), None);
    }
}

#[test]
fn a_field_that_is_shown_alone_is_the_brokers_word_and_it_is_said_what_would_prove_it() {
    let mut scene = Scene::new();
    scene.publish("processing_locations = ['DE', 'FR']");
    let alone = |field: Field| {
        let part = scene.receipt(whole).narrowed(|shown| shown == field);
        let findings = check(&part, &scene.against()).unwrap().findings;
        let of_it = findings.into_iter().find(|finding| finding.fields == [field]).unwrap();
        assert!(!of_it.proven, "{of_it:?}");
        of_it.what
    };
    let place = alone(Field::JURISDICTION);
    assert_eq!(
        place,
        "the broker's word, unless offer and offer_sha256 are shown, and the federation's log is given, besides: jurisdiction"
    );
    assert!(alone(Field::STATUS).contains("unless node_outcome is shown"));
    assert!(alone(Field::CALLER).contains("the broker's word to all but whoever asked: caller"));
    assert!(alone(Field::DURATION_MS).contains("its word alone"));
}
