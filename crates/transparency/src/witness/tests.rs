use super::*;
use crate::cosignature::CosignatureKind;
use crate::log_key::LogKey;
use crate::note::SignatureLine;
use crate::proof::{ProofError, consistency, prefix};
use crate::testing::Leaves;
use crate::tree::leaf_hash;
use crate::verifier::{Kind, Signed};

mod model;

const ORIGIN: &str = "example.com/behind-the-sofa";
const NAME: &str = "witness.example/w1";
const AT: u64 = 1_679_315_147;

/// A log with as many leaves as anybody asks for, and another past from the fifth leaf on.
struct World {
    log: LogKey,
    witness: Witness,
}

fn leaves(size: u64, fork: bool) -> Leaves {
    Leaves((0..size).map(|n| leaf_hash(&[n.to_be_bytes(), [u8::from(fork && n >= 4); 8]].concat())).collect())
}

fn key(kind: CosignatureKind) -> CosigningKey {
    CosigningKey::generate(NAME, kind).unwrap()
}

impl World {
    fn new() -> Self {
        let log = LogKey::generate(ORIGIN).unwrap();
        let keys = vec![key(CosignatureKind::Ed25519), key(CosignatureKind::MlDsa44)];
        let mut witness = Witness::new(keys).unwrap();
        witness.add_log(ORIGIN, log.verifiers().to_vec(), None).unwrap();
        Self { log, witness }
    }

    fn note(&self, size: u64, fork: bool) -> CheckpointNote {
        let root = leaves(size, fork).root();
        let checkpoint = Checkpoint { origin: ORIGIN.into(), size, root };
        CheckpointNote::parse(&self.log.sign(&checkpoint, None).unwrap()).unwrap()
    }

    fn request(&self, old: u64, size: u64, fork: bool) -> AddCheckpoint {
        let path = consistency(&leaves(size, fork), old, size).unwrap().unwrap_or_default();
        AddCheckpoint::new(old, path, self.note(size, fork)).unwrap()
    }

    /// What the witness answers, all the way.
    fn add(&mut self, request: &AddCheckpoint) -> Result<String, Box<Refused>> {
        match self.witness.receive(request.to_string().as_bytes()) {
            Verdict::Refused(refused) => Err(refused),
            Verdict::Advance(advance) => {
                let Ok(persisted) = advance.persist(|_, _| Ok::<_, ()>(())) else { panic!("it was stored") };
                Ok(persisted.sign(AT).unwrap())
            }
        }
    }

    fn refusal(&mut self, request: &AddCheckpoint) -> (u16, Refusal) {
        let refused = self.add(request).unwrap_err();
        (refused.refusal.status(), refused.refusal)
    }

    fn verifiers(&self) -> Vec<Verifier> {
        self.witness.verifiers().cloned().collect()
    }
}

fn at(size: u64) -> (u16, Refusal) {
    (409, Refusal::Conflict { size })
}

#[test]
fn a_log_that_grows_is_cosigned_and_monitors_see_it() {
    let mut world = World::new();
    for (old, new) in [(0, 0), (0, 3), (3, 3), (3, 8), (8, 20)] {
        let request = world.request(old, new, false);
        let body = world.add(&request).unwrap();
        let (mut note, witnesses) = (request.note().clone(), world.verifiers());
        let cosigned = merge(&mut note, &body, &witnesses).unwrap();
        assert_eq!(
            cosigned.iter().map(|by| (&by.key, by.time)).collect::<Vec<_>>(),
            [(&witnesses[0], AT), (&witnesses[1], AT)]
        );
        assert_eq!(note.note().signatures().len(), 3);
        let published = world.witness.published(&monitoring_path(ORIGIN)).unwrap();
        assert_eq!(published, note.to_string(), "the log's signature and both cosignatures");
        assert_eq!(world.witness.latest(ORIGIN).unwrap().size, new);
    }
    assert_eq!(world.witness.published(&monitoring_path("other")), None);
    // SHA-256 of the origin, in lower case.
    let hex = "/checkpoint";
    assert!(monitoring_path(ORIGIN).ends_with(hex) && monitoring_path(ORIGIN).len() == 64 + hex.len());
}

