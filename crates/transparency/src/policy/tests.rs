use proptest::prelude::*;

use super::*;
use crate::checkpoint::{Checkpoint, CheckpointNote};
use crate::cosignature::{CosignatureKind, CosigningKey};
use crate::log_key::LogKey;
use crate::tree::Tree;

const ORIGIN: &str = "example.com/fancylog";

fn name(text: &str) -> Octets {
    Octets::new(text.as_bytes()).unwrap()
}

fn witness(text: &str, post_quantum: bool) -> CosigningKey {
    let kind = if post_quantum { CosignatureKind::MlDsa44 } else { CosignatureKind::Ed25519 };
    CosigningKey::generate(text, kind).unwrap()
}

/// A log, six witnesses, and the policy of the specification's example, with keys and URLs.
struct World {
    log: LogKey,
    witnesses: Vec<CosigningKey>,
    file: String,
}

impl World {
    fn new() -> Self {
        let log = LogKey::generate(ORIGIN).unwrap();
        let witnesses: Vec<_> = (0..6).map(|n| witness(&format!("w{n}.example"), n % 2 == 0)).collect();
        let key = |n: usize| witnesses[n].verifier();
        let file = format!(
            "# The example of tlog-policy.\n\
             log {}\tftp://\u{e9}xample\n\n\
             witness X1 {} https://x1.example/\n  \twitness  X2 {}\t\nwitness X3 {}\n\
             group X-witnesses 2 X1 X2 X3\n\n\
             witness Y1 {}\nwitness Y2 {}\nwitness Y3 {}\n\
             \t# indented\n\
             group Y-witnesses any Y1 Y2 Y3\n\n\
             group X-and-Y all X-witnesses Y-witnesses\n\
             quorum X-and-Y\n",
            log.verifiers()[0],
            key(0),
            key(1),
            key(2),
            key(3),
            key(4),
            key(5)
        );
        Self { log, witnesses, file }
    }

    fn policy(&self) -> Policy {
        Policy::parse(self.file.as_bytes()).unwrap()
    }

    fn note(&self, cosigned_by: &[usize]) -> CheckpointNote {
        let mut note = note_of(&self.log);
        for place in cosigned_by {
            note.append(self.witnesses[*place].cosign(&note, 1000 + *place as u64).unwrap()).unwrap();
        }
        note
    }
}

fn note_of(log: &LogKey) -> CheckpointNote {
    let mut tree = Tree::default();
    tree.push(b"leaf");
    CheckpointNote::parse(&log.sign(&Checkpoint::of(log.origin(), &tree), Some(7)).unwrap()).unwrap()
}

fn fault(file: &str) -> (usize, PolicyFault) {
    let error = Policy::parse(file.as_bytes()).unwrap_err();
    (error.line, error.fault)
}

#[test]
fn the_example_of_the_specification_wants_two_of_x_and_one_of_y() {
    let world = World::new();
    let policy = world.policy();
    for (cosigned_by, enough) in [
        (&[0, 1, 3][..], true),
        (&[0, 2, 5], true),
        (&[0, 1, 2, 3, 4, 5], true),
        (&[0, 1, 2], false),
        (&[0, 3, 4, 5], false),
        (&[], false),
    ] {
        let judgement = policy.judge(&world.note(cosigned_by).to_string()).unwrap();
        assert_eq!(judgement.quorum_met, enough, "{cosigned_by:?}");
        assert_eq!(judgement.cosigned_by.len() + judgement.missing.len(), 6);
        assert_eq!(judgement.witnessed().is_ok(), enough);
    }
    let judgement = policy.judge(&world.note(&[3, 1]).to_string()).unwrap();
    assert_eq!(judgement.log, [world.log.verifiers()[0].clone()]);
    let expected = [("X2", 1001), ("Y1", 1003)].map(|(n, time)| Cosigned { witness: name(n), time: Some(time) });
    assert_eq!(judgement.cosigned_by, expected);
    assert_eq!(judgement.missing, ["X1", "X3", "Y2", "Y3"].map(name));
    let error = judgement.witnessed().unwrap_err();
    assert_eq!(error.to_string(), "too few witnesses cosigned the checkpoint (missing: X1, X3, Y2, Y3)");
}

