//! `cargo xtask bench policy`: how long a decision takes, over federations of different sizes, beside a full scan and
//! beside Cedar. Medians over rounds that are interleaved; every figure is of one core, for one decision.
//!
//! | module | holds |
//! |---|---|
//! | `measure` | rounds, medians, and what machine it was |
//! | `peer` | the same question as a Cedar policy |
#![expect(clippy::print_stdout, reason = "a measurement is its output")]
#![expect(clippy::expect_used, reason = "measurements end loudly")]

mod measure;
mod peer;

use std::hint::black_box;
use std::sync::Arc;

use comity_bench::{Asked, Federation, asked, tables};
use comity_policy::index::Answer;
use comity_policy::{Index, Request, Tables, Verdict, evaluate};

use measure::{Machine, Series};
use peer::Peer;

/// Rounds of each measurement: the median of so many is steady on a shared machine.
const ROUNDS: usize = 15;
/// How often an index is made.
const BUILDS: usize = 5;
/// Sizes of federations, in offers.
const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
/// The size over which the peer is asked: it takes its time.
const PEER_SIZE: usize = 10_000;
/// Most allocations of a decision over any number of offers, counted for requests that were seen before.
const MOST_ALLOCATIONS: u64 = 64;

fn main() {
    println!("{}", Machine::here());
    println!();
    println!("| offers | a decision, all requests' median | µs | ns per offer | spread of medians by request, µs |");
    println!("|--:|---|--:|--:|---|");
    let asked = asked(tables());
    for size in SIZES {
        measure_size(size, &asked);
    }
    println!();
    compare_with_peer(&asked);
}

/// A federation, and an index of it.
struct Subject {
    federation: Federation,
    index: Index,
}

impl Subject {
    fn of(size: usize) -> Self {
        let federation = Federation::of(size);
        Self { index: indexed(&federation, Arc::new(tables().clone())), federation }
    }

    fn rebuilt(&self) -> Index {
        indexed(&self.federation, self.index.tables())
    }

    /// Every kind of request by every caller.
    fn requests<'a>(&'a self, asked: &'a [Asked]) -> Vec<Request<'a>> {
        let callers = self.federation.callers.iter();
        let callers: Vec<_> = callers.filter_map(|caller| self.index.organisation(&caller.trust_domain)).collect();
        asked.iter().flat_map(|one| callers.iter().map(|caller| one.by(caller, None))).collect()
    }
}

fn indexed(federation: &Federation, tables: Arc<Tables>) -> Index {
    let members = federation.operators.iter().chain(&federation.callers).cloned();
    Index::new(members, federation.offers.iter().cloned(), tables)
}

fn measure_size(size: usize, asked: &[Asked]) {
    let (subject, mut building) = (Subject::of(size), Series::default());
    for _ in 0..BUILDS {
        building.time(|| black_box(subject.rebuilt()));
    }
    report(size, "an index, made when an offer or an organisation changes", &[building]);
    let (index, requests) = (&subject.index, subject.requests(asked));
    let (all, set): (&Decide<'_>, &Decide<'_>) =
        (&|request| all_reasons(&index.ask(request)), &|request| eligible_set(&index.ask(request)));
    let (keep, demands, everything): Forgets<'_> = (&|| {}, &|| index.forget_demands(), &|| index.forget());
    let kinds = [
        ("all reasons, seen before", keep, all),
        ("all reasons, demanded for the first time", demands, all),
        ("all reasons, the first request at all", everything, all),
        ("eligible set alone, seen before", keep, set),
        ("eligible set alone, demanded for the first time", demands, set),
        ("eligible set alone, the first request at all", everything, set),
    ];
    for (name, forget, decide) in kinds {
        let mut series: Vec<Series> = requests.iter().map(|_| Series::default()).collect();
        requests.iter().for_each(decide);
        for _ in 0..ROUNDS {
            for (request, series) in requests.iter().zip(&mut series) {
                forget();
                series.time(|| decide(request));
            }
        }
        report(size, name, &series);
    }
    let mut scan = Series::default();
    for request in requests.iter().take(8) {
        scan.time(|| {
            for place in 0..index.len() {
                let (offer, operator) = (index.offer(place).expect("there"), index.operator(place).expect("there"));
                black_box(evaluate(offer, operator, request, tables()));
            }
        });
    }
    report(size, "all reasons in words, offer by offer", &[scan]);
    let eligible: usize = requests.iter().map(|request| index.ask(request).eligible_count()).sum();
    let allocated = requests.iter().map(|request| {
        eligible_set(&index.ask(request));
        allocation_counter::measure(|| eligible_set(&index.ask(request))).count_total
    });
    let allocated = allocated.max().unwrap_or(0);
    assert!(allocated <= MOST_ALLOCATIONS, "{allocated} allocations for one decision over {size} offers");
    println!(
        "| {size} | of them eligible, on average {}; allocations of a decision seen before: {allocated}; classes: {} | | | |",
        eligible / requests.len(),
        index.classes(),
    );
}