#[test]
fn a_request_survives_its_body() {
    let world = World::new();
    for (old, new) in [(0, 0), (0, 7), (5, 7), (7, 7)] {
        let request = world.request(old, new, false);
        assert_eq!(AddCheckpoint::parse(request.to_string().as_bytes()), Ok(request));
    }
}

#[test]
fn the_request_of_the_specification_is_read() {
    // tlog-witness, "add-checkpoint", the example.
    let body = "old 20852014\n\
        PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\
        jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\
        5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n\
        /6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\
        \n\
        example.com/behind-the-sofa\n\
        20852163\n\
        CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\
        \n\
        \u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
        \u{2014} example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=\n";
    let request = AddCheckpoint::parse(body.as_bytes()).unwrap();
    assert_eq!((request.old(), request.path().len(), request.note().note().signatures().len()), (20_852_014, 4, 2));
    assert_eq!(request.to_string(), body);
    // And its answer, whose witnesses are strangers here.
    let answer = "\u{2014} witness.example/w1 CMp+6LWBU0anHGH5aNDTJkH/gj79sG+T6+iP2ThYN5krrDJbR1HDnucjL39QsZTSvVjyQLrdk3DXDqI5G2HgLatVs0pWh6Up69HVOw==\n";
    let world = World::new();
    assert_eq!(merge(&mut request.note().clone(), answer, &world.verifiers()), Err(ResponseError::Nobody));
}

#[test]
fn every_refusal_has_the_specifications_status() {
    let mut world = World::new();
    world.add(&world.request(0, 6, false)).unwrap();

    let unknown = world.request(6, 7, false).to_string().replace(ORIGIN, "example.com/other");
    let unknown = AddCheckpoint::parse(unknown.as_bytes()).unwrap();
    assert_eq!(world.refusal(&unknown), (404, Refusal::UnknownOrigin));

    let stranger = World::new();
    assert_eq!(world.refusal(&stranger.request(6, 7, false)), (403, Refusal::NotSigned));
    let mut forged = world.note(7, false);
    let mut line: SignatureLine = forged.note().signatures()[0].clone();
    line.signature[9] ^= 1;
    forged.append(line).unwrap();
    let forged = AddCheckpoint::new(6, world.request(6, 7, false).path().to_vec(), forged).unwrap();
    assert_eq!(world.refusal(&forged), (403, Refusal::Forged), "beside a right one");

    assert_eq!(world.refusal(&world.request(8, 7, false)), (400, Refusal::OldAboveNew));
    assert_eq!(world.refusal(&world.request(0, 7, false)), at(6));
    assert_eq!(world.refusal(&world.request(5, 5, false)), at(6), "no way back");
    let refusal = Refusal::Conflict { size: 6 };
    assert_eq!((refusal.body(), refusal.content_type()), ("6\n".into(), "text/x.tlog.size"));
    assert_eq!(conflict_size(&refusal.body()), Some(6));
    assert_eq!(["6", "06\n", "-6\n", "6\n\n", "\n", ""].map(conflict_size), [None; 6]);

    let (status, refusal) = world.refusal(&world.request(6, 9, true));
    assert_eq!((status, refusal), (422, Refusal::Inconsistent(ProofError::OtherRoot)));
    let (status, refusal) = world.refusal(&world.request(6, 6, true));
    assert_eq!((status, refusal), (422, Refusal::Inconsistent(ProofError::OtherRoot)), "another root at one size");
    let long = AddCheckpoint::new(6, vec![Digest::of(b""); 63], world.note(9, false)).unwrap();
    assert_eq!(world.refusal(&long).0, 422);
    let same = AddCheckpoint::new(6, vec![Digest::of(b"")], world.note(6, false)).unwrap();
    assert_eq!(world.refusal(&same).0, 422, "a proof where none is needed");

    let mut fresh = World::new();
    let with_proof = AddCheckpoint::new(0, vec![Digest::of(b"")], fresh.note(3, false)).unwrap();
    assert_eq!(fresh.refusal(&with_proof).0, 422, "a proof from nothing");
    let wrong = Checkpoint { origin: ORIGIN.into(), size: 0, root: Digest::of(b"x") };
    let wrong = CheckpointNote::parse(&fresh.log.sign(&wrong, None).unwrap()).unwrap();
    let wrong = AddCheckpoint::new(0, vec![], wrong).unwrap();
    assert_eq!(fresh.refusal(&wrong), (422, Refusal::EmptyRoot));
    assert_eq!(fresh.witness.latest(ORIGIN), None, "nothing refused leaves a trace");
}

