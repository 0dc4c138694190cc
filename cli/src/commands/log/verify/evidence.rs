//! Evidence that a broker showed two logs: two checkpoints, both signed by the log's key, and the log of one of them, or
//! what shows without it that they do not go together. And evidence that two statements were signed at one position.

use std::path::Path;

use comity_client::decisions::DecisionLog;
use comity_client::follow::kept::Evidence;
use comity_client::follow::{FollowError, Followed};
use comity_identity::Root;
use comity_membership::Equivocation;
use comity_membership::equivocation::{Evidence as Statements, Served, SignedStatement};
use comity_membership::log::origin;
use comity_proto::membership::WatchResponse;
use comity_runtime::genesis;
use comity_transparency::Checkpoint;
use comity_transparency::witness::{Evidence as DecisionEvidence, EvidenceError, Finding as Proven};
use serde_json::json;

use super::{read, unbelieved};
use crate::args::Global;
use crate::error::CliError;
use crate::output::say;

/// What two checkpoints come to.
enum Finding {
    /// They are of two logs: the broker is convicted by its own signatures.
    Forked,
    /// The second is of the same log, earlier.
    RolledBack,
    /// They go together.
    Together,
    /// The second is of a longer log than the one beside: nothing follows without its entries.
    Open,
}

/// Verifies it from a root document, and believes nobody.
pub(super) fn verify(
    file: &Path,
    evidence: &Evidence,
    root: &Root,
    log: Followed,
    global: &Global,
) -> Result<(), CliError> {
    let open = |note: &str| {
        Checkpoint::open(note, &origin(&root.federation), &genesis::log_verifier(root))
            .map_err(|error| unbelieved(file, &comity_runtime::chain::text(&error)))
    };
    let agreed = evidence.agreed.as_ref().ok_or_else(|| unbelieved(file, "it has one checkpoint only"))?;
    let (before, then) = (open(&agreed.checkpoint)?, open(&evidence.then)?);
    let finding = if before.size == then.size {
        if before.root == then.root { Finding::Together } else { Finding::Forked }
    } else {
        compare(file, evidence, &agreed.checkpoint, then.size > before.size, log)?
    };
    let (word, said) = match finding {
        Finding::Forked => ("fork", "both checkpoints are signed by the log's key, and they are of two different logs"),
        Finding::RolledBack => (
            "rollback",
            "both checkpoints are signed by the log's key; the second is of the same log, with fewer entries",
        ),
        Finding::Together => {
            return Err(unbelieved(file, "its two checkpoints are of the same log: they prove nothing"));
        }
        Finding::Open => {
            return Err(unbelieved(
                file,
                "its second checkpoint is of a longer log than the one beside it: compare that with another member's",
            ));
        }
    };
    let fields = vec![
        ("verified", word.to_owned()),
        ("before", format!("{} entries, root {}", before.size, before.root)),
        ("then", format!("{} entries, root {}", then.size, then.root)),
    ];
    let checkpoint = |one: &Checkpoint| json!({ "size": one.size, "root": one.root });
    global
        .output
        .record(fields, &json!({ "verified": word, "before": checkpoint(&before), "then": checkpoint(&then) }))?;
    say(said);
    Ok(())
}

