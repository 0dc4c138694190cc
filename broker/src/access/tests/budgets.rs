//! Budgets in the flow: what has no room is refused before anything is sent, what was used is what nodes signed, and what the
//! log says of it after a restart is what the broker had counted.

use std::collections::BTreeMap;

use comity_proto::error::{Detail, retry_after};
use comity_types::Money;
use futures::future::join_all;

use super::commit::PERMIT_LIFE;
use super::expiry::slow;
use super::*;
use crate::budgets::amount::Amount;
use crate::budgets::book::{Book, Key};
use crate::budgets::definition::{Budget, Dimension, Limits};
use crate::budgets::keeper::Keeper;
use crate::budgets::period::Period;

/// How many requests come at once.
const AT_ONCE: usize = 20;

fn budget(name: &str, each: &[Dimension], limits: Limits) -> Budget {
    Budget {
        name: name.parse().unwrap(),
        organisation: None,
        app: None,
        model: None,
        offer: None,
        each: each.iter().copied().collect(),
        per: (limits.all().count() > usize::from(limits.concurrent.is_some())).then_some(Period::Month),
        limits,
        output_tokens_reserved: 1_000,
    }
}

fn requests(limit: u64) -> Limits {
    Limits { requests: Some(limit), ..Limits::default() }
}

fn tokens(limit: u64) -> Limits {
    Limits { tokens: Some(limit), ..Limits::default() }
}

fn euros(micros: u64) -> Limits {
    Limits { money: Some(Money { currency: "EUR".parse().unwrap(), micros }), ..Limits::default() }
}

/// What the accounts of a budget have used, as the flow has counted it.
fn used(world: &World, place: usize) -> Amount {
    let all = world.access.parts().budgets.as_ref().unwrap();
    all.read(|book| in_use(book, place))
}

fn in_use(book: &Book, place: usize) -> Amount {
    let own = book.accounts().filter(|(key, _)| key.budget == place);
    own.fold(Amount::default(), |sum, (_, account)| sum.plus(account.current.used))
}

async fn signing(world: &World, domain: &str) -> node::Node {
    world.node_handing(domain, unsigned::ending(world.log_key.clone(), unsigned::End::sign)).await
}

async fn answered(world: &World) -> (Code, String) {
    let (_, trailers) = read(world.ask(in_germany()).await).await;
    ended(&trailers)
}

#[tokio::test]
async fn a_budget_without_room_refuses_the_request_says_which_and_no_node_sees_a_byte() {
    let world = World::under(vec![budget("two", &[Dimension::Organisation], requests(2))], Commit::Strict).await;
    let node = world.node("a.example", "DE", 1, answers("hello")).await;
    for _ in 0..2 {
        assert_eq!(answered(&world).await.0, Code::Ok);
    }
    let (_, trailers) = read(world.ask(in_germany()).await).await;
    assert_eq!(ended(&trailers), (Code::ResourceExhausted, "BUDGET_EXCEEDED".into()));
    let status = Status::from_header_map(&trailers).unwrap();
    let said = Detail::of(&status).unwrap().metadata;
    for (key, value) in [("budget", "two"), ("measure", "requests"), ("limit", "2"), ("used", "2"), ("reserved", "0")] {
        assert_eq!(said[key], value, "{key}");
    }
    let renews_at: comity_types::Timestamp = said["renews_at"].parse().unwrap();
    let wait = retry_after(&status).unwrap();
    assert!(renews_at.since(world.clock.now()) <= wait && wait <= std::time::Duration::from_secs(31 * 86_400));
    assert_eq!(node.seen().len(), 2);
    // In the month after there is room; the node's certificate has ended by then, on the last of a month as well.
    world.clock.advance(wait.max(std::time::Duration::from_secs(2 * 3600)));
    assert_eq!(answered(&world).await.1, "NODES_UNAVAILABLE");
}

#[tokio::test]
async fn requests_at_once_do_not_overdraw_a_budget() {
    for commit in [Commit::Strict, Commit::Overlapped] {
        let world = World::under(vec![budget("five", &[], requests(5))], commit).await;
        let node = world.node("a.example", "DE", 1, answers("hello")).await;
        let all = join_all((0..AT_ONCE).map(|_| answered(&world))).await;
        let refused = all.iter().filter(|(_, reason)| reason == "BUDGET_EXCEEDED").count();
        assert_eq!((node.seen().len(), refused, used(&world, 0).requests), (5, AT_ONCE - 5, 5));
    }
}