/// One way to decide on a request.
type Decide<'a> = dyn Fn(&Request<'_>) + 'a;

/// What is forgotten before a decision, which is no part of it: nothing, what was demanded, everything.
type Forgets<'a> = (&'a dyn Fn(), &'a dyn Fn(), &'a dyn Fn());

/// The codes of every reason against every offer.
fn all_reasons(answer: &Answer<'_>) {
    let _codes = black_box(answer.all_codes());
}

/// Which offers are eligible.
fn eligible_set(answer: &Answer<'_>) {
    let _count = black_box(answer.eligible_count());
}

fn report(size: usize, name: &str, series: &[Series]) {
    let mut medians: Vec<f64> = series.iter().map(Series::median_micros).collect();
    medians.sort_by(f64::total_cmp);
    let median = medians.get(medians.len() / 2).copied().unwrap_or_default();
    let (least, most) = (medians.first().copied().unwrap_or_default(), medians.last().copied().unwrap_or_default());
    let each = median * 1_000.0 / size as f64;
    println!("| {size} | {name} | {median:.1} | {each:.2} | {least:.1} to {most:.1} |");
}

/// The same question to both, over the same offers: the answers have to agree before times are compared.
fn compare_with_peer(asked: &[Asked]) {
    let subject = Subject::of(PEER_SIZE);
    let Some(one) = asked.get(peer::ASKED) else { return };
    let caller = subject.federation.callers.first().and_then(|one| subject.index.organisation(&one.trust_domain));
    let request = one.by(caller.expect("callers are members"), None);
    let peer = Peer::new(&subject.index, &request);
    let answer = subject.index.ask(&request);
    for place in 0..subject.index.len() {
        let (offer, operator) =
            (subject.index.offer(place).expect("there"), subject.index.operator(place).expect("there"));
        let ours = matches!(evaluate(offer, operator, &request, tables()), Verdict::Eligible { .. });
        assert_eq!(answer.is_eligible(place), ours, "offer {place}");
        assert_eq!(peer.allows(place), ours, "offer {place}: the peer decides otherwise");
    }
    let [mut theirs, mut again, mut first, mut fresh] = [const { Series::new() }; 4];
    let decide = || all_reasons(&subject.index.ask(&request));
    for _ in 0..ROUNDS {
        theirs.time(|| black_box((0..PEER_SIZE).filter(|place| peer.allows(*place)).count()));
        for series in [&mut first, &mut fresh] {
            subject.index.forget();
            series.time(decide);
        }
        again.time(decide);
    }
    println!(
        "One decision over {PEER_SIZE} offers ({}), {} eligible, both agree on every one:",
        one.about,
        answer.eligible_count()
    );
    println!();
    println!("| | µs | ratio to Cedar, median of paired rounds |");
    println!("|---|--:|--:|");
    println!(
        "| Cedar 4, `is_authorized` for each offer, entities made beforehand, no reasons | {:.0} | 1 |",
        theirs.median_micros()
    );
    let ours = [
        ("never seen, and the peer's data in the processor's caches", first),
        ("never seen, after a decision of ours", fresh),
        ("seen before", again),
    ];
    for (name, ours) in ours {
        let (micros, ratio) = (ours.median_micros(), theirs.paired_ratio(&ours));
        println!("| index, all reasons, {name} | {micros:.1} | 1 / {ratio:.0} |");
    }
}
