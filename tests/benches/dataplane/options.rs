//! What to measure, as `cargo xtask bench dataplane` hands it on.

use std::path::PathBuf;

use crate::cases::Case;

/// Rounds, unless `--rounds` says otherwise.
const ROUNDS: usize = 5;
/// How long each proxy has for each case in a round, in seconds, unless `--seconds` says otherwise.
const SECONDS: u64 = 3;

/// The options.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) rounds: usize,
    pub(crate) seconds: u64,
    pub(crate) cases: Vec<Case>,
    /// The names of those to measure; all where there is none.
    proxies: Vec<String>,
    /// Peers, each with its program.
    pub(crate) peers: Vec<(String, PathBuf)>,
    /// Where their libraries are, as the dynamic linker takes it.
    pub(crate) libraries: String,
    /// Whether overload and abuse are measured, and not what a request costs; and where the picture goes.
    pub(crate) overload: bool,
    pub(crate) plot: Option<PathBuf>,
    /// Peers that are not there, each with the reason.
    pub(crate) missing: Vec<(String, String)>,
}

impl Options {
    /// Reads the command line.
    pub(crate) fn read() -> Self {
        let all: Vec<String> = std::env::args().skip(1).collect();
        let values = |name: &str| -> Vec<String> {
            all.windows(2).filter(|pair| pair[0] == name).map(|pair| pair[1].clone()).collect()
        };
        let pairs = |name: &str| -> Vec<(String, String)> {
            let pair = |value: String| value.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
            values(name).into_iter().filter_map(pair).collect()
        };
        let number = |name: &str| values(name).first().map(|number| number.parse::<u64>().unwrap());
        let only = values("--only");
        let cases: Vec<Case> =
            Case::ALL.into_iter().filter(|case| only.is_empty() || only.contains(&case.name().to_owned())).collect();
        let names = || Case::ALL.map(Case::name).join(", ");
        assert!(!cases.is_empty() && only.len() <= cases.len(), "--only takes {}", names());
        Self {
            rounds: number("--rounds").map_or(ROUNDS, |rounds| usize::try_from(rounds).unwrap().max(1)),
            seconds: number("--seconds").unwrap_or(SECONDS).max(1),
            cases,
            proxies: values("--proxies").iter().flat_map(|list| list.split(',')).map(str::to_owned).collect(),
            peers: pairs("--peer").into_iter().map(|(name, path)| (name, path.into())).collect(),
            libraries: values("--libraries").join(":"),
            overload: all.iter().any(|word| word == "--overload"),
            plot: values("--plot").first().map(PathBuf::from),
            missing: pairs("--missing"),
        }
    }

    /// Whether a proxy is to be measured.
    pub(crate) fn wants(&self, proxy: &str) -> bool {
        self.proxies.is_empty() || self.proxies.iter().any(|name| name == proxy)
    }
}