#[test]
fn what_is_no_request_is_400() {
    let mut world = World::new();
    let body = world.request(5, 7, false).to_string();
    let hash = body.lines().nth(1).unwrap();
    let line = |line, expected| Refusal::Line { line, expected };
    let (old, or_empty) = ("`old` and a size", "a hash or empty");
    for (from, to, expected) in [
        ("old 5", "old 05", line(1, old)),
        ("old 5", "old +5", line(1, old)),
        ("old 5", "old  5", line(1, old)),
        ("old 5", "old 5 ", line(1, old)),
        ("old 5", "Old 5", line(1, old)),
        ("old 5\n", "", line(1, old)),
        (hash, &hash[1..], line(2, or_empty)),
        (hash, &hash[..43], line(2, or_empty)),
        ("\n\n", "\n", line(body.split("\n\n").next().unwrap().lines().count() + 1, or_empty)),
        ("\n7\n", "\n07\n", Refusal::Checkpoint(CheckpointError::Malformed)),
        ("\u{2014}", "-", Refusal::Checkpoint(NoteError::Malformed.into())),
    ] {
        let Verdict::Refused(refused) = world.witness.receive(body.replacen(from, to, 1).as_bytes()) else {
            panic!("{from:?} to {to:?} is signed");
        };
        assert_eq!((refused.refusal.status(), &refused.refusal), (400, &expected), "{to:?}");
    }
    let many = body.replacen(hash, &format!("{hash}\n").repeat(64), 1);
    for (body, expected) in [
        (many.as_bytes(), Refusal::Hashes),
        (b"old 0\n\n\xff".as_slice(), line(1, "UTF-8")),
        (&vec![b'x'; MAX_REQUEST_BYTES + 1], Refusal::TooLong),
        (b"", line(1, old)),
    ] {
        assert_eq!(AddCheckpoint::parse(body), Err(expected));
    }
}

#[test]
fn what_is_not_stored_is_not_signed_and_changes_nothing() {
    let mut world = World::new();
    let request = world.request(0, 3, false);
    let Verdict::Advance(advance) = world.witness.judge(&request) else { panic!("it is consistent") };
    assert_eq!(advance.persist(|_, _| Err("disk full")).err(), Some("disk full"));
    assert_eq!((world.witness.latest(ORIGIN), world.witness.published(&monitoring_path(ORIGIN))), (None, None));

    let mut stored = None;
    let Verdict::Advance(advance) = world.witness.judge(&request) else { panic!("it is consistent") };
    let store = |origin: &str, note: &str| {
        stored = Some((origin.to_owned(), note.to_owned()));
        Ok::<_, ()>(())
    };
    drop(advance.persist(store).unwrap());
    // It stops here: what was stored binds it, and is signed when it goes on.
    let (origin, note) = stored.unwrap();
    let mut again = Witness::new(vec![key(CosignatureKind::Ed25519)]).unwrap();
    again.add_log(&origin, world.log.verifiers().to_vec(), Some(&note)).unwrap();
    assert_eq!(again.published(&monitoring_path(ORIGIN)), None);
    again.unpublished().for_each(|persisted| drop(persisted.sign(AT).unwrap()));
    assert_eq!(again.unpublished().count(), 0);
    let published = CheckpointNote::parse(&again.published(&monitoring_path(ORIGIN)).unwrap()).unwrap();
    let own = again.verifiers().next().unwrap();
    assert_eq!(published.signed_by(own), Ok(Some(Signed { time: Some(AT) })));
    let Verdict::Refused(refused) = again.judge(&world.request(0, 5, true)) else { panic!("it has forgotten") };
    assert_eq!(refused.refusal, Refusal::Conflict { size: 3 });
}