#[tokio::test]
async fn what_a_node_signed_is_used_and_what_it_did_not_sign_stands_in_full() {
    let world = World::under(vec![budget("b", &[], tokens(100_000))], Commit::Strict).await;
    let signing = signing(&world, "a.example").await;
    assert_eq!(answered(&world).await.0, Code::Ok);
    assert_eq!((used(&world, 0).input_tokens, used(&world, 0).output_tokens), (3, 4));
    world.suspend("a.example").await;
    drop(signing);
    let _unsigned = world.node("b.example", "DE", 1, answers("hello")).await;
    assert_eq!(answered(&world).await.0, Code::Ok);
    let bytes = framed(&message(in_germany())).len() as u64;
    assert_eq!((used(&world, 0).input_tokens, used(&world, 0).output_tokens), (3 + bytes + 256, 4 + 1_000));
}

/// A request whose answer may have so many tokens.
fn wanting(max_output_tokens: Option<u32>) -> Vec<u8> {
    let envelope = world::envelope(in_germany());
    framed(&world::message_of(&comity_proto::inference::Envelope { max_output_tokens, ..envelope }))
}

#[tokio::test]
async fn what_a_caller_wants_at_most_is_what_is_reserved_for_it_and_what_the_log_says_after_a_restart() {
    let of_offers = || budget("offers", &[Dimension::Offer], tokens(1_000_000));
    let limits = Limits { output_tokens: Some(100), ..Limits::default() };
    let budgets = || vec![budget("small", &[], limits.clone()), of_offers()];
    let world = World::under(budgets(), Commit::Strict).await;
    let _unsigned = world.node("a.example", "DE", 1, answers("hello")).await;
    let ask = async |most| {
        let (_, trailers) = read(world.call(Method::ChatStream, wanting(most), &[]).await).await;
        ended(&trailers)
    };
    // A thousand would be reserved, of a hundred that there are.
    assert_eq!(ask(None).await, (Code::ResourceExhausted, "BUDGET_EXCEEDED".into()));
    assert_eq!(ask(Some(85)).await.1, "BUDGET_EXCEEDED", "its node may sign 16 more");
    for _ in 0..3 {
        assert_eq!(ask(Some(16)).await.0, Code::Ok);
    }
    assert_eq!(ask(Some(16)).await, (Code::ResourceExhausted, "BUDGET_EXCEEDED".into()));
    assert_eq!((used(&world, 0).output_tokens, used(&world, 1).output_tokens), (96, 96));
    let counted = counted(&world, budgets()).await;
    assert!(counted.len() == 2 && counted.values().all(|used| used.output_tokens == 96), "{counted:?}");
}

/// Of a request and of each of its offers, tokens.
fn of_requests_and_offers() -> Vec<Budget> {
    vec![
        budget("requests", &[Dimension::Organisation], tokens(1_000_000)),
        budget("offers", &[Dimension::Offer], tokens(1_000_000)),
    ]
}

/// The accounts as the flow has counted them, which is what the log says of them.
async fn counted(world: &World, budgets: Vec<Budget>) -> BTreeMap<String, Amount> {
    let (parts, path) = (world.access.parts(), world.dir().join("budgets.anew"));
    let budgets = Arc::new(crate::budgets::definition::Budgets::new(budgets, None));
    let folded = Keeper::open(path, parts.ledger.log().clone(), budgets, world.clock.now()).await.unwrap().0;
    let counted = state(&parts.budgets.as_ref().unwrap().read(Book::clone));
    assert_eq!(state(&folded.book()), counted, "the log says something else");
    counted
}

fn full() -> Failure {
    Failure::new(Code::ResourceExhausted, "NODE_FULL", "not now")
}

