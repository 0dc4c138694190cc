//! A log and its witnesses over real sockets: what they sign, what they never sign, and who is believed.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use comity_runtime::clock::SystemClock;
use comity_runtime::tasks::Tasks;
use comity_runtime::web::{self, Answer, Endpoint};
use comity_transparency::policy::Policy;
use comity_transparency::proof::{consistency, prefix, root};
use comity_transparency::tile::Tiles;
use comity_transparency::witness::{AddCheckpoint, Evidence, Finding, ResponseError};
use comity_transparency::{Checkpoint, CheckpointNote, LogKey};
use comity_types::Digest;
use http::StatusCode;
use tempfile::TempDir;

use super::*;
use crate::station::WitnessedLog;

const ORIGIN: &str = "fed.example/decisions/b1";

/// A log in memory.
struct Log {
    origin: &'static str,
    key: LogKey,
    tiles: Tiles,
}

impl Log {
    fn new() -> Self {
        Self::named(ORIGIN)
    }

    fn named(origin: &'static str) -> Self {
        Self { origin, key: LogKey::generate(origin).unwrap(), tiles: Tiles::default() }
    }

    fn grow(&mut self, leaves: &[&str]) -> CheckpointNote {
        leaves.iter().for_each(|leaf| self.tiles.push(Digest::of(leaf.as_bytes())));
        self.published()
    }

    fn published(&self) -> CheckpointNote {
        let size = self.tiles.size();
        let checkpoint = Checkpoint { origin: self.origin.into(), size, root: root(&self.tiles, size).unwrap() };
        CheckpointNote::parse(&self.key.sign(&checkpoint, Some(1)).unwrap()).unwrap()
    }

    /// A copy with the same key that can go another way.
    fn restored(&self) -> Self {
        let [plain, post_quantum] = self.key.to_pkcs8().unwrap();
        let key = LogKey::from_pkcs8(self.origin, &plain, &post_quantum).unwrap();
        Self { origin: self.origin, key, tiles: self.tiles.clone() }
    }

    fn known(&self) -> Vec<WitnessedLog> {
        vec![(self.origin.into(), self.key.verifiers().to_vec())]
    }
}

impl Proofs for Log {
    async fn consistency(&self, old: u64, new: u64) -> Option<Vec<Digest>> {
        consistency(&self.tiles, old, new).unwrap()
    }

    async fn prefix(&self, old: u64, new: u64) -> Option<Vec<Digest>> {
        prefix(&self.tiles, old, new).unwrap()
    }
}

/// Witnesses that are served, and the policy that counts `needed` of them.
struct World {
    dirs: Vec<TempDir>,
    stations: Vec<Arc<Station>>,
    lines: Vec<String>,
    tasks: Vec<Tasks>,
}

impl World {
    async fn new(log: &Log, number: usize) -> Self {
        let mut world = Self { dirs: Vec::new(), stations: Vec::new(), lines: Vec::new(), tasks: Vec::new() };
        for place in 0..number {
            let dir = tempfile::tempdir().unwrap();
            let station = station(dir.path(), &format!("org-{place}.example/n1/witness"), log).unwrap();
            let url = {
                let endpoint = Endpoint::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
                let (url, tasks) = (format!("http://{}", endpoint.local_addr()), Tasks::new());
                station.serve(endpoint, &tasks);
                world.tasks.push(tasks);
                url
            };
            let key = &station.verifiers()[place % 2];
            world.lines.push(format!("witness w{place} {key} {url}\n"));
            world.dirs.push(dir);
            world.stations.push(station);
        }
        world
    }

    /// Its circle, for `log`: so many have to cosign.
    fn circle(&self, log: &Log, needed: usize) -> Circle {
        circle(log, &self.lines.concat(), self.lines.len(), needed).unwrap()
    }

    async fn stop(&mut self, place: usize) {
        let _ended = self.tasks[place].close(std::time::Duration::from_secs(20)).await;
    }
}

fn station(dir: &Path, name: &str, log: &Log) -> Result<Arc<Station>, StationError> {
    Station::open(dir, name, log.known(), Arc::new(SystemClock)).map(Arc::new)
}