#[test]
fn nothing_but_what_the_log_signed_is_taken_up_again() {
    let world = World::new();
    let (keys, note) = (world.log.verifiers().to_vec(), world.note(3, false).to_string());
    let add = |origin: &str, keys: Vec<Verifier>, stored: Option<&str>| {
        Witness::new(vec![key(CosignatureKind::MlDsa44)]).unwrap().add_log(origin, keys, stored)
    };
    assert_eq!(add(ORIGIN, keys.clone(), Some(&note)), Ok(()));
    let strangers = World::new().log.verifiers().to_vec();
    assert!(matches!(add(ORIGIN, strangers, Some(&note)), Err(LogError::Stored(_))));
    assert!(matches!(add(ORIGIN, keys.clone(), Some(&note.replace("\n3\n", "\n2\n"))), Err(LogError::Stored(_))));
    assert!(matches!(add("example.com/other", keys.clone(), Some(&note)), Err(LogError::Stored(_))));
    assert!(matches!(add(ORIGIN, keys.clone(), Some("")), Err(LogError::Stored(_))));
    assert_eq!(add(ORIGIN, vec![], None), Err(LogError::NoKey));
    assert_eq!(add(&"o".repeat(256), keys.clone(), None), Err(LogError::Origin));
    let mut witness = Witness::new(vec![key(CosignatureKind::Ed25519)]).unwrap();
    let own = witness.verifiers().cloned().collect::<Vec<_>>();
    assert_eq!(witness.add_log(ORIGIN, own.clone(), None), Err(LogError::Own));
    witness.add_log(ORIGIN, keys.clone(), None).unwrap();
    assert_eq!(witness.add_log(ORIGIN, keys.clone(), None), Err(LogError::Known(ORIGIN.into())));
    assert_eq!(witness.rekey_log("other", keys), Err(LogError::Unknown("other".into())));
    assert_eq!(witness.rekey_log(ORIGIN, own), Err(LogError::Own));
    assert!(Witness::new(vec![]).is_err());
}

#[test]
fn a_log_with_new_keys_is_bound_by_what_it_signed_with_the_old_ones() {
    let mut world = World::new();
    world.add(&world.request(0, 6, false)).unwrap();
    let old = std::mem::replace(&mut world.log, LogKey::generate(ORIGIN).unwrap());
    world.witness.rekey_log(ORIGIN, world.log.verifiers().to_vec()).unwrap();
    assert_eq!(world.refusal(&world.request(6, 9, true)).0, 422);
    assert!(world.add(&world.request(6, 9, false)).is_ok());
    let new = std::mem::replace(&mut world.log, old);
    assert_eq!(world.refusal(&world.request(9, 10, false)), (403, Refusal::NotSigned));
    drop(new);
}

