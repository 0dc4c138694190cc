//! What is stored, sent and folded again is the same.

use super::*;
use crate::log::Log;

/// The entries are the same bytes when they are read and written, and the same state when they are folded with a stop.
pub(super) fn survives(entries: &[Vec<u8>], cut: usize, state: &Federation) {
    let mut federation = Federation::default();
    let read = |bytes: &Vec<u8>| Entry::from_json(bytes).unwrap();
    assert!(entries.iter().all(|bytes| read(bytes).to_json().unwrap() == *bytes));
    entries[..cut].iter().for_each(|bytes| federation.apply(&read(bytes)).unwrap());
    let stopped = format!("{federation:?}");
    let mut resumed = federation.clone();
    entries[cut..].iter().for_each(|bytes| resumed.apply(&read(bytes)).unwrap());
    assert_eq!((format!("{resumed:?}"), format!("{federation:?}")), (format!("{state:?}"), stopped));
    let Body::Founded(genesis) = read(&entries[0]).body else { panic!("founded") };
    let mut log = Log::new(genesis);
    entries.iter().for_each(|bytes| drop(log.take(bytes).unwrap()));
    assert_eq!(
        (format!("{:?}", log.federation()), log.tree().size()),
        (format!("{state:?}"), log.federation().epoch())
    );
}

/// An entry of every kind.
fn every_kind() -> Vec<Entry> {
    let mut test = with_both();
    let (invite, join, change) =
        (invites::invited(&mut test, OTHER, 1), joined(&mut test, OTHER), keys(&mut test, A, &["new"]));
    let organisation = Box::new(crate::testing::organisation(A));
    let application = test.application("org-c.example", "spiffe://org-c.example/node/n1");
    let operators = BTreeMap::from([(operator("alice"), test.key("alice").public())]);
    let statements = vec![
        Statement::RootChanged { operators, root_threshold: 1, membership_threshold: 1 },
        Statement::OrganisationAdmitted { application },
        Statement::OrganisationUpdated { organisation, layers: Box::default() },
        Statement::AnchorsChanged { organisation: read(A), anchors: vec!["anchor".into()] },
        change,
        left(A),
        invite,
        Statement::InviteRevoked { organisation: read(A), invite: InviteId::from_bytes([1; 16]) },
        join,
        withdrawn(NODE),
        offers::published(NODE, vec![]),
        suspended(NODE, By::Brake),
        lifted(A, By::Organisation),
        evicted(A),
        terms::accepted(A, B, 1, BTreeSet::from([Digest::of(b"terms")])),
        Statement::TermsWithdrawn { organisation: read(A), of: read(B) },
        audits::recognised(B, &["operator.seat"]),
        Statement::AuditorRevoked { auditor: read(B), reason: "a reason".into() },
        audits::audited(B, audits::of_seat(A, "DE")),
        audits::withdrawn(B, A),
        Statement::TablesAdopted { tables: tables::texts("") },
    ];
    let mut entries: Vec<Entry> = vec![test.entry(lapsed(A))];
    for statement in statements {
        let envelope = test.signed(statement, &BOTH);
        entries.push(test.entry(Body::Signed(envelope)));
    }
    entries
}

#[test]
fn an_entry_of_every_kind_survives_its_bytes_and_says_its_kind() {
    let mut kinds = BTreeSet::new();
    for entry in every_kind() {
        let bytes = entry.to_json().unwrap();
        let again = Entry::from_json(&bytes).unwrap();
        assert_eq!((&again, again.to_json().unwrap()), (&entry, bytes));
        let Some(payload) = again.payload().unwrap() else { continue };
        let json = serde_json::to_value(&payload.statement).unwrap();
        assert_eq!(json.as_object().unwrap().keys().next().map(String::as_str), Some(payload.statement.kind()));
        assert!(payload.statement.scope().is_some());
        kinds.insert(payload.statement.kind());
    }
    assert_eq!(kinds.len(), 21, "{kinds:?}");
}