#[test]
fn a_policy_survives_its_file() {
    let policy = World::new().policy();
    assert_eq!(Policy::parse(&policy.render()), Ok(policy.clone()));
    assert_eq!(policy.logs()[0].url.as_ref().unwrap().to_string(), "ftp://\u{e9}xample");
    let none = Policy::parse(b"quorum none\n").unwrap();
    assert_eq!(none.render(), b"quorum none\n");
    assert_eq!(Policy::parse(b" \t\n#\x80\xff~\n\tquorum\tnone \n"), Ok(none));
}

#[test]
fn names_are_bytes_and_nothing_else() {
    let (one, two) = (witness("a", false), witness("b", false));
    let mut file = format!("witness K {}\nwitness \u{212a} {}\nwitness ", one.verifier(), two.verifier()).into_bytes();
    file.extend(b"\x80\xff ");
    file.extend(format!("{}\nquorum ", witness("c", false).verifier()).into_bytes());
    file.extend(b"\x80\xff\n");
    let policy = Policy::parse(&file).unwrap();
    assert_eq!(policy.witnesses().len(), 3);
    assert_eq!(Policy::parse(&policy.render()), Ok(policy));
}

#[test]
fn without_a_quorum_of_witnesses_the_logs_word_is_enough_and_always_needed() {
    let world = World::new();
    let [plain, post_quantum] = world.log.verifiers();
    for key in [plain, post_quantum] {
        let policy = Policy::parse(format!("log {key}\nquorum none\n").as_bytes()).unwrap();
        assert_eq!(policy.judge(&world.note(&[]).to_string()).unwrap().log, std::slice::from_ref(key));
        assert!(policy.judge(&world.note(&[]).to_string()).unwrap().witnessed().is_ok());
        let other = note_of(&LogKey::generate(ORIGIN).unwrap()).to_string();
        assert_eq!(policy.judge(&other), Err(JudgeError::NoLog { origin: ORIGIN.into() }));
    }
    let no_log = Policy::parse(b"quorum none\n").unwrap();
    assert_eq!(no_log.judge(&world.note(&[]).to_string()), Err(JudgeError::NoLog { origin: ORIGIN.into() }));
    assert!(no_log.judge_of(world.log.verifiers(), &world.note(&[])).is_ok(), "a log known from elsewhere");
}

#[test]
fn a_log_speaks_for_no_other_log() {
    let log = crate::NoteKey::generate("other.example/log".into()).unwrap();
    let note = Checkpoint::of(ORIGIN, &Tree::default()).sign(&log).unwrap();
    let key = Verifier::new("other.example/log", crate::Kind::Note, &log.public().unwrap()).unwrap();
    let policy = Policy::parse(format!("log {key}\nquorum none\n").as_bytes()).unwrap();
    assert_eq!(policy.judge(&note), Err(JudgeError::NoLog { origin: ORIGIN.into() }));
}

#[test]
fn one_forged_signature_of_a_known_key_spoils_the_note_and_a_strangers_does_not() {
    let world = World::new();
    let note = world.note(&[0, 1, 3]).to_string();
    let stranger = witness("w0.example", true);
    let mut with_stranger = CheckpointNote::parse(&note).unwrap();
    with_stranger.append(stranger.cosign(&with_stranger, 9).unwrap()).unwrap();
    assert!(world.policy().judge(&with_stranger.to_string()).unwrap().quorum_met);

    for place in [0, 1, 3] {
        let key = &world.witnesses[place];
        let mut forged = CheckpointNote::parse(&note).unwrap();
        let mut line = forged.note().signatures().iter().find(|line| key.verifier().names(line)).unwrap().clone();
        *line.signature.last_mut().unwrap() ^= 1;
        forged.append(line).unwrap();
        let expected = JudgeError::Forged { name: key.name().into() };
        assert_eq!(world.policy().judge(&forged.to_string()), Err(expected));
    }
}