#[test]
fn a_fork_leaves_evidence_that_a_stranger_can_check() {
    let mut world = World::new();
    world.add(&world.request(0, 6, false)).unwrap();
    let log = world.log.verifiers().to_vec();
    let evidence = |world: &mut World, request: &AddCheckpoint| world.add(request).unwrap_err().evidence;

    // Another root at one size, whatever the client says that it knows.
    for request in [world.request(6, 6, true), world.request(0, 6, true), world.request(3, 6, true)] {
        let found = evidence(&mut world, &request).unwrap();
        let read: Evidence = found.to_string().parse().unwrap();
        assert_eq!((&read, read.check(&log)), (&found, Ok(Finding::Fork)));
        assert_eq!(read.check(World::new().log.verifiers()), Err(EvidenceError::NotSigned));
        let tampered = found.to_string().replacen("\n6\n", "\n5\n", 1).parse::<Evidence>().unwrap();
        assert_eq!(tampered.check(&log), Err(EvidenceError::NotSigned));
    }
    // A proof that leads on from another tree than the one that the witness has, and one that leads nowhere.
    let forked = world.request(6, 9, true);
    let unproven = AddCheckpoint::new(6, world.request(6, 9, false).path().to_vec(), forked.note().clone()).unwrap();
    for (request, finding) in [(forked, Finding::Fork), (unproven, Finding::Unconnected)] {
        let found = evidence(&mut world, &request).unwrap();
        assert_eq!(found.to_string().parse::<Evidence>().unwrap().check(&log), Ok(finding));
    }
    // A tree of nothing that is something.
    let wrong = Checkpoint { origin: ORIGIN.into(), size: 0, root: Digest::of(b"x") };
    let wrong = CheckpointNote::parse(&world.log.sign(&wrong, None).unwrap()).unwrap();
    let found = evidence(&mut world, &AddCheckpoint::new(0, vec![], wrong).unwrap()).unwrap();
    assert_eq!(found.to_string().parse::<Evidence>().unwrap().check(&log), Ok(Finding::Impossible));
    // A client that only does not know better, and a stranger, leave none.
    for request in [world.request(0, 9, false), world.request(3, 9, true), World::new().request(6, 6, true)] {
        assert_eq!(evidence(&mut world, &request), None);
    }
}

#[test]
fn whoever_saw_two_checkpoints_shows_a_fork_at_any_two_sizes_and_a_log_that_shrank_by_when_it_signed() {
    let world = World::new();
    let log = world.log.verifiers();
    let check = |known: &CheckpointNote, claimed: &CheckpointNote, path: Vec<Digest>| {
        Evidence::between(known.clone(), claimed.clone(), path).to_string().parse::<Evidence>().unwrap().check(log)
    };
    for (old, new) in [(6, 9), (8, 9), (8, 20), (5, 17), (7, 8)] {
        let path = prefix(&leaves(new, true), old, new).unwrap().unwrap();
        let (honest, forked) = (world.note(old, false), world.note(new, true));
        for (known, claimed) in [(&honest, &forked), (&forked, &honest)] {
            assert_eq!(check(known, claimed, path.clone()), Ok(Finding::Fork), "{old} {new}");
        }
        let own = prefix(&leaves(new, false), old, new).unwrap().unwrap();
        assert_eq!(check(&honest, &world.note(new, false), own), Err(EvidenceError::Consistent), "{old} {new}");
        let elsewhere = prefix(&leaves(new, false), old, new).unwrap().unwrap();
        assert_eq!(check(&honest, &forked, elsewhere), Ok(Finding::Unconnected), "{old} {new}");
    }
    let signed = |size: u64, time: u64| {
        let checkpoint = Checkpoint { origin: ORIGIN.into(), size, root: leaves(size, false).root() };
        CheckpointNote::parse(&world.log.sign(&checkpoint, Some(time)).unwrap()).unwrap()
    };
    assert_eq!(check(&signed(9, AT), &signed(6, AT + 1), vec![]), Ok(Finding::Rollback));
    // Whoever forks may spoil its own second signature: the one that holds is enough.
    let spoiled = |note: &CheckpointNote| {
        let text = note.to_string();
        let line = text.lines().last().unwrap();
        let middle = line.len() - 100;
        let other = if &line[middle..=middle] == "A" { "B" } else { "A" };
        let changed = format!("{}{other}{}", &line[..middle], &line[middle + 1..]);
        CheckpointNote::parse(&text.replace(line, &changed)).unwrap()
    };
    let forked = Checkpoint { origin: ORIGIN.into(), size: 9, root: leaves(9, true).root() };
    let forked = CheckpointNote::parse(&world.log.sign(&forked, Some(AT)).unwrap()).unwrap();
    assert!(spoiled(&forked).signed_by(&log[1]).is_err());
    assert_eq!(check(&spoiled(&signed(9, AT)), &spoiled(&forked), vec![]), Ok(Finding::Fork));
    // An old one that is shown again was signed when it was true.
    assert_eq!(check(&signed(9, AT), &signed(6, AT), vec![]), Ok(Finding::Unconnected));
    assert_eq!(check(&signed(9, AT), &world.note(6, false), vec![]), Ok(Finding::Unconnected));
}

