//! Whatever logs do, and wherever the witness stops, it never signs two checkpoints that contradict each other.

use proptest::prelude::*;

use super::*;

/// Three pasts of one log: the second and third leave the first at some leaf.
const BRANCHES: usize = 3;
/// Most leaves of one past.
const LEAVES: u64 = 24;

#[derive(Debug, Clone)]
struct Step {
    branch: usize,
    size: u64,
    /// What the client says that the witness has: nothing for what it really has.
    old: Option<u64>,
    path: Path,
    signer: Author,
    end: End,
}

#[derive(Debug, Clone, Copy)]
enum Path {
    /// The past's own.
    Right,
    /// Another past's.
    OfBranch(usize),
    /// One hash changed.
    Changed(usize),
    Shorter,
    Longer,
    /// From elsewhere in the same past.
    From(u64),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Author {
    Log,
    Stranger,
    Forger,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Signs,
    StoreFails,
    /// The machine stops after the disk has it and before anything is signed.
    StopsBeforeSigning,
    /// And after.
    StopsAfterSigning,
}

fn step() -> impl Strategy<Value = Step> {
    let path = prop_oneof![
        6 => Just(Path::Right),
        1 => (0..BRANCHES).prop_map(Path::OfBranch),
        1 => any::<usize>().prop_map(Path::Changed),
        1 => Just(Path::Shorter),
        1 => Just(Path::Longer),
        1 => (0..=LEAVES).prop_map(Path::From),
    ];
    let author = prop_oneof![12 => Just(Author::Log), 1 => Just(Author::Stranger), 1 => Just(Author::Forger)];
    let end = prop_oneof![
        6 => Just(End::Signs),
        1 => Just(End::StoreFails),
        1 => Just(End::StopsBeforeSigning),
        1 => Just(End::StopsAfterSigning)
    ];
    let old = prop_oneof![3 => Just(None), 1 => (0..=LEAVES).prop_map(Some)];
    (0..BRANCHES, 0..=LEAVES, old, path, author, end).prop_map(|(branch, size, old, path, signer, end)| Step {
        branch,
        size,
        old,
        path,
        signer,
        end,
    })
}

struct Model {
    log: LogKey,
    stranger: LogKey,
    own: Secret,
    branches: Vec<Leaves>,
    witness: Witness,
    /// What would survive: the leaves of the checkpoint on the disk, and its note.
    disk: Option<(Leaves, String)>,
    /// The leaves of every checkpoint that was signed.
    signed: Vec<Leaves>,
}

type Secret = comity_types::Secret<Vec<u8>>;

fn witness(own: &Secret, log: &LogKey, disk: Option<&str>) -> Witness {
    let key = CosigningKey::from_pkcs8(NAME, CosignatureKind::Ed25519, own).unwrap();
    let mut witness = Witness::new(vec![key]).unwrap();
    witness.add_log(ORIGIN, log.verifiers().to_vec(), disk).unwrap();
    witness
}

impl Model {
    fn new(forks: [u64; BRANCHES]) -> Self {
        let log = LogKey::generate(ORIGIN).unwrap();
        let leaf = |branch: usize, n: u64| {
            let own = if n < forks[branch] { 0 } else { branch };
            leaf_hash(format!("{own} {n}").as_bytes())
        };
        let branches = (0..BRANCHES).map(|branch| Leaves((0..LEAVES).map(|n| leaf(branch, n)).collect())).collect();
        let own = key(CosignatureKind::Ed25519).to_pkcs8().unwrap();
        let witness = witness(&own, &log, None);
        let stranger = LogKey::generate(ORIGIN).unwrap();
        Self { log, stranger, own, branches, witness, disk: None, signed: Vec::new() }
    }

    fn stored(&self) -> Leaves {
        self.disk.as_ref().map(|(leaves, _)| leaves.clone()).unwrap_or_default()
    }

    fn path(&self, step: &Step, old: u64) -> Vec<Digest> {
        let made = |branch: usize, old: u64| {
            consistency(&self.branches[branch].first(step.size), old, step.size).unwrap().unwrap_or_default()
        };
        let mut path = made(step.branch, old);
        match step.path {
            Path::Right => {}
            Path::OfBranch(branch) => path = made(branch, old),
            Path::From(other) => path = made(step.branch, other),
            Path::Shorter => drop(path.pop()),
            Path::Longer => path.push(Digest::of(b"more")),
            Path::Changed(place) if !path.is_empty() => {
                let place = place % path.len();
                path[place] = Digest::of(b"changed");
            }
            Path::Changed(_) => {}
        }
        path
    }

