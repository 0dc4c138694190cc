//! `[traces]` of a program's file.

use serde::Deserialize;
use tonic::transport::Endpoint;
use url::{Host, Url};

/// What a program's file says of traces; none are made without it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where OTLP is taken, by gRPC: a collector on this machine, such as `http://127.0.0.1:4317`.
    pub endpoint: String,
    /// The part of the requests that is recorded, 0 to 1, of those whose caller does not say whether to record them.
    #[serde(default = "ratio")]
    pub ratio: f64,
    /// Lets the collector be on another machine: spans, which say who asks whom, then travel unencrypted.
    #[serde(default)]
    pub danger_plaintext: bool,
}

/// One in ten: enough to see where time goes, of few requests as of many.
const fn ratio() -> f64 {
    0.1
}

/// A field that cannot be used, and what would be right.
pub type Wrong = (&'static str, String);

impl Config {
    /// All that is wrong with it.
    #[must_use]
    pub fn wrong(&self) -> Vec<Wrong> {
        let endpoint = self.endpoint().err().map(|problem| ("traces.endpoint", problem));
        // NaN is in no range.
        let ratio = (!(0.0..=1.0).contains(&self.ratio))
            .then(|| ("traces.ratio", format!("{} is no part of all requests: 0 to 1, such as 0.1", self.ratio)));
        endpoint.into_iter().chain(ratio).collect()
    }

    /// Where the collector is.
    pub(super) fn endpoint(&self) -> Result<Endpoint, String> {
        let invalid = || format!("{:?} is no address of a collector, such as http://127.0.0.1:4317", self.endpoint);
        let url: Url = self.endpoint.parse().map_err(|_| invalid())?;
        if url.scheme() == "https" {
            let hint = "have a collector on this machine that passes them on by TLS, at http://127.0.0.1:4317";
            return Err(format!("spans are handed over without TLS, and {url} asks for it (hint: {hint})"));
        }
        let is_bare = url.scheme() == "http" && url.username().is_empty() && url.password().is_none();
        if !is_bare || url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(invalid());
        }
        let is_own = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => return Err(invalid()),
        };
        if !is_own && !self.danger_plaintext {
            let hint = "name a collector on this machine, or say danger_plaintext = true";
            return Err(format!("spans would travel to {url} unencrypted (hint: {hint})"));
        }
        Endpoint::from_shared(self.endpoint.clone()).map_err(|_| invalid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(endpoint: &str) -> Config {
        Config { endpoint: endpoint.to_owned(), ratio: ratio(), danger_plaintext: false }
    }

    #[test]
    fn spans_leave_this_machine_only_where_it_is_said_that_they_may() {
        for own in ["http://127.0.0.1:4317", "http://[::1]:4317/", "http://localhost:4317"] {
            assert_eq!(config(own).wrong(), [], "{own}");
        }
        let mut elsewhere = config("http://collector.example:4317");
        let [(field, problem)] = elsewhere.wrong().try_into().unwrap();
        assert!(field == "traces.endpoint" && problem.contains("danger_plaintext"), "{problem}");
        elsewhere.danger_plaintext = true;
        assert_eq!(elsewhere.wrong(), []);
    }

    #[test]
    fn what_is_no_collector_or_no_part_is_named_with_its_field() {
        for wrong in ["", "127.0.0.1:4317", "http://me:secret@127.0.0.1:4317", "http://127.0.0.1:4317/v1?x=1"] {
            assert!(config(wrong).wrong()[0].1.contains("such as http://127.0.0.1:4317"), "{wrong}");
        }
        assert!(config("https://127.0.0.1:4317").wrong()[0].1.contains("without TLS"));
        for ratio in [-0.1, 1.1, f64::NAN] {
            let wrong = Config { ratio, ..config("http://127.0.0.1:4317") }.wrong();
            assert_eq!(wrong.iter().map(|(field, _)| *field).collect::<Vec<_>>(), ["traces.ratio"], "{ratio}");
        }
    }
}