#[tokio::test]
async fn what_no_node_has_run_counts_nothing_in_its_life_and_after_a_restart() {
    let veto = || Failure::new(Code::PermissionDenied, "NODE_VETO", "not you");
    for (declining, word) in [(None, "not sent"), (Some(full()), "not run"), (Some(veto()), "not run")] {
        let world = World::under(of_requests_and_offers(), Commit::Strict).await;
        let alone = world.node("a.example", "DE", 1, declines(declining.clone().unwrap_or_else(full))).await;
        if declining.is_none() {
            world.publish(&alone, "127.0.0.1:9", "DE", 1).await;
        }
        assert_ne!(answered(&world).await.0, Code::Ok);
        assert!(world.journal(1).await.1[0].tries.contains(&format!(r#""used_nothing":"{word}""#)), "{word}");
        assert_eq!(counted(&world, of_requests_and_offers()).await, BTreeMap::new(), "{word}");
        reserves_nothing(&world);
    }
}

#[tokio::test]
async fn what_a_node_refuses_as_invalid_counts_as_a_request_of_no_tokens_so_that_nobody_fills_the_log_for_nothing() {
    let budgets = || vec![budget("two", &[Dimension::Organisation], requests(2)), of_requests_and_offers().remove(1)];
    let world = World::under(budgets(), Commit::Strict).await;
    let invalid = Failure::new(Code::InvalidArgument, "PAYLOAD_INVALID", "no messages");
    let node = world.node("a.example", "DE", 1, declines(invalid)).await;
    for _ in 0..2 {
        assert_eq!(answered(&world).await, (Code::InvalidArgument, "PAYLOAD_INVALID".into()));
    }
    assert_eq!(answered(&world).await, (Code::ResourceExhausted, "BUDGET_EXCEEDED".into()));
    assert_eq!((node.seen().len(), world.journal(2).await.1.len()), (2, 2));
    let counted: Vec<_> = counted(&world, budgets()).await.into_values().collect();
    assert_eq!(counted, [Amount { requests: 2, ..Amount::default() }]);
    reserves_nothing(&world);
}

/// What a million tokens cost at a node that is worth asking.
const CHEAP: u64 = 100_000;

fn monthly() -> Vec<Budget> {
    vec![budget("monthly", &[Dimension::Organisation], euros(250_000_000))]
}

#[tokio::test]
async fn an_offer_that_nobody_can_pay_refuses_nobody_whom_a_cheap_one_answers() {
    for commit in [Commit::Strict, Commit::Overlapped] {
        let world = World::under(monthly(), commit).await;
        let cheap = world.node("cheap.example", "DE", CHEAP, answers("hello")).await;
        let dear = world.node("dear.example", "DE", 1_000_000_000_000_000, answers("never")).await;
        let all = join_all((0..AT_ONCE).map(|_| answered(&world))).await;
        assert!(all.iter().all(|(code, _)| *code == Code::Ok), "{all:?}");
        assert_eq!((cheap.seen().len(), dear.seen().len()), (AT_ONCE, 0));
        // What does not fit is not in the decision: whoever asks what was decided sees no offer that could not have been tried.
        let (decisions, _) = world.journal(AT_ONCE).await;
        assert!(decisions.iter().all(|one| one.eligible.len() == 1));
        // Where it is alone, the refusal says which budget, and keeps nothing.
        world.suspend("cheap.example").await;
        let (_, trailers) = read(world.ask(in_germany()).await).await;
        assert_eq!(ended(&trailers), (Code::ResourceExhausted, "BUDGET_EXCEEDED".into()));
        let said = Detail::of(&Status::from_header_map(&trailers).unwrap()).unwrap().metadata;
        assert_eq!((said["budget"].as_str(), said["measure"].as_str()), ("monthly", "money"));
    }
}

#[tokio::test]
async fn a_stream_that_is_left_costs_what_its_own_node_asks_and_not_the_dearest_in_its_life_and_after_a_restart() {
    let world = World::under(monthly(), Commit::Strict).await;
    let (script, mut asked) = waits();
    let _cheap = world.node("cheap.example", "DE", CHEAP, script).await;
    // Such a one as there is room for.
    let dear = world.node("dear.example", "DE", 45_000_000_000, answers("never")).await;
    let (response, answering) = tokio::join!(Box::pin(world.ask(in_germany())), async {
        let answering = asked.recv().await.unwrap();
        answering.send(Ok(data("hello"))).await.unwrap();
        answering
    });
    let mut body = response.into_body();
    let _begun = body.frame().await.unwrap().unwrap();
    drop(body);
    answering.closed().await;
    world::soon("it is settled", || (used(&world, 0) != Amount::default()).then_some(())).await;
    let input = framed(&message(in_germany())).len() as u64 + 256;
    let expected = ((input + 1_000) * CHEAP).div_ceil(1_000_000);
    let counted: Vec<_> = counted(&world, monthly()).await.into_values().map(|used| used.micros).collect();
    assert_eq!((counted, dear.seen().len()), (vec![expected], 0));
    reserves_nothing(&world);
}

fn reserves_nothing(world: &World) {
    world.access.parts().budgets.as_ref().unwrap().read(|book| {
        for (_, account) in book.accounts() {
            assert_eq!((account.current.reserved, account.running), (Amount::default(), 0));
        }
    });
}

#[tokio::test]
async fn a_request_counts_what_the_node_signs_that_ran_it_and_not_those_that_were_asked_before() {
    let world = World::under(of_requests_and_offers(), Commit::Strict).await;
    let _full = world.node("a.example", "DE", 1, declines(full())).await;
    let gone = world.node("b.example", "DE", 2, answers("never")).await;
    world.publish(&gone, "127.0.0.1:9", "DE", 2).await;
    let _answering = world.node("c.example", "DE", 3, answers("hello")).await;
    assert_eq!(answered(&world).await.0, Code::Ok);
    let counted = counted(&world, of_requests_and_offers()).await;
    assert_eq!(counted.len(), 2, "the request's, and one offer's: {counted:?}");
    assert!(counted.keys().all(|key| !key.contains("offer: Some") || key.contains("c.example")), "{counted:?}");
    reserves_nothing(&world);
}

#[tokio::test]
async fn what_a_backend_has_done_that_failed_nobody_knows_and_all_that_was_reserved_counts() {
    let world = World::under(of_requests_and_offers(), Commit::Strict).await;
    let _failing = world.node("a.example", "DE", 1, declines(down())).await;
    assert_ne!(answered(&world).await.0, Code::Ok);
    let counted = counted(&world, of_requests_and_offers()).await;
    assert!(counted.len() == 2 && counted.values().all(|used| used.output_tokens == 1_000), "{counted:?}");
}

#[tokio::test]
async fn a_node_that_signs_tokens_of_what_it_says_that_it_did_not_run_is_not_paid() {
    let world = World::under(of_requests_and_offers(), Commit::Strict).await;
    let ending = |end: &mut unsigned::End| end.decline(full());
    let _greedy = world.node_handing("a.example", unsigned::ending(world.log_key.clone(), ending)).await;
    assert_eq!(answered(&world).await, (Code::ResourceExhausted, "NODE_FULL".into()));
    assert_eq!(counted(&world, of_requests_and_offers()).await, BTreeMap::new());
}

#[tokio::test]
async fn who_leaves_an_answer_is_counted_what_was_reserved_or_what_was_passed_on_where_that_is_more() {
    for (length, expected) in [(400, 1_000), (40_000, (40_000 + 5) / 4 + 1)] {
        let world = World::under(of_requests_and_offers(), Commit::Strict).await;
        let (script, mut asked) = waits();
        let _node = world.node("a.example", "DE", 1, script).await;
        let (response, answering) = tokio::join!(Box::pin(world.ask(in_germany())), async {
            let answering = asked.recv().await.unwrap();
            answering.send(Ok(data(&"x".repeat(length)))).await.unwrap();
            answering
        });
        let (mut body, mut come) = (response.into_body(), 0);
        while come < length + 5 {
            come += body.frame().await.unwrap().unwrap().into_data().unwrap().len();
        }
        drop(body);
        answering.closed().await;
        assert!(world.journal(1).await.1[0].cancelled);
        world::soon("it is settled", || (used(&world, 0) != Amount::default()).then_some(())).await;
        let counted = counted(&world, of_requests_and_offers()).await;
        assert!(counted.len() == 2 && counted.values().all(|used| used.output_tokens == expected), "{counted:?}");
    }
}

#[tokio::test]
async fn a_budget_of_offers_takes_the_offer_away_and_the_next_one_answers() {
    let world = World::under(vec![budget("per-offer", &[Dimension::Offer], requests(2))], Commit::Strict).await;
    let cheap = world.node("a.example", "DE", 1, answers("hello")).await;
    let dearer = world.node("b.example", "DE", 2, answers("hello")).await;
    let all = join_all((0..6).map(|_| answered(&world))).await;
    assert_eq!((cheap.seen().len(), dearer.seen().len()), (2, 2));
    let refused: Vec<_> = all.into_iter().filter(|(code, _)| *code != Code::Ok).collect();
    assert_eq!(refused, vec![(Code::FailedPrecondition, "NO_ELIGIBLE_OFFER".to_owned()); 2]);
    let (_, trailers) = read(world.ask(in_germany()).await).await;
    let refusal = Detail::of(&Status::from_header_map(&trailers).unwrap()).unwrap().refusal.unwrap();
    assert_eq!(refusal.verdicts.len(), 2);
    for verdict in refusal.verdicts {
        let reason = &verdict.reasons[0];
        assert_eq!((reason.code.as_str(), reason.subject.as_str()), ("FEDERATION_POLICY", "budget per-offer"));
        assert!(
            reason.expected.contains("requests up to 2, renewed at") && reason.actual.contains("2 used"),
            "{reason:?}"
        );
    }
}

#[tokio::test]
async fn an_offer_that_is_priced_in_another_currency_gets_nothing_of_a_budget_of_money() {
    let world = World::under(vec![budget("euros", &[], euros(1_000_000))], Commit::Strict).await;
    let node = world.node("a.example", "DE", 1, answers("hello")).await;
    assert_eq!(answered(&world).await.0, Code::Ok);
    assert_eq!(used(&world, 0).micros, 1);
    let mut offer = world::offer(&node.id, "DE", 1);
    offer.price.as_mut().unwrap().currency = "USD".parse().unwrap();
    world.publish_offer(&node, &node.address, offer).await;
    let (_, trailers) = read(world.ask(in_germany()).await).await;
    assert_eq!(ended(&trailers).1, "NO_ELIGIBLE_OFFER");
    let refusal = Detail::of(&Status::from_header_map(&trailers).unwrap()).unwrap().refusal.unwrap();
    let reason = &refusal.verdicts[0].reasons[0];
    assert_eq!((reason.expected.as_str(), reason.actual.as_str()), ("a price in EUR", "a price in USD"));
    assert_eq!(node.seen().len(), 1);
}

#[tokio::test]
async fn calls_at_once_have_room_again_when_one_ends_and_when_its_caller_leaves() {
    let limits = Limits { concurrent: Some(1), ..Limits::default() };
    let world = World::under(vec![budget("one", &[], limits)], Commit::Strict).await;
    let (script, mut asked) = waits();
    let node = world.node("a.example", "DE", 1, script).await;
    let begun = async |asked: &mut tokio::sync::mpsc::Receiver<node::Answering>| {
        let mut running = Box::pin(world.ask(in_germany()));
        tokio::select! {
            _ = &mut running => panic!("it was answered"),
            answering = asked.recv() => (running, answering.unwrap()),
        }
    };
    let (running, _answering) = begun(&mut asked).await;
    assert_eq!(answered(&world).await, (Code::ResourceExhausted, "BUDGET_EXCEEDED".into()));
    drop(running);
    let again = world::soon("there is room again", || {
        let all = world.access.parts().budgets.as_ref().unwrap();
        all.read(|book| book.accounts().all(|(_, account)| account.running == 0)).then_some(())
    });
    again.await;
    let (_running, _answering) = begun(&mut asked).await;
    assert_eq!(node.seen().len(), 2);
}

fn one_call_of_each_offer() -> Vec<Budget> {
    vec![budget("one", &[Dimension::Offer], Limits { concurrent: Some(1), ..Limits::default() })]
}

/// How many calls are counted as running, of each offer that has any.
fn running(world: &World) -> Vec<u64> {
    let of = |(_, account): (&Key, &crate::budgets::book::Account)| account.running;
    let all = world.access.parts().budgets.as_ref().unwrap();
    all.read(|book| book.accounts().map(of).filter(|running| *running > 0).collect())
}

#[tokio::test]
async fn an_offer_whose_try_has_failed_has_room_while_the_next_one_answers() {
    let world = World::under(one_call_of_each_offer(), Commit::Strict).await;
    let _failing = world.node("a.example", "DE", 1, declines(down())).await;
    let (script, mut asked) = waits();
    let _next = world.node("b.example", "DE", 2, script).await;
    let mut request = Box::pin(world.ask(in_germany()));
    let _answering = tokio::select! {
        _ = &mut request => panic!("it was answered"),
        answering = asked.recv() => answering.unwrap(),
    };
    assert_eq!(running(&world), [1]);
}

#[tokio::test]
async fn an_offer_that_was_outpaced_has_room_while_the_other_one_answers() {
    let world = World::under(one_call_of_each_offer(), Commit::Strict).await;
    let ((slow, _held), (fast, mut asked)) = (waits(), waits());
    let _slow = world.node("a.example", "DE", 1, slow).await;
    let _fast = world.node("b.example", "DE", 2, fast).await;
    let asking = Box::pin(world.call(Method::ChatStream, hedging::hedged_after(hedging::SOON_MS), &[]));
    let (_response, _answering) = tokio::join!(asking, async {
        let answering = asked.recv().await.unwrap();
        assert_eq!(running(&world), [1, 1]);
        answering.send(Ok(data("begun"))).await.unwrap();
        answering
    });
    assert_eq!(running(&world), [1]);
}

#[tokio::test]
async fn a_request_that_is_decided_anew_does_not_stand_in_its_own_way() {
    let limits = Limits { concurrent: Some(1), ..Limits::default() };
    let world = World::under(vec![budget("one", &[], limits)], Commit::Strict).await;
    let node = world.node("a.example", "DE", 1, slow(&world.clock, PERMIT_LIFE, false)).await;
    let _next = world.node("b.example", "DE", 2, answers("by a permit that has ended")).await;
    assert_eq!(answered(&world).await.0, Code::Ok);
    assert_eq!((node.seen().len(), world.journal(2).await.1.len()), (2, 2));
}

#[tokio::test]
async fn what_the_log_says_after_a_restart_is_what_was_counted_erased_records_included() {
    let budgets = || {
        vec![
            budget("tokens", &[Dimension::Organisation, Dimension::App], tokens(1_000_000)),
            budget("offers", &[Dimension::Offer], requests(1_000)),
            budget("money", &[Dimension::Model], euros(1_000_000)),
        ]
    };
    let world = World::under(budgets(), Commit::Strict).await;
    let _declining = world.node("a.example", "DE", 1, declines(overloaded())).await;
    let _signing = signing(&world, "b.example").await;
    let _unsigned = world.node("c.example", "DE", 1, answers("hello")).await;
    for _ in 0..12 {
        assert_eq!(answered(&world).await.0, Code::Ok);
    }
    let (parts, path) = (world.access.parts(), world.dir().join("budgets.spent"));
    let open = async |path: std::path::PathBuf, budgets| {
        let budgets = Arc::new(crate::budgets::definition::Budgets::new(budgets, None));
        Keeper::open(path, parts.ledger.log().clone(), budgets, world.clock.now()).await
    };
    let counted = || state(&parts.budgets.as_ref().unwrap().read(Book::clone));
    let (first, _) = open(path.clone(), budgets()).await.unwrap();
    assert_eq!(state(&first.book()), counted());
    for _ in 0..6 {
        assert_eq!(answered(&world).await.0, Code::Ok);
    }
    first.keep().await.unwrap();
    assert_eq!(state(&first.book()), counted());
    // From the file alone, of which nothing is behind; and where its records are gone, as well.
    let (decisions, _) = world.journal(18).await;
    let receipts = crate::ledger::receipts::Receipts::new(parts.ledger.log().reader());
    let erased = receipts.erasable(decisions[0].id, comity_policy::disclosure::Viewer::Governor).unwrap();
    parts.ledger.log().erase(erased).await.unwrap();
    assert_eq!(state(&open(path.clone(), budgets()).await.unwrap().0.book()), counted());
    // What they grant may change; what they are of may not, without their being counted anew.
    let mut raised = budgets();
    raised[0].limits.tokens = Some(2_000_000);
    assert_eq!(state(&open(path.clone(), raised).await.unwrap().0.book()), counted());
    // A file that is damaged, or gone, leaves the log, which no longer says what that record said: nobody guesses.
    let kept = std::fs::read(&path).unwrap();
    std::fs::write(&path, &kept[..kept.len() - 1]).unwrap();
    for _ in 0..2 {
        let error = comity_runtime::chain::text(&open(path.clone(), budgets()).await.unwrap_err());
        assert!(error.contains("has been erased") && error.contains("danger_nothing_before = \"20"), "{error}");
        let _gone = std::fs::remove_file(&path);
    }
    std::fs::write(&path, kept).unwrap();
    assert_eq!(state(&open(path, budgets()).await.unwrap().0.book()), counted());
}

fn state(book: &Book) -> BTreeMap<String, Amount> {
    let of = |(key, account): (&Key, &crate::budgets::book::Account)| (format!("{key:?}"), account.current.used);
    book.accounts().map(of).filter(|(_, used)| *used != Amount::default()).collect()
}
