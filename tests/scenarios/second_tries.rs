//! A second node, because the first fails, is full or is slow; and the same one, because the app asks to stay with it.

use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::Caller;
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, Node, US_VENDOR};
use comity_tests::node::NodeSpec;
use comity_tests::program::said;

/// Two eligible nodes with these backends, and one abroad that nobody may ask.
struct Scene {
    /// Before the federation, whose folder their logs are read from when they end.
    _nodes: Vec<Node>,
    federation: Federation,
    app: Caller,
    backends: [Backend; 2],
    abroad: Backend,
}

impl Scene {
    fn new(first: Behaviour, more: &str) -> Self {
        let backends = [first, Behaviour::Answer].map(Backend::start);
        let abroad = Backend::start(Behaviour::Answer);
        let mut federation = Federation::start();
        federation.expect_log("a try failed");
        let specs = backends.each_ref().map(|backend| NodeSpec::openai("n1", &backend.url(), "DE").with_backend(more));
        let [first, second] = &specs;
        let mut nodes = vec![federation.node(EU_BODY, first), federation.node(EU_OWNED, second)];
        nodes.push(federation.node(US_VENDOR, &NodeSpec::openai("n1", &abroad.url(), "US")));
        nodes.iter_mut().for_each(|node| node.program.expect_log("backend"));
        let app = federation.app(EU_BODY, "assistant");
        Self { _nodes: nodes, federation, app, backends, abroad }
    }

    /// Asks as often, and is answered each time; nobody abroad is asked.
    fn ask(&self, times: usize, flags: &[&str]) {
        let chat = ["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "--processing", "DE"];
        for _ in 0..times {
            let answer = self.federation.ask(&self.app, &[&chat, flags, &["What is the capital of France?"]].concat());
            assert!(said(&answer).contains("Paris"), "{}", said(&answer));
        }
        assert!(self.abroad.asked().is_empty(), "the ineligible node's backend was asked");
    }

    fn asked(&self) -> [usize; 2] {
        self.backends.each_ref().map(|backend| backend.asked().len())
    }
}

#[test]
fn a_node_whose_backend_is_rate_limited_is_left_alone_for_as_long_as_it_says() {
    let scene = Scene::new(Behaviour::RetryAfter(60), "");
    scene.ask(6, &[]);
    assert_eq!(scene.asked(), [1, 6]);
}

#[test]
fn a_backend_that_stalls_before_its_first_byte_is_given_up_and_another_node_answers() {
    let scene = Scene::new(Behaviour::Silent, "first_byte_seconds = 1");
    scene.ask(2, &[]);
    assert_eq!(scene.asked()[1], 2);
    scene.backends[0].wait_until_left();
}

#[test]
fn a_caller_that_hedges_is_answered_by_the_node_that_is_not_slow_and_the_slow_ones_backend_is_left() {
    let scene = Scene::new(Behaviour::Silent, "");
    scene.ask(3, &["--hedge", "100ms", "--timeout", "20s"]);
    assert_eq!(scene.asked()[1], 3);
    scene.backends[0].wait_until_left();
}

/// A node at this price whose backend never answers, and one that costs far more.
struct Silence {
    _nodes: [Node; 2],
    federation: Federation,
    app: Caller,
    silent: Backend,
    dear: Backend,
}

impl Silence {
    fn new() -> Self {
        let (silent, dear) = (Backend::start(Behaviour::Silent), Backend::start(Behaviour::Answer));
        let mut federation = Federation::start();
        federation.expect_log("a try failed");
        let cheapest = NodeSpec::openai("n1", &silent.url(), "DE").with_backend("first_byte_seconds = 3600").costing(1);
        let mut cheapest = federation.node(EU_BODY, &cheapest);
        cheapest.program.expect_log("backend");
        let other = federation.node(EU_OWNED, &NodeSpec::openai("n1", &dear.url(), "DE").costing(100_000));
        let app = federation.app(EU_BODY, "assistant");
        Self { _nodes: [cheapest, other], federation, app, silent, dear }
    }

    /// Whether a call is answered.
    fn answers(&self, flags: &[&str]) -> bool {
        let chat = ["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "--processing", "DE"];
        let answer = self.federation.ask(&self.app, &[&chat, flags, &["What is the capital of France?"]].concat());
        said(&answer).contains("Paris")
    }
}

#[test]
fn the_cheapest_offer_that_never_answers_does_not_take_all_requests() {
    let scene = Silence::new();
    let answered: Vec<_> = (0..8).map(|_| scene.answers(&["--timeout", "4s"])).collect();
    assert_eq!(answered, [[false; 3].as_slice(), &[true; 5]].concat());
    assert_eq!((scene.silent.asked().len(), scene.dear.asked().len()), (3, 5));
}

#[test]
fn callers_that_hedge_are_answered_though_the_cheapest_offer_never_answers_and_hedges_are_used_up() {
    let scene = Silence::new();
    let answered = std::thread::scope(|scope| {
        let five = || (0..5).filter(|_| scene.answers(&["--hedge", "200ms", "--timeout", "5s"])).count();
        let callers: Vec<_> = (0..6).map(|_| scope.spawn(five)).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).sum::<usize>()
    });
    assert_eq!(answered, 30);
}

#[test]
fn requests_of_a_session_stay_with_one_node() {
    let scene = Scene::new(Behaviour::Answer, "");
    scene.ask(5, &["--session", "a conversation"]);
    let asked = scene.asked();
    assert!(asked.contains(&5), "{asked:?}");
}
