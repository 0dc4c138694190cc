//! What holds for every graph.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

const PARTIES: usize = 6;

fn name(index: usize) -> String {
    if index == PARTIES { SELF.into() } else { format!("p{index}") }
}

/// Who holds how many tenths of whom.
fn tenths() -> impl Strategy<Value = Vec<(usize, usize, u32)>> {
    proptest::collection::vec((0..=PARTIES, 0..PARTIES, 1..=7_u32), 1..14)
}

/// A graph of capital: holders have lower numbers than what they hold, so that there is no circle, unless circles
/// are asked for. What is left over of a subject is free float if all is to be disclosed.
fn ownership(tenths: &[(usize, usize, u32)], circles: bool, disclosed: bool, width: u32) -> Ownership {
    let mut held: BTreeMap<(usize, usize), u32> = BTreeMap::new();
    for (subject, holder, share) in tenths.iter().copied() {
        let of_subject: u32 = held.iter().filter(|((one, _), _)| *one == subject).map(|(_, share)| share).sum();
        if subject != holder && (circles || holder < subject) && !held.contains_key(&(subject, holder)) {
            let share = share.min(10 - of_subject);
            if share > 0 {
                held.insert((subject, holder), share);
            }
        }
    }
    let tenth = WHOLE / 10;
    let share = |tenths: u32| {
        let (least, most) = ((tenths * tenth).saturating_sub(width), (tenths * tenth + width).min(WHOLE));
        Share::new(least, most).unwrap()
    };
    let mut stakes = Vec::new();
    for ((subject, holder), tenths) in &held {
        let (subject, holder) = (name(*subject), name(*holder));
        let (interest, directness) = (Interest::Shareholding, Default::default());
        stakes.push(Stake { subject, holder, interest, share: share(*tenths), directness });
    }
    let mut parties: BTreeMap<_, _> = (0..PARTIES).map(|index| (name(index), Party::default())).collect();
    if disclosed {
        parties.insert("float".into(), Party { kind: PartyKind::Dispersed, ..Party::default() });
        for subject in 0..=PARTIES {
            let known: u32 = held.iter().filter(|((one, _), _)| *one == subject).map(|(_, share)| share).sum();
            if known > 0 && known < 10 {
                let (subject, holder, share) = (name(subject), "float".into(), share(10 - known));
                stakes.push(Stake {
                    subject,
                    holder,
                    interest: Interest::Shareholding,
                    share,
                    directness: Default::default(),
                });
            }
        }
    }
    Ownership::new(parties, stakes).unwrap()
}

fn measure() -> impl Strategy<Value = Measure<'static>> {
    let comparison = select(vec![Comparison::MoreThan, Comparison::AtLeast]);
    let indirect = select(vec![Indirect::Cascade, Indirect::LookThrough]);
    let threshold = select(vec![1_000, 2_000, 2_500, 4_000, 5_000, 5_001, 9_000, 10_000]);
    (comparison, indirect, threshold, any::<bool>()).prop_map(|(comparison, indirect, threshold_bp, aggregate)| {
        Measure { comparison, threshold_bp, aggregate, indirect, ..MORE_THAN_HALF }
    })
}

fn some_taints() -> impl Strategy<Value = Vec<Taint>> {
    proptest::collection::vec(select(vec![Taint::No, Taint::No, Taint::Maybe, Taint::Yes]), PARTIES)
}

fn by(taints: &[Taint]) -> impl Fn(&str, &Party) -> Taint + '_ {
    |name, _| {
        name.strip_prefix('p').and_then(|index| taints.get(index.parse::<usize>().ok()?).copied()).unwrap_or(Taint::No)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn what_is_known_in_full_is_judged_as_the_reference_does(
        tenths in tenths(), measure in measure(), tainted in proptest::collection::vec(any::<bool>(), PARTIES)
    ) {
        let graph = ownership(&tenths, false, true, 0);
        let is_held = graph.stakes.iter().any(|stake| stake.subject == SELF);
        prop_assume!(is_held);
        let taints: Vec<_> = tainted.iter().map(|one| if *one { Taint::Yes } else { Taint::No }).collect();
        let is_tainted = |name: &str| by(&taints)(name, &Party::default()) == Taint::Yes;
        let of = |tainted: &dyn Fn(&str) -> bool| match measure.indirect {
            Indirect::Cascade => reference::cascaded(&graph, SELF, &measure, tainted),
            Indirect::LookThrough => of_whole(reference::multiplied(&graph, SELF, Interest::Shareholding, tainted)),
        };
        let alone = |one: usize| of(&|other: &str| other == name(one));
        let share = if measure.aggregate {
            of(&is_tainted)
        } else {
            (0..PARTIES).filter(|one| is_tainted(&name(*one))).map(alone).max().unwrap_or(0)
        };
        let expected = if measure.is_crossed_by(share) { Taint::Yes } else { Taint::No };
        prop_assert_eq!(judged_by(&graph, &measure, by(&taints)), expected, "{} millionths of {:?}", share, graph);
    }

    #[test]
    fn one_more_tainted_party_never_lowers_the_answer(
        tenths in tenths(), measure in measure(), taints in some_taints(), which in any::<Index>(),
        circles in any::<bool>(), disclosed in any::<bool>(), width in select(vec![0, 50_000, 200_000])
    ) {
        let graph = ownership(&tenths, circles, disclosed, width);
        let before = judged_by(&graph, &measure, by(&taints));
        for worse in [Taint::Maybe, Taint::Yes] {
            let mut more = taints.clone();
            let one = which.get_mut(&mut more);
            *one = worse.max(*one);
            prop_assert!(judged_by(&graph, &measure, by(&more)) >= before, "{:?}", graph);
        }
    }

    /// Knowing less settles less: an answer stays, or becomes open, and never turns into another one. So widening
    /// never turns yes into no, no into yes, or open into either.
    #[test]
    fn a_wider_range_leaves_the_answer_or_opens_it(
        tenths in tenths(), measure in measure(), taints in some_taints(), which in any::<Index>(),
        circles in any::<bool>(), disclosed in any::<bool>(), (down, up) in (0..300_000_u32, 0..300_000_u32)
    ) {
        let graph = ownership(&tenths, circles, disclosed, 20_000);
        prop_assume!(!graph.stakes.is_empty());
        let before = judged_by(&graph, &measure, by(&taints));
        let mut wider = graph.clone();
        let share = &mut which.get_mut(&mut wider.stakes).share;
        *share = Share::new(share.least().saturating_sub(down), (share.most() + up).min(WHOLE)).unwrap();
        let after = judged_by(&wider, &measure, by(&taints));
        prop_assert!(after == before || after == Taint::Maybe, "{:?} became {:?}: {:?}", before, after, graph);
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number from 0 to 1,000,000")]
pub(super) fn of_whole(share: f64) -> u32 {
    (share * f64::from(WHOLE)).round() as u32
}