/// Verifies that two statements were signed at one position, from the founding on, and that the broker signed a log that has both,
/// where that is in it; and believes nobody.
pub(super) fn verify_statements(
    file: &Path,
    evidence: &Statements,
    (root, empty): (&Root, &Followed),
    global: &Global,
) -> Result<(), CliError> {
    let genesis = empty.log().genesis();
    let wrong = |error: &(dyn std::error::Error + 'static)| unbelieved(file, &comity_runtime::chain::text(error));
    let proven = evidence.check(genesis).map_err(|error| wrong(&error))?;
    let served = evidence.convicts_log(genesis, &genesis::log_verifier(root)).map_err(|error| wrong(&error))?;
    let Equivocation { scope, version, epoch, first, second } = &proven;
    let both = proven.signed_both();
    let fields = vec![
        ("verified", "equivocation".to_owned()),
        ("position", format!("version {version} of {scope}")),
        ("first", format!("{first}, in entry {epoch}")),
        ("second", second.to_string()),
        ("convicted of signing both", signers(&proven).join(", ")),
        ("the broker", broker(served.as_ref())),
    ];
    let statement = |one: &SignedStatement| {
        let signers = one.signers.iter().map(|(key, who)| json!({ "key": key.to_string(), "who": who }));
        json!({ "sha256": one.sha256, "signers": signers.collect::<Vec<_>>() })
    };
    let position = json!({ "scope": scope.to_string(), "version": version });
    let (first, second) = (statement(first), statement(second));
    let checkpoint = |one: &Checkpoint| json!({ "size": one.size, "root": one.root });
    let broker = served.as_ref().map(|Served { second, before, after }| {
        json!({ "second": second, "before": before.as_ref().map(checkpoint), "after": checkpoint(after) })
    });
    let both: Vec<_> = both.iter().map(ToString::to_string).collect();
    global.output.record(
        fields,
        &json!({
            "verified": "equivocation", "position": position, "epoch": epoch, "first": first, "second": second,
            "signedBoth": both, "brokerSigned": broker,
        }),
    )?;
    say("both statements are signed by those who had to sign them, at one position: only one of them can stand");
    if served.is_some() {
        say(
            "the log's key signed a log in which both stand, which nobody who folds it lets pass: that convicts the broker",
        );
    }
    Ok(())
}

/// Whose keys are under both; where several have to sign, those of the two may be others.
fn signers(proven: &Equivocation) -> Vec<String> {
    let both = proven.signed_both();
    let of_both = proven.first.signers.iter().filter(|(key, _)| both.contains(key));
    let named: Vec<_> = of_both.map(|(key, who)| who.clone().unwrap_or_else(|| key.to_string())).collect();
    if named.is_empty() { vec!["nobody: each statement has signers of its own".to_owned()] } else { named }
}

/// What the log's key is convicted of.
fn broker(served: Option<&Served>) -> String {
    let Some(Served { second, before, after }) = served else {
        return "not convicted: no checkpoint over a log that has both is in it".to_owned();
    };
    let before =
        before.as_ref().map(|before| format!(", and before that one of {} entries, with the first alone", before.size));
    format!(
        "convicted: the log's key signed a log of {} entries, root {}, which has the second in entry {second}{}",
        after.size,
        after.root,
        before.unwrap_or_default()
    )
}

/// Verifies evidence against the broker's decision log: two checkpoints, and what shows that they do not go together.
pub(super) fn verify_decisions(file: &Path, text: &[u8], root: &Root, global: &Global) -> Result<(), CliError> {
    let wrong = |error: EvidenceError| unbelieved(file, &comity_runtime::chain::text(&error));
    let text = std::str::from_utf8(text).map_err(|_| unbelieved(file, "it is not text"))?;
    let evidence: DecisionEvidence = text.parse().map_err(wrong)?;
    let (word, said) = match check(&evidence, root).map_err(wrong)? {
        Proven::Fork => ("fork", "both checkpoints are signed by the log's key, and they are of two different logs"),
        Proven::Impossible => ("fork", "the log's key signed a root of no leaves that no tree has"),
        Proven::Rollback => ("rollback", "the log's key signed fewer leaves after it had signed more"),
        Proven::Unconnected => {
            return Err(unbelieved(
                file,
                "the log signed both checkpoints, and nothing in it shows that they do not go together: an old one that \
                 is shown again was true once; ask the broker's operators for what connects them",
            ));
        }
    };
    let (known, claimed) = evidence.checkpoints();
    let line = |one: &Checkpoint| format!("{} leaves, root {}", one.size, one.root);
    let fields = vec![
        ("verified", word.to_owned()),
        ("log", claimed.origin.clone()),
        ("before", known.map(line).unwrap_or_default()),
        ("then", line(claimed)),
    ];
    let checkpoint = |one: &Checkpoint| json!({ "size": one.size, "root": one.root });
    let both = json!({ "verified": word, "log": claimed.origin, "before": known.map(checkpoint), "then": checkpoint(claimed) });
    global.output.record(fields, &both)?;
    say(said);
    Ok(())
}

/// By the keys of the log that it is against: that of decisions, or that of membership, which nodes witness as well.
fn check(evidence: &DecisionEvidence, root: &Root) -> Result<Proven, EvidenceError> {
    let membership = origin(&root.federation);
    if evidence.origin() != membership {
        return DecisionLog::of(root).check(evidence);
    }
    let key = genesis::log_key(root).map_err(|_| EvidenceError::NotSigned)?;
    evidence.check(&[key])
}

/// Holds both against the log beside the evidence, every signature of which is checked.
fn compare(
    file: &Path,
    evidence: &Evidence,
    before: &str,
    longer: bool,
    mut log: Followed,
) -> Result<Finding, CliError> {
    // Its name alone: whoever made the evidence names no other place.
    let name = Path::new(&evidence.log).file_name().unwrap_or_default();
    let text = read(&file.with_file_name(name))?;
    let wrong = |error: FollowError| unbelieved(file, &comity_runtime::chain::text(&error));
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let epoch = log.log().federation().epoch().saturating_add(1);
        let part = WatchResponse { epoch, entry: line.to_vec().into(), checkpoint: String::new() };
        log.take(&part).map_err(wrong)?;
    }
    // The log is that of either: whoever had lost the first has kept the second.
    match (log.still_holds(before), log.still_holds(&evidence.then)) {
        (Ok(()), Err(FollowError::Diverged(_))) | (Err(FollowError::Diverged(_)), Ok(())) => Ok(Finding::Forked),
        (Ok(()), Err(FollowError::Behind { .. })) if longer => Ok(Finding::Open),
        (Ok(()), Ok(())) if longer => Ok(Finding::Together),
        (Ok(()), Ok(())) => Ok(Finding::RolledBack),
        (Err(error), _) | (_, Err(error)) => Err(wrong(error)),
    }
}
