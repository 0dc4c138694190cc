//! `comity organisation keys`: the keys that sign for an organisation.
//!
//! A new key is on disk, readable by its owner alone, before anybody is told of it ([`crate::signing`] says what becomes of
//! one that was begun).

use std::path::{Path, PathBuf};

use clap::Subcommand;
use comity_client::say::Said;
use comity_identity::KeyPair;
use comity_identity::request::KeyError;
use comity_identity::store::{NEXT_ORGANISATION_KEY_FILE, StoreError, read_key};
use comity_membership::Statement;
use comity_proto::error::Detail;
use comity_transparency::{PublicKey, Signer as _, SigningError};
use comity_types::TrustDomain;
use serde_json::{Value, json};

use crate::args::Global;
use crate::error::CliError;
use crate::output::say;
use crate::session::Session;
use crate::signing::{Consequence, Signatory, report};

/// What `--help` says about copies.
pub(super) const AFTER: &str = "\
A key that was copied is answered by a roll: from then on the old one signs nothing, and the invites that it may have \
signed and that nobody has taken up end. Whoever has a copy of the key can \
do the same, so do it at once. Every key that is to sign signs the change as well, so all of them have to be on this \
machine. Directories that hold a copy of organisation.key.pem need the new file. A roll that fails leaves the new key in \
organisation.next.key.pem: the same again goes on with it, whether the first was heard or not.";