#[test]
fn a_key_counts_once_under_whatever_names_and_kinds() {
    let key = witness("w", false);
    let vkey = key.verifier();
    let renamed = rename(vkey, "other");
    let file = format!("witness A {vkey}\nwitness B {renamed}\nquorum A\n");
    assert_eq!(fault(&file), (2, PolicyFault::SameWitness(name("A"))));

    let log = LogKey::generate(ORIGIN).unwrap();
    let [plain, _] = log.verifiers();
    let file = format!("log {plain}\nlog {}\nquorum none\n", rename(plain, "other"));
    assert_eq!(fault(&file), (2, PolicyFault::SameLog(ORIGIN.into())));

    // One witness that signs a hundred times is one witness.
    let world = World::new();
    let mut note = world.note(&[1]);
    for time in 1..100 {
        note.append(world.witnesses[1].cosign(&note, time).unwrap()).unwrap();
    }
    let judgement = world.policy().judge(&note.to_string()).unwrap();
    assert_eq!(judgement.cosigned_by, [Cosigned { witness: name("X2"), time: Some(1001) }], "the latest");
    assert!(!judgement.quorum_met);
}

/// The same key under another name.
fn rename(key: &Verifier, name: &str) -> Verifier {
    use base64::Engine as _;
    let vkey = key.to_string();
    let bytes = base64::engine::general_purpose::STANDARD.decode(vkey.splitn(3, '+').nth(2).unwrap());
    Verifier::new(name, key.kind(), &bytes.unwrap()[1..]).unwrap()
}

#[test]
fn a_logs_key_is_no_witness() {
    let log = LogKey::generate(ORIGIN).unwrap();
    let [plain, post_quantum] = log.verifiers();
    let refused = PolicyFault::LogAsWitness(name("W"));
    // Its other key, under its own name; the same key under another; and whichever is defined first.
    for (log, posing) in [(plain, post_quantum.clone()), (post_quantum, rename(post_quantum, "w.example"))] {
        assert_eq!(fault(&format!("log {log}\nwitness W {posing}\nquorum W\n")), (2, refused.clone()));
        assert_eq!(fault(&format!("witness W {posing}\nlog {log}\nquorum W\n")), (2, refused.clone()));
    }
    // Nor where the log is known from elsewhere.
    let policy = Policy::parse(format!("witness W {post_quantum}\nquorum W\n").as_bytes()).unwrap();
    let judgement = policy.judge_of(log.verifiers(), &note_of(&log)).unwrap();
    assert_eq!((judgement.quorum_met, judgement.cosigned_by.len(), judgement.missing), (false, 0, vec![name("W")]));
}

