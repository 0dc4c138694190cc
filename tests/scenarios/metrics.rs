//! What programs count shows how old a node's knowledge is, before it serves nobody any more and when it does.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::Caller;
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, free_address};
use comity_tests::node::NodeSpec;
use comity_tests::program::{built, run, said};
use comity_tests::wait;

/// The shortest that may be configured, in seconds.
const BUDGET: i64 = 60;
/// How long the copy may take to be older than that, on a busy machine.
const GROWN_OLD: Duration = Duration::from_secs(180);

/// What is at an address, as whoever scrapes it reads it; nothing if nobody answers.
fn scrape(address: &str) -> Option<String> {
    let mut tcp = TcpStream::connect(address).ok()?;
    tcp.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").ok()?;
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).ok()?;
    answer.contains("# EOF").then_some(answer)
}

/// The value of a metric, by its name with its labels.
fn value(address: &str, metric: &str) -> Option<i64> {
    let answer = scrape(address)?;
    answer.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' ')?.parse().ok())
}

fn ask(federation: &Federation, app: &Caller) -> bool {
    let asked = ["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "hello"];
    federation.ask(app, &asked).status.success()
}

#[test]
fn metrics_show_a_copy_of_the_state_grow_too_old_while_the_broker_is_down_and_fresh_again_when_it_is_back() {
    let (at_broker, at_node) = (free_address(), free_address());
    let mut federation = Federation::found();
    let config = federation.broker_config();
    let with_metrics = |text: &str, address: &str| format!("{text}\n[metrics]\nlisten = \"{address}\"\n");
    fs::write(&config, with_metrics(&fs::read_to_string(&config).unwrap(), &at_broker)).unwrap();
    federation.start_broker();
    let backend = Backend::start(Behaviour::Answer);
    let mut spec = NodeSpec::openai("n1", &backend.url(), "DE");
    spec.reached.push_str(&format!("\nmax_staleness = \"{BUDGET}s\""));
    let folder = federation.folder().join(EU_OWNED.domain).join("n1");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("node.toml"), with_metrics(&spec.toml(), &at_node)).unwrap();
    let mut node = federation.start_node_in(EU_OWNED, "n1", folder.clone());
    node.wait_until_ready();
    node.program.expect_log("this node does not serve");
    let app = federation.app(EU_BODY, "assistant");
    assert!(ask(&federation, &app));
    let chats =
        |code: &str| format!("_calls_total{{method=\"/comity.inference.v1.Inference/ChatStream\",code=\"{code}\"}}");
    for (address, program) in [(&at_broker, "comity_broker"), (&at_node, "comity_node")] {
        let metric = format!("{program}{}", chats("OK"));
        wait::until("the call is counted", || value(address, &metric).filter(|calls| *calls == 1));
    }
    let age = || value(&at_node, "comity_node_replica_age_seconds");
    let is = |state: &str| value(&at_node, &format!("comity_node_replica_state{{state=\"{state}\"}}"));
    assert_eq!(value(&at_node, "comity_node_staleness_budget_seconds{class=\"all\"}"), Some(BUDGET));
    assert_eq!((is("fresh"), is("stale"), is("halted")), (Some(1), Some(0), Some(0)));

    federation.stop_broker();
    assert_eq!(scrape(&at_broker), None);
    let grown = wait::within(GROWN_OLD, || age().filter(|age| *age > BUDGET));
    assert!(grown.is_some(), "it does not grow old: {:?}", age());
    assert_eq!((is("fresh"), is("stale")), (Some(0), Some(1)));
    let health = || run(Command::new(built("comity-node")).args(["health", "--config"]).arg(folder.join("node.toml")));
    wait::until("the node says that it serves nobody", || {
        let told = health();
        (!told.status.success() && said(&told).contains("last heard of the federation's state")).then_some(())
    });

    federation.start_broker();
    wait::until("the copy is fresh again", || is("fresh").filter(|fresh| *fresh == 1));
    wait::until("a request is served again", || ask(&federation, &app).then_some(()));
}