    fn note(&self, step: &Step) -> CheckpointNote {
        let root = self.branches[step.branch].first(step.size).root();
        let checkpoint = Checkpoint { origin: ORIGIN.into(), size: step.size, root };
        let signer = if step.signer == Author::Stranger { &self.stranger } else { &self.log };
        let mut note = CheckpointNote::parse(&signer.sign(&checkpoint, None).unwrap()).unwrap();
        if step.signer == Author::Forger {
            let mut line = note.note().signatures()[0].clone();
            line.signature[3] ^= 1;
            note.append(line).unwrap();
        }
        note
    }

    /// The specification in terms of leaves, without any proof.
    fn expected(&self, step: &Step, old: u64, path: &[Digest]) -> u16 {
        let (stored, new) = (self.stored(), self.branches[step.branch].first(step.size));
        let size = stored.0.len() as u64;
        let right = consistency(&new, old, step.size).unwrap();
        match step.signer {
            Author::Stranger | Author::Forger => 403,
            Author::Log if old > step.size => 400,
            Author::Log if old != size => 409,
            Author::Log if new.0.starts_with(&stored.0) && right.as_deref() == Some(path) => 200,
            Author::Log => 422,
        }
    }

    fn run(&mut self, step: &Step) {
        let old = step.old.unwrap_or_else(|| self.stored().0.len() as u64);
        let path = self.path(step, old);
        let expected = self.expected(step, old, &path);
        let new = self.branches[step.branch].first(step.size);
        let request = AddCheckpoint::new(old, path, self.note(step)).unwrap();
        let (before, own) = (self.stored(), self.witness.verifiers().next().unwrap().clone());
        match self.witness.receive(request.to_string().as_bytes()) {
            Verdict::Refused(refused) => {
                assert_eq!(refused.refusal.status(), expected, "{step:?}: {}", refused.refusal);
                let fork = refused.evidence.as_ref().map(|evidence| evidence.check(self.log.verifiers()).unwrap());
                let contradicts = !new.0.starts_with(&before.0) && !before.0.starts_with(&new.0);
                let same_size = step.signer == Author::Log && contradicts && before.0.len() == new.0.len();
                assert!(!same_size || fork == Some(Finding::Fork), "{step:?}: two roots at one size are evidence");
                assert!(fork != Some(Finding::Fork) || contradicts, "{step:?}: and nothing is that did not happen");
            }
            Verdict::Advance(advance) => {
                assert_eq!(expected, 200, "{step:?}");
                let disk = &mut self.disk;
                let persisted = advance.persist(|_, note| {
                    if step.end == End::StoreFails {
                        return Err(());
                    }
                    *disk = Some((new.clone(), note.to_owned()));
                    Ok(())
                });
                assert_eq!(persisted.is_err(), step.end == End::StoreFails);
                if let Ok(persisted) = persisted
                    && step.end != End::StopsBeforeSigning
                {
                    let mut note = request.note().clone();
                    merge(&mut note, &persisted.sign(AT).unwrap(), &[own]).unwrap();
                    self.signed.push(new);
                }
            }
        }
        if matches!(step.end, End::StopsBeforeSigning | End::StopsAfterSigning) {
            self.witness = witness(&self.own, &self.log, self.disk.as_ref().map(|(_, note)| note.as_str()));
            let disk = self.stored();
            for persisted in self.witness.unpublished() {
                drop(persisted.sign(AT).unwrap());
                self.signed.push(disk.clone());
            }
        }
    }

    fn invariant_all_that_was_signed_is_one_past(&self) {
        for pair in self.signed.windows(2) {
            assert!(pair[1].0.starts_with(&pair[0].0), "it signed a past and then another");
        }
    }

    fn invariant_what_is_latest_is_on_the_disk(&self) {
        let latest = self.witness.latest(ORIGIN).map(|latest| (latest.size, latest.root));
        assert_eq!(latest, self.disk.as_ref().map(|(leaves, _)| (leaves.0.len() as u64, leaves.root())));
        assert!(self.signed.last().is_none_or(|signed| self.stored().0.starts_with(&signed.0)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn a_witness_signs_one_past_alone_and_answers_as_specified(
        forks in [0..=LEAVES, 0..=LEAVES, 0..=LEAVES],
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let mut model = Model::new(forks);
        for step in &steps {
            model.run(step);
            model.invariant_all_that_was_signed_is_one_past();
            model.invariant_what_is_latest_is_on_the_disk();
        }
    }

    #[test]
    fn no_bytes_make_a_witness_panic_or_sign(body: Vec<u8>, text in "(old |0|1|\n|=|[A-Z]{43}=|\u{2014} k |AQIDBAU=){0,20}") {
        let mut world = World::new();
        for body in [&body[..], text.as_bytes()] {
            prop_assert!(matches!(world.witness.receive(body), Verdict::Refused(_)));
        }
        drop((text.parse::<Evidence>(), conflict_size(&text)));
    }
}