fn circle(log: &Log, lines: &str, number: usize, needed: usize) -> Result<Circle, CircleError> {
    let members: Vec<_> = (0..number).map(|place| format!("w{place}")).collect();
    let text = format!("{lines}group all {needed} {}\nquorum all\n", members.join(" "));
    let policy = Policy::parse(text.as_bytes()).unwrap();
    Circle::new(policy, log.key.verifiers().to_vec(), &"fed.example".parse().unwrap(), &web::client(None).unwrap())
}

fn silent(why: Silence) -> Silent {
    Silent { origin: ORIGIN.into(), why }
}

/// A witness that answers as it likes.
async fn liar(answer: impl Fn(bool) -> Answer + Send + Sync + 'static) -> (String, Tasks) {
    let endpoint = Endpoint::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (tasks, url) = (Tasks::new(), format!("http://{}", endpoint.local_addr()));
    endpoint.serve("liar", &tasks, move |request| {
        let answer = answer(request.method() == http::Method::POST);
        async move { answer }
    });
    (url, tasks)
}

fn name(missed: &[(comity_transparency::policy::Octets, Missed)]) -> Vec<String> {
    missed.iter().map(|(name, _)| name.to_string()).collect()
}

#[tokio::test]
async fn whatever_a_log_publishes_is_cosigned_by_all_and_holds_for_strangers() {
    let mut log = Log::new();
    let world = World::new(&log, 3).await;
    let mut circle = world.circle(&log, 3);
    for leaves in [&[][..], &["a"], &["b", "c"], &["d"]] {
        let round = circle.ask(&log.grow(leaves), &log).await.unwrap();
        assert!(round.judgement.quorum_met && round.missed.is_empty(), "{:?}", round.missed);
        let stranger = Policy::parse(format!("{}quorum w1\n", world.lines.concat()).as_bytes()).unwrap();
        let judged = stranger.judge_of(log.key.verifiers(), &round.note).unwrap();
        assert!(judged.quorum_met && judged.cosigned_by.len() == 3);
    }
}

#[tokio::test]
async fn monitors_read_what_was_cosigned_and_nothing_else_is_there() {
    let mut log = Log::new();
    let world = World::new(&log, 1).await;
    let client = WitnessClient::new(web::client(None).unwrap(), world.lines[0].trim().rsplit(' ').next().unwrap());
    let client = client.unwrap();
    assert_eq!(client.latest(ORIGIN).await, Ok(None));
    let published = log.grow(&["a", "b"]);
    let _round = world.circle(&log, 1).ask(&published, &log).await.unwrap();
    let shown = client.latest(ORIGIN).await.unwrap().unwrap();
    assert_eq!(shown.checkpoint(), published.checkpoint());
    assert!(world.stations[0].verifiers().iter().all(|key| shown.signed_by(key).unwrap().is_some()));
    assert_eq!(client.latest("another.example/log").await, Ok(None));
}

#[tokio::test]
async fn a_witness_that_is_away_is_missed_left_alone_and_asked_again() {
    let mut log = Log::new();
    let mut world = World::new(&log, 3).await;
    let mut circle = world.circle(&log, 2);
    world.stop(1).await;
    let round = circle.ask(&log.grow(&["a"]), &log).await.unwrap();
    assert!(round.judgement.quorum_met);
    assert!(matches!(&round.missed[..], [(_, Missed::Call(CallError::Unreachable(_)))]), "{:?}", round.missed);
    let round = circle.ask(&log.grow(&["b"]), &log).await.unwrap();
    assert!(round.judgement.quorum_met && matches!(&round.missed[..], [(_, Missed::Resting)]));
    circle.wake();
    let round = circle.ask(&log.grow(&["c"]), &log).await.unwrap();
    assert!(matches!(&round.missed[..], [(_, Missed::Call(_))]), "it was asked");
    assert_eq!(name(&round.missed), ["w1"]);
}