/// The keys that sign for one's own organisation.
#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// List them, as the log proves
    List,
    /// Put a new key in the place of the one in this directory, and end all others that are not kept
    #[command(after_help = AFTER)]
    Roll {
        /// Another private key, in PEM, that goes on signing; may be repeated
        #[arg(long, value_name = "FILE")]
        keep: Vec<PathBuf>,
        /// Show what would be signed, and sign nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Have these keys sign, the one in this directory among them, and no others
    #[command(after_help = AFTER)]
    Set {
        /// Private keys, in PEM, that their owner alone may read
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Show what would be signed and who has to sign it, and sign nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// Does what is asked.
pub(super) async fn run(command: Keys, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    match command {
        Keys::List => list(&session, global).await,
        Keys::Roll { keep, dry_run } => roll(Signatory::of(session)?, &keep, dry_run, global).await,
        Keys::Set { files, dry_run } => set(Signatory::of(session)?, &files, dry_run, global).await,
    }
}

async fn list(session: &Session, global: &Global) -> Result<(), CliError> {
    let (domain, dir) = (session.identity().id().trust_domain(), session.identity().dir());
    let digest = |key: Option<KeyPair>| key.map(|key| key.public_key_digest());
    let here = digest(dir.organisation_key().map_err(unusable)?);
    // In force already where the answer to a roll was lost.
    let next = digest(dir.next_organisation_key().map_err(unusable)?);
    let in_force = in_force(session, domain).await?;
    let row = |key: &PublicKey| {
        let place = match Some(key.id()) {
            id if id == here => "in this directory",
            id if id == next => "in this directory, as organisation.next.key.pem until something is signed with it",
            _ => "",
        };
        vec![domain.to_string(), key.id().fingerprint(), place.to_owned()]
    };
    let json: Vec<_> = in_force
        .iter()
        .map(|key| json!({ "fingerprint": key.id().fingerprint(), "here": Some(key.id()) == here }))
        .collect();
    let rows = in_force.iter().map(row).collect();
    global.output.list(&["organisation", "key", "where"], rows, &json!({ "organisation": domain, "keys": json }))
}

async fn roll(signatory: Signatory, keep: &[PathBuf], dry_run: bool, global: &Global) -> Result<(), CliError> {
    let domain = signatory.organisation()?.clone();
    let kept = read(keep)?;
    if dry_run {
        return would_roll(&signatory, &domain, &kept, global).await;
    }
    // One that is in force already is not the next one.
    let signatory = signatory.settled().await?;
    let dir = signatory.session().identity().dir();
    if let Some(left) = dir.next_organisation_key().map_err(unusable)? {
        say(&format!(
            "an earlier roll was not ended, and its key is not in force: going on with {} ({NEXT_ORGANISATION_KEY_FILE}). If somebody may have copied that file since, roll once more afterwards",
            left.public_key_digest().fingerprint()
        ));
    }
    tell_of_invites(signatory.session(), &domain).await;
    let next = dir.pending_next_organisation_key().map_err(unusable)?;
    let signers: Vec<_> = std::iter::once(&next).chain(&kept).collect();
    let statement = changed(&domain, &signers)?;
    let said = signatory.say_with("change the organisation's keys", statement, &signers).await;
    let said = said.inspect_err(|failed| say(left_behind(failed)))?;
    if matches!(said, Said::InForce(_)) {
        signatory.take_up_next()?;
        let file = dir.path().join(comity_identity::store::ORGANISATION_KEY_FILE);
        say(&format!("other directories that hold a copy need the new one, at mode 600: {}", file.display()));
    }
    report(global, ("keys changed", domain.as_str()), &said)
}

/// What a roll that failed leaves, and what becomes of it. The key is never thrown away: whoever holds back what it signed
/// could have it in force later.
fn left_behind(failed: &CliError) -> &'static str {
    if matches!(failed, CliError::Status { status, .. } if Detail::of(status).is_some()) {
        "the keys are as they were, and organisation.key.pem signs; the key that was made waits in organisation.next.key.pem, and another roll goes on with it"
    } else {
        "whether that was heard is not known: the key that was made waits in organisation.next.key.pem, and the next command that signs, or another roll, finds out from the log and goes on with the right one"
    }
}

/// The new key is made when it is needed, so a dry run cannot name it, except one that an earlier roll has left.
async fn would_roll(
    signatory: &Signatory,
    domain: &TrustDomain,
    kept: &[KeyPair],
    global: &Global,
) -> Result<(), CliError> {
    let left = signatory.session().identity().dir().next_organisation_key().map_err(unusable)?;
    let in_force = in_force(signatory.session(), domain).await?;
    // One that is in force already is not the next one.
    let left = left.filter(|left| in_force.iter().all(|key| key.id() != left.public_key_digest()));
    let begins = left.as_ref().map_or_else(
        || "a new key, made in this directory".to_owned(),
        |left| format!("{}, which an earlier roll made", left.public_key_digest().fingerprint()),
    );
    // Asked with a key in the place of the one that is not made yet, which nobody keeps.
    let next = left.map_or_else(KeyPair::generate, Ok).map_err(unmade)?;
    let signers: Vec<_> = std::iter::once(&next).chain(kept).collect();
    let _needed = signatory.asked(&changed(domain, &signers)?, &signers).await?;
    say("a dry run: nothing is signed, and no key is made");
    let stays = |key: &PublicKey| kept.iter().any(|kept| kept.public_key_digest() == key.id());
    let ends: Vec<_> = in_force.iter().filter(|key| !stays(key)).map(|key| key.id().fingerprint()).collect();
    let kept: Vec<_> = kept.iter().map(|key| key.public_key_digest().fingerprint()).collect();
    let mut fields = vec![
        ("organisation", domain.to_string()),
        ("would end", ends.join(" ")),
        ("would go on", kept.join(" ")),
        ("would begin", begins),
    ];
    let invites = ended_invites(signatory.session(), domain).await?;
    fields.extend(invites.fields);
    let mut json = invites.json;
    json.insert("organisation".to_owned(), json!(domain));
    json.insert("wouldEnd".to_owned(), json!(ends));
    json.insert("wouldGoOn".to_owned(), json!(kept));
    json.insert("wouldBegin".to_owned(), json!(1));
    global.output.record(fields, &Value::Object(json))
}

async fn set(signatory: Signatory, files: &[PathBuf], dry_run: bool, global: &Global) -> Result<(), CliError> {
    let domain = signatory.organisation()?.clone();
    let keys = read(files)?;
    let own = signatory.session().identity().dir().organisation_key().map_err(unusable)?;
    let has_own = own.is_some_and(|own| keys.iter().any(|key| key.public_key_digest() == own.public_key_digest()));
    if !has_own {
        return Err(CliError::Usage {
            problem: "the key of this directory is not among them, which would sign nothing any more".to_owned(),
            hint: "name its organisation.key.pem as well; `comity organisation keys roll` puts a new one in its place"
                .to_owned(),
        });
    }
    let signers: Vec<_> = keys.iter().collect();
    let statement = changed(&domain, &signers)?;
    if dry_run {
        let invites = match signatory.session().log().await {
            Ok(_) => ended_invites(signatory.session(), &domain).await?,
            // As a pause is: what would be signed is shown without the log.
            Err(_) => Consequence::default(),
        };
        return signatory.would_with(global, &statement, &signers, invites).await;
    }
    tell_of_invites(signatory.session(), &domain).await;
    let said = signatory.say_with("change the organisation's keys", statement, &signers).await?;
    report(global, ("keys changed", domain.as_str()), &said)
}

fn changed(organisation: &TrustDomain, keys: &[&KeyPair]) -> Result<Statement, CliError> {
    let keys = keys.iter().map(|key| key.public_key()).collect::<Result<_, SigningError>>();
    let keys = keys.map_err(|error| CliError::Client { doing: "use the keys", source: Box::new(error), hint: None })?;
    Ok(Statement::KeysChanged { organisation: organisation.clone(), keys })
}

/// The invites that the organisation's keys have signed, that hold, and that nobody has taken up: a change of keys ends them.
async fn open_invites(session: &Session, domain: &TrustDomain) -> Result<Vec<(String, String)>, CliError> {
    let (followed, now) = (session.log().await?, session.identity().clock().now());
    let all = followed.log().federation().invites().filter(|(_, invite)| invite.member.trust_domain() == domain);
    let open = all.filter(|(_, invite)| invite.expires_at > now);
    Ok(open.map(|(id, invite)| (id.to_string(), invite.member.to_string())).collect())
}

/// The same, as a dry run shows it.
async fn ended_invites(session: &Session, domain: &TrustDomain) -> Result<Consequence, CliError> {
    let invites = open_invites(session, domain).await?;
    let fields = invites.iter().map(|(id, member)| ("would end the invite", format!("{id} for {member}"))).collect();
    let invites: serde_json::Map<_, _> = invites.into_iter().map(|(id, member)| (id, member.into())).collect();
    Ok(Consequence { fields, json: std::iter::once(("wouldEndInvites".to_owned(), invites.into())).collect() })
}

/// Tells whoever changes the keys which invites they have to make anew. An organisation that has paused itself is not shown
/// the log, and changes its keys all the same.
async fn tell_of_invites(session: &Session, domain: &TrustDomain) {
    match open_invites(session, domain).await {
        Ok(invites) => invites.iter().for_each(|(id, member)| {
            say(&format!("this ends the open invite {id} for {member}: invite again once the keys are changed"));
        }),
        Err(_) => say("the log is not shown: whichever invites of the organisation are open, this ends them"),
    }
}

async fn in_force(session: &Session, domain: &TrustDomain) -> Result<Vec<PublicKey>, CliError> {
    let followed = session.log().await?;
    Ok(followed.log().federation().organisation(domain).map(|state| state.keys.clone()).unwrap_or_default())
}

fn read(files: &[PathBuf]) -> Result<Vec<KeyPair>, CliError> {
    files.iter().map(|file: &PathBuf| read_key(Path::new(file)).map_err(unusable)).collect()
}

fn unmade(error: KeyError) -> CliError {
    CliError::Client { doing: "make a key", source: Box::new(error), hint: None }
}

fn unusable(error: StoreError) -> CliError {
    CliError::Client { doing: "use the organisation's key", source: Box::new(error), hint: None }
}