#[test]
fn every_rule_of_the_format_is_refused_by_its_line() {
    use PolicyFault as F;
    let [a, b, c] = ["a", "b", "c"].map(|name| witness(name, false).verifier().to_string());
    let log = LogKey::generate(ORIGIN).unwrap().verifiers()[0].to_string();
    let (w, shape) = (format!("witness A {a}\nwitness B {b}\nwitness C {c}\n"), F::Shape);
    let group = shape("group <name> all|any|<k> <name>...");
    for (file, line, expected) in [
        (String::new(), 0, F::NoQuorum),
        (w.clone(), 3, F::NoQuorum),
        ("quorum none".into(), 1, F::Unterminated),
        ("quorum none\n# cut of".into(), 2, F::Unterminated),
        ("quorum none\nquorum none\n".into(), 2, F::SecondQuorum),
        ("quorum\n".into(), 1, shape("quorum <name>|none")),
        ("quorum none # why not\n".into(), 1, shape("quorum <name>|none")),
        ("quorum none\r\n".into(), 1, F::Octet(b'\r')),
        ("# \u{7f}\nquorum none\n".into(), 1, F::Octet(0x7f)),
        ("quorum\u{b}none\n".into(), 1, F::Octet(0xb)),
        ("Quorum none\n".into(), 1, F::Keyword(name("Quorum"))),
        (format!("quorum A\n{w}"), 1, F::Undefined(name("A"))),
        (format!("witness none {a}\nquorum none\n"), 1, F::NoneIsReserved),
        (format!("witness A {a}\nwitness A {b}\nquorum A\n"), 2, F::Defined(name("A"))),
        ("witness A\nquorum A\n".into(), 1, shape("witness <name> <vkey> [<url>]")),
        (format!("witness A {a} u v\nquorum A\n"), 1, shape("witness <name> <vkey> [<url>]")),
        (format!("witness A {log}\nquorum A\n"), 1, F::NoWitnessKey),
        (format!("log {a}\nquorum none\n"), 1, F::NoLogKey),
        ("log\nquorum none\n".into(), 1, shape("log <vkey> [<url>]")),
        (format!("{w}group G all\nquorum G\n"), 4, group.clone()),
        (format!("{w}group G\nquorum G\n"), 4, group),
        (format!("{w}group G 0 A B\nquorum G\n"), 4, F::Threshold { members: 2 }),
        (format!("{w}group G 3 A B\nquorum G\n"), 4, F::Threshold { members: 2 }),
        (format!("{w}group G 01 A B\nquorum G\n"), 4, F::Threshold { members: 2 }),
        (format!("{w}group G +1 A B\nquorum G\n"), 4, F::Threshold { members: 2 }),
        (format!("{w}group G A B C\nquorum G\n"), 4, F::Threshold { members: 2 }),
        (format!("{w}group A any B C\nquorum A\n"), 4, F::Defined(name("A"))),
        (format!("{w}group none any B C\nquorum A\n"), 4, F::NoneIsReserved),
        (format!("{w}group G any A none\nquorum G\n"), 4, F::NoneIsReserved),
        (format!("{w}group G any G A\nquorum G\n"), 4, F::Undefined(name("G"))),
        (format!("{w}group G any A H\ngroup H any B\nquorum G\n"), 4, F::Undefined(name("H"))),
        (format!("{w}group G 2 A A\nquorum G\n"), 4, F::MemberTwice(name("A"))),
        (format!("{w}group G any A B\ngroup H any B C\nquorum H\n"), 5, F::MemberTwice(name("B"))),
    ] {
        assert_eq!(fault(&file), (line, expected), "{file}");
    }
    let (line, wrong_key) = fault(&format!("witness A {a}\nwitness B {}\nquorum A\n", b.replacen('b', "c", 1)));
    assert!(matches!((line, wrong_key), (2, F::Key(_))));
    assert!(matches!(Policy::parse(b"log \xff+a+b\nquorum none\n").unwrap_err().fault, F::Key(_)));
}

#[test]
fn a_policy_holds_what_the_specification_asks_for_and_no_more_than_its_bounds() {
    let mut draft = PolicyDraft::default();
    for n in 0..MAX_WITNESSES {
        let key = witness(&format!("w{n}"), false).verifier().clone();
        draft.witness(name(&format!("W{n}")), key, None).unwrap();
        draft.group(name(&format!("G{n}")), Threshold::Any, &[name(&format!("W{n}"))]).unwrap();
    }
    let more = witness("more", false).verifier().clone();
    let limit = |what| Err(PolicyFault::TooMany { what, limit: 64 });
    assert_eq!(draft.witness(name("more"), more, None), limit("witnesses"));
    assert_eq!(draft.group(name("more"), Threshold::Any, &[name("G1")]), limit("groups"));
    draft.quorum(&name("G63")).unwrap();
    let policy = draft.finish().unwrap();
    assert_eq!(Policy::parse(&policy.render()), Ok(policy));
    let long = [&b"#"[..], &[b'x'; MAX_POLICY_BYTES]].concat();
    assert_eq!(Policy::parse(&long).unwrap_err().fault, PolicyFault::TooLong);
}