#[tokio::test]
async fn a_log_that_was_restored_from_an_old_copy_is_told_how_far_it_was() {
    let mut log = Log::new();
    let world = World::new(&log, 2).await;
    log.grow(&["a", "b"]);
    let old = log.restored();
    let ahead = log.grow(&["c"]);
    let _round = world.circle(&log, 2).ask(&ahead, &log).await.unwrap();
    let round = world.circle(&old, 2).ask(&old.published(), &old).await.unwrap();
    assert!(!round.judgement.quorum_met, "no witness cosigns what it has seen more of");
    for (_, missed) in &round.missed {
        let Missed::Ahead(note) = missed else { panic!("{missed:?}") };
        assert_eq!(note.checkpoint(), ahead.checkpoint());
    }
    let empty = Log { tiles: Tiles::default(), ..log.restored() };
    let round = world.circle(&empty, 1).ask(&empty.published(), &empty).await.unwrap();
    assert!(matches!(round.missed[..], [(_, Missed::Ahead(_)), _]), "an empty log was not always empty");
}

#[tokio::test]
async fn a_fork_is_cosigned_by_nobody_and_both_sides_have_evidence_that_a_stranger_can_check() {
    let mut log = Log::new();
    let world = World::new(&log, 2).await;
    log.grow(&["a", "b"]);
    let mut forked = log.restored();
    let _round = world.circle(&log, 2).ask(&log.grow(&["c"]), &log).await.unwrap();
    let round = world.circle(&forked, 1).ask(&forked.grow(&["C"]), &forked).await.unwrap();
    assert!(!round.judgement.quorum_met);
    for (_, missed) in &round.missed {
        let Missed::Fork(evidence) = missed else { panic!("{missed:?}") };
        assert_eq!(evidence.check(log.key.verifiers()), Ok(Finding::Fork));
    }
    let files = Home::open(world.dirs[0].path(), "org-0.example/n1/witness").unwrap().0.evidence().unwrap();
    let kept: Evidence = std::fs::read_to_string(&files[0]).unwrap().parse().unwrap();
    assert_eq!((files.len(), kept.check(log.key.verifiers())), (1, Ok(Finding::Fork)));
    // Neither branch is cosigned from here on, also by a witness that starts again: one of the two is a lie.
    assert_eq!(*world.stations[0].silent().borrow(), [silent(Silence::Contradicted)]);
    let round = world.circle(&log, 1).ask(&log.grow(&["d"]), &log).await.unwrap();
    assert!(
        round.missed.iter().all(|(_, why)| matches!(why, Missed::Refused { status: 422, .. })),
        "{:?}",
        round.missed
    );
    let again = station(world.dirs[0].path(), "org-0.example/n1/witness", &log).unwrap();
    assert_eq!(*again.silent().borrow(), [silent(Silence::Contradicted)]);
}

#[tokio::test]
async fn evidence_that_is_not_what_was_kept_silences_the_witness_on_that_log_and_on_no_other() {
    let (mut log, mut other) = (Log::new(), Log::named("fed.example/log"));
    let world = World::new(&log, 1).await;
    log.grow(&["a", "b"]);
    let mut forked = log.restored();
    let _round = world.circle(&log, 1).ask(&log.grow(&["c"]), &log).await.unwrap();
    let _round = world.circle(&forked, 1).ask(&forked.grow(&["C", "D"]), &forked).await.unwrap();
    let name = "org-0.example/n1/witness";
    let file = Home::open(world.dirs[0].path(), name).unwrap().0.evidence().unwrap().remove(0);
    let both = || [log.known(), other.known()].concat();
    let opened = || Station::open(world.dirs[0].path(), name, both(), Arc::new(SystemClock)).unwrap();
    let shown = opened().published(&comity_transparency::witness::monitoring_path(ORIGIN));
    assert_eq!(shown.status, StatusCode::NOT_FOUND, "a witness that convicted a log signs nothing of it at its start");
    let kept = std::fs::read(&file).unwrap();
    // Where the last hash of the proof is gone, what is left would be a doubt and no proof.
    for length in (kept.len() / 2..kept.len()).rev() {
        std::fs::write(&file, &kept[..length]).unwrap();
        assert_eq!(*opened().silent().borrow(), [silent(Silence::Evidence)], "{length} bytes of it");
    }
    let again = opened();
    let advance = |old, note| AddCheckpoint::new(old, vec![], note).unwrap().to_string();
    let of_it = advance(3, log.published());
    assert_eq!(again.add_checkpoint(of_it.as_bytes()).status, StatusCode::UNPROCESSABLE_ENTITY);
    let shown = again.published(&comity_transparency::witness::monitoring_path(ORIGIN));
    assert_eq!(shown.status, StatusCode::NOT_FOUND);
    let of_another = advance(0, other.grow(&["x"]));
    assert_eq!(again.add_checkpoint(of_another.as_bytes()).status, StatusCode::OK, "it goes on for others");

    // What names no log at all may be about any of them.
    std::fs::write(&file, "").unwrap();
    let both = [log.known(), other.known()].concat();
    let silent_on_both = |file: &Path| {
        let again = Station::open(world.dirs[0].path(), name, both.clone(), Arc::new(SystemClock)).unwrap();
        let silent = again.silent().borrow().clone();
        assert!(silent.len() == 2 && silent.iter().all(|log| log.why == Silence::Evidence), "{}", file.display());
    };
    silent_on_both(&file);
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    silent_on_both(&file);
}