#[test]
fn no_evidence_is_made_of_what_is_consistent() {
    let world = World::new();
    let log = world.log.verifiers();
    let request = world.request(4, 9, false);
    let text = |known: &str, claimed: &str, path: &[Digest]| {
        let path: String = path.iter().map(|hash| format!("{}\n", crate::checkpoint::hash_text(hash))).collect();
        let lines = path.lines().count();
        format!(
            "comity/log-evidence@v1\nknown {}\n{known}claimed {}\n{claimed}path {lines}\n{path}",
            known.len(),
            claimed.len()
        )
    };
    let (four, nine) = (world.note(4, false).to_string(), request.note().to_string());
    for text in [
        text(&four, &nine, request.path()),
        text(&nine, &four, request.path()),
        text(&four, &four, &[]),
        text("", &nine, &[]),
    ] {
        assert_eq!(text.parse::<Evidence>().unwrap().check(log), Err(EvidenceError::Consistent));
    }
    let other = LogKey::generate("example.com/other").unwrap();
    let two = Checkpoint { origin: "example.com/other".into(), size: 4, root: Digest::of(b"x") };
    let both = [log.to_vec(), other.verifiers().to_vec()].concat();
    let two = text(&four, &other.sign(&two, None).unwrap(), &[]).parse::<Evidence>().unwrap();
    assert_eq!(two.check(&both), Err(EvidenceError::TwoLogs));

    let good = text(&four, &nine, request.path());
    for (from, to) in [
        ("@v1", "@v2"),
        ("known ", "known 9"),
        ("known ", "known 0"),
        ("claimed", "Claimed"),
        ("path ", "path 9"),
        ("path ", "path 0"),
    ] {
        assert!(good.replacen(from, to, 1).parse::<Evidence>().is_err(), "{to}");
    }
    assert!(format!("{good}\n").parse::<Evidence>().is_err() && good[..good.len() - 1].parse::<Evidence>().is_err());
}

#[test]
fn a_log_takes_over_the_right_cosignatures_of_known_witnesses_alone() {
    let mut world = World::new();
    let request = world.request(0, 3, false);
    let body = world.add(&request).unwrap();
    let (known, note) = (world.verifiers(), request.note().clone());
    let merged = |body: &str, known: &[Verifier]| {
        let mut merged = note.clone();
        merge(&mut merged, body, known).map(|by| (by.len(), merged.note().signatures().len()))
    };
    assert_eq!(merged(&body, &known), Ok((2, 3)));
    assert_eq!(merged(&body, &known[1..]), Ok((1, 2)), "one is a stranger");
    assert_eq!(merged(&body, &[]), Err(ResponseError::Nobody));
    assert_eq!(merged("", &known), Err(ResponseError::Nobody));
    assert_eq!(merged(body.trim_end(), &known), Err(ResponseError::Malformed(NoteError::Malformed)));
    assert_eq!(merged(&format!("{body}\n"), &known), Err(ResponseError::Malformed(NoteError::Malformed)));
    // Of another checkpoint.
    let other = world.add(&world.request(3, 5, false)).unwrap();
    assert_eq!(merged(&other, &known), Err(ResponseError::Forged(NAME.into())));
    // The log's own plain key is no witness, even where it is passed as one.
    let plain = format!("{}\n", note.note().signatures()[0]);
    assert_eq!(merged(&plain, world.log.verifiers()), Err(ResponseError::Nobody));
    assert_eq!(world.log.verifiers()[0].kind(), Kind::Note);
}