#[test]
fn nothing_unknown_is_read_at_any_depth() {
    let mut test = with_a();
    let join = joined(&mut test, OTHER);
    let update = Statement::OrganisationUpdated {
        organisation: Box::new(crate::testing::organisation(A)),
        layers: Box::default(),
    };
    for (statement, from, to) in [
        (suspended(A, By::Brake), r#""by":"brake""#, r#""by":"king""#),
        (join.clone(), r#""tls_key":"admitted""#, r#""tls_key":"any""#),
        (evicted(A), r#""evicted""#, r#""exiled""#),
        (evicted(A), r#""reason""#, r#""urgent":true,"reason""#),
        (evicted(A), r#""version""#, r#""expires":1,"version""#),
        (evicted(A), r#""version""#, r#""version":2,"version""#),
        (update, r#""seat""#, r#""colour":"red","seat""#),
        (join, r#""key""#, r#""admin":true,"key""#),
        (terms::accepted(A, B, 1, BTreeSet::new()), r#""version":1,"at""#, r#""versions":1,"at""#),
        (terms::accepted(A, B, 1, BTreeSet::new()), r#""of""#, r#""price":0,"of""#),
        (audits::recognised(B, &["operator.seat"]), r#""operator.seat""#, r#""operator.mood""#),
        (audits::recognised(B, &["operator.seat"]), r#""audited""#, r#""beyond-doubt""#),
        (audits::recognised(B, &["operator.seat"]), r#""until""#, r#""for_ever":true,"until""#),
        (audits::audited(B, audits::of_seat(A, "DE")), r#""path""#, r#""paths":[],"path""#),
        (audits::audited(B, audits::of_seat(A, "DE")), r#""about":"org-a"#, r#""about":"/org-a"#),
        (audits::withdrawn(B, A), r#""reason""#, r#""quietly":true,"reason""#),
        (Statement::TablesAdopted { tables: tables::texts("") }, r#""issuers""#, r#""oracles""#),
        (Statement::TablesAdopted { tables: tables::texts("") }, r#""places":"#, r#""issuers":"","places":"#),
        (Statement::TablesAdopted { tables: tables::texts("") }, r#""tables":"#, r#""partly":true,"tables":"#),
    ] {
        let mut envelope = test.signed(statement, &[]);
        let text = String::from_utf8(envelope.payload).unwrap();
        assert!(text.contains(from), "{text}");
        envelope.payload = text.replacen(from, to, 1).into_bytes();
        [A, "alice"].iter().for_each(|name| envelope.sign(test.key(name)).unwrap());
        let taken = test.enter(Body::Signed(envelope));
        assert!(matches!(taken, Err(Refused::Unreadable(_))), "{to}: {taken:?}");
    }
    for (from, to) in [(r#""epoch""#, r#""trusted":true,"epoch""#), (r#""lapsed""#, r#""elapsed""#)] {
        let text = String::from_utf8(test.entry(lapsed(A)).to_json().unwrap()).unwrap();
        assert!(Entry::from_json(text.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_reader_or_the_fold_panic(
        which in 0..22_usize, changes in proptest::collection::vec((proptest::num::usize::ANY, proptest::num::u8::ANY), 1..8), inside: bool
    ) {
        use std::sync::LazyLock;
        static ENTRIES: LazyLock<(Federation, Vec<Entry>)> = LazyLock::new(|| (with_both().federation, every_kind()));
        let (federation, entries) = &*ENTRIES;
        let mutate = |bytes: &mut Vec<u8>| for (place, byte) in &changes {
            let place = place % bytes.len();
            bytes[place] = *byte;
        };
        let mut entry = entries[which].clone();
        if let (Body::Signed(envelope), true) = (&mut entry.body, inside) {
            mutate(&mut envelope.payload);
        }
        let mut bytes = entry.to_json().unwrap();
        if !inside {
            mutate(&mut bytes);
        }
        if let Ok(entry) = Entry::from_json(&bytes) {
            drop(federation.clone().apply(&entry));
            drop(entry.payload());
        }
    }
}