#[tokio::test]
async fn evidence_against_a_log_that_is_no_longer_witnessed_silences_none() {
    let (mut log, other) = (Log::new(), Log::named("fed.example/log"));
    let world = World::new(&log, 1).await;
    let mut forked = log.restored();
    let _round = world.circle(&log, 1).ask(&log.grow(&["c"]), &log).await.unwrap();
    let _round = world.circle(&forked, 1).ask(&forked.grow(&["C"]), &forked).await.unwrap();
    let name = "org-0.example/n1/witness";
    let again = Station::open(world.dirs[0].path(), name, other.known(), Arc::new(SystemClock)).unwrap();
    assert_eq!(*again.silent().borrow(), []);
}

#[tokio::test]
async fn a_damaged_doubt_silences_nobody() {
    let mut log = Log::new();
    let world = World::new(&log, 1).await;
    let _round = world.circle(&log, 1).ask(&log.grow(&["a", "b"]), &log).await.unwrap();
    let wrong = AddCheckpoint::new(2, vec![Digest::of(b"wrong"); 2], log.grow(&["more"])).unwrap().to_string();
    assert_eq!(world.stations[0].add_checkpoint(wrong.as_bytes()).status, StatusCode::UNPROCESSABLE_ENTITY);
    let name = "org-0.example/n1/witness";
    let doubt = Home::open(world.dirs[0].path(), name).unwrap().0.doubts().unwrap().remove(0);
    std::fs::write(&doubt, "damaged").unwrap();
    let again = station(world.dirs[0].path(), name, &log).unwrap();
    assert_eq!(*again.silent().borrow(), []);
}

#[tokio::test]
async fn what_convicts_a_log_counts_where_it_cannot_be_kept_and_is_kept_when_it_can() {
    let mut log = Log::new();
    let world = World::new(&log, 1).await;
    let _round = world.circle(&log, 1).ask(&log.grow(&["a"]), &log).await.unwrap();
    let evidence = world.dirs[0].path().join("evidence");
    std::fs::remove_dir(&evidence).unwrap();
    let mut forked = Log { tiles: Tiles::default(), ..log.restored() };
    let request = |log: &mut Log, old, leaf| AddCheckpoint::new(old, vec![], log.grow(&[leaf])).unwrap().to_string();
    let forking = request(&mut forked, 1, "b");
    let station_0 = &world.stations[0];
    assert_eq!(station_0.add_checkpoint(forking.as_bytes()).status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!station_0.is_evidence_kept());
    let round = world.circle(&log, 1).ask(&log.grow(&["c"]), &log).await.unwrap();
    assert!(matches!(&round.missed[..], [(_, Missed::Refused { status: 422, .. })]), "{:?}", round.missed);
    std::fs::create_dir(&evidence).unwrap();
    assert!(station_0.is_evidence_kept());
    let again = station(world.dirs[0].path(), "org-0.example/n1/witness", &log).unwrap();
    assert_eq!(*again.silent().borrow(), [silent(Silence::Contradicted)]);
}