/// Whether a set of witnesses is a quorum by the definition: recursion over the file's own words.
fn means(file: &str, name: &str, cosigned: &[bool]) -> bool {
    let line = file.lines().find(|line| line.split(' ').nth(1) == Some(name) && !line.starts_with("quorum")).unwrap();
    let items: Vec<_> = line.split(' ').collect();
    if items[0] == "witness" {
        return cosigned[name[1..].parse::<usize>().unwrap()];
    }
    let members = &items[3..];
    let have = members.iter().filter(|member| means(file, member, cosigned)).count();
    match items[2] {
        "any" => have >= 1,
        "all" => have == members.len(),
        k => have >= k.parse().unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_quorum_is_what_its_groups_say(
        cuts in proptest::collection::vec((1_usize..4, 0_usize..6), 1..5), cosigned: [bool; 8],
    ) {
        let log = LogKey::generate(ORIGIN).unwrap();
        let keys: Vec<_> = (0..8).map(|n| witness(&format!("w{n}"), n == 7)).collect();
        let mut file = format!("log {}\n", log.verifiers()[0]);
        let mut free: Vec<String> = (0..8).map(|n| format!("W{n}")).collect();
        for (n, key) in keys.iter().enumerate() {
            file += &format!("witness W{n} {}\n", key.verifier());
        }
        for (n, (size, threshold)) in cuts.into_iter().enumerate() {
            let members: Vec<_> = free.drain(..size.min(free.len())).collect();
            let threshold = match threshold { 0 => "all".into(), 1 => "any".into(), k => (k % members.len() + 1).to_string() };
            file += &format!("group G{n} {threshold} {}\n", members.join(" "));
            free.push(format!("G{n}"));
        }
        let quorum = free.pop().unwrap();
        file += &format!("quorum {quorum}\n");
        let policy = Policy::parse(file.as_bytes()).unwrap();
        let mut note = note_of(&log);
        for (key, _) in keys.iter().zip(cosigned).filter(|(_, cosigned)| *cosigned) {
            note.append(key.cosign(&note, 5).unwrap()).unwrap();
        }
        let judgement = policy.judge(&note.to_string()).unwrap();
        prop_assert_eq!(judgement.quorum_met, means(&file, &quorum, &cosigned));
        prop_assert_eq!(Policy::parse(&policy.render()), Ok(policy));
    }

    #[test]
    fn no_bytes_make_a_policy_panic(file in proptest::collection::vec(
        proptest::sample::select(vec![&b"log"[..], b"witness", b"group", b"quorum", b" ", b"\n", b"A", b"none", b"1", b"\xff"]), 0..40)
    ) {
        drop(Policy::parse(&file.concat()));
    }
}

#[test]
fn a_federations_own_witness_is_known_however_its_name_is_written() {
    let federation = "federation.example".parse().unwrap();
    let own = |key: &str| {
        let file = format!("witness w {}\nquorum w\n", witness(key, false).verifier());
        Policy::parse(file.as_bytes()).unwrap().own_witness(&federation).is_some()
    };
    for key in [
        "federation.example",
        "federation.example/w",
        "Federation.Example/w",
        "w.federation.example",
        "federation.example:9",
        "federation.example:9/w",
        "federation.example./w",
        "federation.example.",
        "w.FEDERATION.example.:443/w:1",
    ] {
        assert!(own(key), "{key}");
    }
    for key in ["other.example/federation.example", "afederation.example/w", "federation.example.org", "w.example:9/w"]
    {
        assert!(!own(key), "{key}");
    }
}
