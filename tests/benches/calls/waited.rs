//! What the broker says that it waited for its log.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// The histograms: of decisions, and of outcomes.
const NAMES: [&str; 2] = ["comity_broker_commit_seconds", "comity_broker_settle_seconds"];

/// How many seconds in all, and how often.
pub(crate) struct Waited([(f64, u64); 2]);

impl Waited {
    /// Reads the metrics.
    pub(crate) fn read(address: &str) -> Self {
        let mut tcp = TcpStream::connect(address).unwrap();
        tcp.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).unwrap();
        let value = |name: String| answer.lines().find_map(|line| line.strip_prefix(&name)?.strip_prefix(' ')).unwrap();
        Self(NAMES.map(|name| {
            let (sum, count) = (value(format!("{name}_sum")), value(format!("{name}_count")));
            (sum.parse().unwrap(), count.parse().unwrap())
        }))
    }

    /// The mean of each since then, in milliseconds; each has to have been as often as there were calls.
    pub(crate) fn since(&self, before: &Self, calls: usize) -> [f64; 2] {
        [0, 1].map(|which| {
            let ((sum, count), (old_sum, old_count)) = (self.0[which], before.0[which]);
            assert_eq!(count - old_count, calls as u64, "{}", NAMES[which]);
            (sum - old_sum) * 1_000.0 / calls as f64
        })
    }
}