#[tokio::test]
async fn one_proof_convicts_and_more_of_them_fill_no_disk() {
    let mut log = Log::new();
    let world = World::new(&log, 1).await;
    log.grow(&["a"]);
    let _round = world.circle(&log, 1).ask(&log.published(), &log).await.unwrap();
    for leaf in ["b", "c", "d"] {
        let mut forked = Log { tiles: Tiles::default(), ..log.restored() };
        let request = AddCheckpoint::new(1, vec![], forked.grow(&[leaf])).unwrap().to_string();
        assert_eq!(world.stations[0].add_checkpoint(request.as_bytes()).status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let (home, _) = Home::open(world.dirs[0].path(), "org-0.example/n1/witness").unwrap();
    assert_eq!(home.evidence().unwrap().len(), 1);
}

#[tokio::test]
async fn a_witness_that_was_shown_more_than_is_published_is_asked_again_at_once() {
    let mut log = Log::new();
    let world = World::new(&log, 1).await;
    let mut circle = world.circle(&log, 1);
    let before = log.grow(&["a"]);
    let old = log.restored();
    // Somebody got a checkpoint that is signed and not published yet, and showed it to the witness.
    let shown = log.grow(&["b"]);
    let path = consistency(&log.tiles, 0, 2).unwrap().unwrap();
    let request = AddCheckpoint::new(0, path, shown).unwrap().to_string();
    assert_eq!(world.stations[0].add_checkpoint(request.as_bytes()).status, StatusCode::OK);
    let round = circle.ask(&before, &old).await.unwrap();
    assert!(matches!(&round.missed[..], [(_, Missed::Ahead(_))]), "{:?}", round.missed);
    let round = circle.ask(&log.grow(&["c"]), &log).await.unwrap();
    assert!(round.judgement.quorum_met, "{:?}", round.missed);
}

#[tokio::test]
async fn two_branches_shown_to_two_witnesses_never_both_find_a_quorum() {
    let mut log = Log::new();
    let world = World::new(&log, 3).await;
    let mut forked = log.restored();
    // Each branch is shown to one witness first, and then to all.
    let lines = |place: usize| world.lines[place].replace(&format!("witness w{place}"), "witness w0");
    let _first = circle(&log, &lines(0), 1, 1).unwrap().ask(&log.grow(&["a"]), &log).await.unwrap();
    let _other = circle(&forked, &lines(1), 1, 1).unwrap().ask(&forked.grow(&["A"]), &forked).await.unwrap();
    let one = world.circle(&log, 2).ask(&log.published(), &log).await.unwrap();
    let two = world.circle(&forked, 2).ask(&forked.published(), &forked).await.unwrap();
    assert!(!(one.judgement.quorum_met && two.judgement.quorum_met));
    let forks = |round: &Round| round.missed.iter().any(|(_, why)| matches!(why, Missed::Fork(_)));
    assert!(forks(&one) && forks(&two), "{:?} {:?}", one.missed, two.missed);
}

#[tokio::test]
async fn a_witness_that_lies_stops_no_log_and_counts_for_nothing() {
    let mut log = Log::new();
    let world = World::new(&log, 1).await;
    let key = &world.stations[0].verifiers()[0];
    let policy = |url: &str| format!("witness w0 {key} {url}\n");
    let (ahead, _tasks) = liar(|adds| match adds {
        true => Answer { status: StatusCode::CONFLICT, content_type: "text/x.tlog.size", body: "1000\n".into() },
        false => Answer::text(StatusCode::NOT_FOUND, "no"),
    })
    .await;
    let published = log.grow(&["a"]);
    let round = circle(&log, &policy(&ahead), 1, 1).unwrap().ask(&published, &log).await.unwrap();
    assert!(matches!(&round.missed[..], [(_, Missed::SaysAhead { size: 1000 })]), "{:?}", round.missed);
    // Another's note of the same name is no word of this log.
    let mut other = Log::new();
    let other = other.grow(&["x", "y", "z"]).to_string();
    let (pretends, _tasks) = liar(move |adds| match adds {
        true => Answer::text(StatusCode::UNPROCESSABLE_ENTITY, "\u{1b}[31mno\n".repeat(100)),
        false => Answer::text(StatusCode::OK, other.clone()),
    })
    .await;
    let round = circle(&log, &policy(&pretends), 1, 1).unwrap().ask(&published, &log).await.unwrap();
    let [(_, Missed::Refused { status: 422, text })] = &round.missed[..] else { panic!("{:?}", round.missed) };
    assert!(!text.contains('\u{1b}') && text.len() <= 200);
    let (forges, _tasks) = liar(|_| Answer::text(StatusCode::OK, "— org-0.example/n1/witness AAAA\n")).await;
    let round = circle(&log, &policy(&forges), 1, 1).unwrap().ask(&published, &log).await.unwrap();
    assert!(matches!(&round.missed[..], [(_, Missed::Answer(ResponseError::Nobody | ResponseError::Malformed(_)))]));
    let (long, _tasks) = liar(|_| Answer::text(StatusCode::OK, "x".repeat(1 << 20))).await;
    let round = circle(&log, &policy(&long), 1, 1).unwrap().ask(&published, &log).await.unwrap();
    assert!(matches!(&round.missed[..], [(_, Missed::Call(CallError::Answer))]));
    assert!(!round.judgement.quorum_met);
}

#[tokio::test]
async fn a_witness_that_starts_again_remembers_what_it_signed_and_with_which_key() {
    let mut log = Log::new();
    let world = World::new(&log, 1).await;
    let mut forked = log.restored();
    let published = log.grow(&["a"]);
    let _round = world.circle(&log, 1).ask(&published, &log).await.unwrap();
    let again = station(world.dirs[0].path(), "org-0.example/n1/witness", &log).unwrap();
    assert_eq!(again.verifiers(), world.stations[0].verifiers());
    let shown = again.published(&comity_transparency::witness::monitoring_path(ORIGIN));
    assert!(shown.status == StatusCode::OK && shown.body.contains("org-0.example/n1/witness"));
    let other = forked.grow(&["A"]);
    let request = AddCheckpoint::new(1, vec![], other).unwrap().to_string();
    assert_eq!(again.add_checkpoint(request.as_bytes()).status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_witness_without_its_memory_does_not_start() {
    let log = Log::new();
    let world = World::new(&log, 1).await;
    let dir = world.dirs[0].path();
    for key in ["ed25519.key", "ml-dsa-44.key"] {
        assert_eq!(std::fs::metadata(dir.join(key)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    std::fs::remove_dir_all(dir.join("logs")).unwrap();
    let refused = station(dir, "org-0.example/n1/witness", &log).unwrap_err();
    assert!(matches!(refused, StationError::Home(HomeError::Forgotten { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_damaged_memory_is_not_taken_for_none_and_silences_the_witness_on_that_log_alone() {
    let (mut log, mut other) = (Log::new(), Log::named("fed.example/log"));
    let world = World::new(&log, 1).await;
    let _round = world.circle(&log, 1).ask(&log.grow(&["a"]), &log).await.unwrap();
    let file = world.dirs[0].path().join("logs").join(Digest::of(ORIGIN.as_bytes()).to_string());
    let damaged = std::fs::read_to_string(&file).unwrap().replace("\n1\n", "\n2\n").into_bytes();
    for damaged in [Vec::new(), damaged, vec![0xff]] {
        std::fs::write(&file, damaged).unwrap();
        let logs = [log.known(), other.known()].concat();
        let name = "org-0.example/n1/witness";
        let again = Station::open(world.dirs[0].path(), name, logs, Arc::new(SystemClock)).unwrap();
        assert_eq!(*again.silent().borrow(), [silent(Silence::Memory)]);
        let request = |note| AddCheckpoint::new(0, vec![], note).unwrap().to_string();
        let refused = again.add_checkpoint(request(log.published()).as_bytes());
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(refused.body.contains("what it signed of the log last"), "{}", refused.body);
    }
    let request = AddCheckpoint::new(0, vec![], other.grow(&["x"])).unwrap().to_string();
    let logs = [log.known(), other.known()].concat();
    let again = Station::open(world.dirs[0].path(), "org-0.example/n1/witness", logs, Arc::new(SystemClock)).unwrap();
    assert_eq!(again.add_checkpoint(request.as_bytes()).status, StatusCode::OK);
}

#[tokio::test]
async fn a_witness_that_cannot_store_signs_nothing_any_more() {
    let mut log = Log::new();
    let world = World::new(&log, 1).await;
    let mut circle = world.circle(&log, 1);
    let logs = world.dirs[0].path().join("logs");
    std::fs::remove_dir_all(&logs).unwrap();
    let round = circle.ask(&log.grow(&["a"]), &log).await.unwrap();
    assert!(matches!(&round.missed[..], [(_, Missed::Refused { status: 500, .. })]), "{:?}", round.missed);
    // What is stored is unknown: it does not go on as soon as the disk does.
    std::fs::create_dir_all(&logs).unwrap();
    circle.wake();
    let round = circle.ask(&log.grow(&["b"]), &log).await.unwrap();
    assert!(matches!(&round.missed[..], [(_, Missed::Refused { status: 500, .. })]), "{:?}", round.missed);
}

#[tokio::test]
async fn wrong_proofs_that_anybody_can_send_fill_no_disk_and_silence_no_log() {
    let mut log = Log::new();
    let world = World::new(&log, 1).await;
    let _round = world.circle(&log, 1).ask(&log.grow(&["a", "b"]), &log).await.unwrap();
    for number in 0..home::MAX_DOUBTS + 8 {
        let published = log.grow(&["more"]);
        let path = vec![Digest::of(&number.to_be_bytes()); 2];
        let request = AddCheckpoint::new(2, path, published).unwrap().to_string();
        assert_eq!(world.stations[0].add_checkpoint(request.as_bytes()).status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let (home, _) = Home::open(world.dirs[0].path(), "org-0.example/n1/witness").unwrap();
    assert_eq!((home.evidence().unwrap().len(), home.doubts().unwrap().len()), (0, home::MAX_DOUBTS));
    let round = world.circle(&log, 1).ask(&log.published(), &log).await.unwrap();
    assert!(round.judgement.quorum_met, "the log did nothing wrong: {:?}", round.missed);
}

#[tokio::test]
async fn many_at_once_advance_one_log_one_by_one() {
    let mut log = Log::new();
    let world = World::new(&log, 1).await;
    let signed = Arc::new(AtomicUsize::new(0));
    let notes: Vec<_> = ["a", "b", "c", "d"].iter().map(|leaf| log.grow(&[leaf])).collect();
    let asked = notes.iter().map(|note| {
        let path = consistency(&log.tiles, 0, note.checkpoint().size).unwrap().unwrap();
        let (station, signed) = (Arc::clone(&world.stations[0]), Arc::clone(&signed));
        let request = AddCheckpoint::new(0, path, note.clone()).unwrap().to_string();
        tokio::task::spawn_blocking(move || {
            let answer = station.add_checkpoint(request.as_bytes());
            signed.fetch_add(usize::from(answer.status == StatusCode::OK), Ordering::SeqCst);
        })
    });
    for done in asked.collect::<Vec<_>>() {
        done.await.unwrap();
    }
    assert_eq!(signed.load(Ordering::SeqCst), 1, "the others came from a size that it has no more");
}

#[test]
fn a_policy_that_is_none_for_this_log_says_what_mends_it() {
    let log = Log::new();
    let key = |name: &str| {
        let (_, keys) = Home::open(tempfile::tempdir().unwrap().path(), name).unwrap();
        keys[0].verifier().clone()
    };
    let refused = |lines: String| circle(&log, &lines, 1, 1).unwrap_err();
    let own = refused(format!("witness w0 {} http://127.0.0.1:1\n", key("fed.example/witness")));
    assert!(matches!(own, CircleError::Own { .. }), "{own}");
    let nowhere = refused(format!("witness w0 {}\n", key("org-a.example/n1/witness")));
    assert!(matches!(nowhere, CircleError::NoAddress { .. }), "{nowhere}");
    let address = refused(format!("witness w0 {} ftp://host\n", key("org-a.example/n1/witness")));
    assert!(matches!(address, CircleError::Address { .. }), "{address}");
    let [other, _] = Log::new().key.verifiers().clone();
    let line = format!("log {other}\nwitness w0 {} http://127.0.0.1:1\n", key("org-a.example/n1/witness"));
    let others = refused(line);
    assert!(others.to_string().contains(&format!("log {}", log.key.verifiers()[0])), "{others}");
}
