use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::tasks::{Closed, Tasks};
use crate::testing::PATIENCE;
use crate::web::Endpoint;

const ASKED: Metric =
    Metric { name: "test_asked", kind: Kind::Counter, labels: &["what"], help: "How often what was asked." };
const TOOK: Metric =
    Metric { name: "test_took_seconds", kind: Kind::Histogram, labels: &[], help: "How long it took." };

fn metrics() -> Metrics {
    let mut metrics = Metrics::default();
    let (asked, took) = (metrics.counters::<1>(&ASKED), metrics.times(&TOOK));
    asked.get_or_create(&[("what", "the time")]).inc_by(2);
    took.observe(0.25);
    metrics
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, tcp.read_to_string(&mut answer)).await.expect("an answer").unwrap();
    answer
}

#[tokio::test]
async fn metrics_are_read_as_open_metrics_with_their_names_labels_and_help() {
    let (endpoint, tasks, metrics) =
        (Endpoint::bind("127.0.0.1:0".parse().unwrap()).await.unwrap(), Tasks::new(), metrics());
    let address = endpoint.local_addr();
    serve(endpoint, &tasks, move || metrics.text());
    let answer = ask(address, "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("application/openmetrics-text; version=1.0.0"));
    for line in [
        "# HELP test_asked How often what was asked.",
        "test_asked_total{what=\"the time\"} 2",
        "test_took_seconds_bucket{le=\"0.256\"} 1",
        "test_took_seconds_sum 0.25",
        "# EOF",
    ] {
        assert!(answer.lines().any(|one| one == line), "{line} is missing in {answer}");
    }
    assert!(ask(address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.starts_with("HTTP/1.1 404"));
    assert!(
        ask(address, "POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 405")
    );
    assert_eq!(tasks.close(PATIENCE).await, Closed::Drained);
}

#[test]
fn only_this_machine_reads_metrics_unless_it_is_said_that_others_may() {
    let address = |listen: &str, danger_public| Config { listen: listen.to_owned(), danger_public }.address();
    for own in ["127.0.0.1:9464", "[::1]:0"] {
        assert!(address(own, false).is_ok(), "{own}");
    }
    for others in ["0.0.0.0:9464", "192.0.2.1:9464", "[::]:9464"] {
        assert!(address(others, false).unwrap_err().contains("danger_public"), "{others}");
        assert!(address(others, true).is_ok(), "{others}");
    }
    assert!(address("9464", true).unwrap_err().contains("127.0.0.1:9464"));
}

#[test]
fn a_metric_has_the_row_that_the_document_shows() {
    assert_eq!(ASKED.row(), "| `test_asked_total` | counter | `what` | How often what was asked. |");
    assert_eq!(TOOK.row(), "| `test_took_seconds` | histogram |  | How long it took. |");
}
