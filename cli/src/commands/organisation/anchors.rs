//! `comity organisation anchors`: the certificate authorities that vouch for an organisation's members.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use comity_identity::anchors::{self, AnchorError};
use comity_identity::{Bundle, CertificateDer, OrganisationAnchors, check_chain, pem};
use comity_membership::Statement;
use comity_proto::membership::PrepareAnchorsRequest;
use comity_runtime::clock::SystemClock;
use comity_runtime::web::bundle;
use comity_types::{Clock as _, Digest, TrustDomain};
use serde_json::json;

use crate::args::Global;
use crate::error::CliError;
use crate::output::say;
use crate::session::Session;
use crate::signing::{Signatory, report};

/// The certificate authorities of one's own organisation.
#[derive(Debug, Subcommand)]
pub(crate) enum Anchors {
    /// List them, as the log proves
    List,
    /// Replace them by those in a file: with a new authority beside the old one, roll; without the old one, end the roll
    Set {
        /// All that are to be valid: certificates in PEM, or a SPIFFE trust bundle (JWKS), which may be an https URL
        #[arg(value_name = "FILE|URL")]
        source: String,
        /// Show what would be signed, and sign nothing
        #[arg(long)]
        dry_run: bool,
        /// Sign also where the certificate of this identity would not hold any more
        #[arg(long)]
        force: bool,
    },
    /// Give the authority that the broker hosts a new key; called again when the old one's last certificate has ended, it
    /// takes the old one away
    Roll {
        /// Show what would be signed and who has to sign it, and sign nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// Does what is asked.
pub(super) async fn run(command: Anchors, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    match command {
        Anchors::List => list(&session, global).await,
        Anchors::Set { source, dry_run, force } => set(Signatory::of(session)?, &source, dry_run, force, global).await,
        Anchors::Roll { dry_run } => roll(Signatory::of(session)?, dry_run, global).await,
    }
}

/// What is refused of it is refused of a dry run as well.
async fn set(signatory: Signatory, source: &str, dry_run: bool, force: bool, global: &Global) -> Result<(), CliError> {
    let organisation = signatory.organisation()?.clone();
    let anchors = read(signatory.session().identity().id().trust_domain(), source).await?;
    let usable = check(signatory.session(), &anchors)?;
    if !force {
        // What is shown in handshakes: it is not in the directory where a Workload API hands it out.
        let chain = signatory.session().identity().credentials().chain();
        check_chain(&chain, usable, SystemClock.now()).map_err(locked_out)?;
    }
    if !dry_run {
        return change(signatory, anchors, global).await;
    }
    let shown = anchors.iter().map(anchors::describe).collect::<Result<Vec<_>, _>>().map_err(unusable)?;
    let _needed = signatory.asked(&changed(&organisation, &anchors), &[]).await?;
    say("a dry run: nothing is signed");
    let rows = shown.iter().map(|anchor| vec![organisation.to_string(), anchor.clone()]).collect();
    let json = json!({ "organisation": organisation, "would_sign": shown });
    global.output.list(&["organisation", "certificate authority"], rows, &json)
}

async fn roll(signatory: Signatory, dry_run: bool, global: &Global) -> Result<(), CliError> {
    let due = signatory.session().membership().prepare_anchors(PrepareAnchorsRequest {}).await;
    let due = due.map_err(|status| CliError::call("roll the authority", status))?.into_inner().anchors_der;
    let anchors: Vec<_> = due.into_iter().map(|der| CertificateDer::from(der.to_vec())).collect();
    if dry_run {
        let statement = changed(signatory.organisation()?, &anchors);
        return signatory.would(global, &[statement]).await;
    }
    if anchors.len() > 1 {
        say("the new authority signs from now on; roll again when the last certificate of the old one has ended");
    }
    change(signatory, anchors, global).await
}

async fn list(session: &Session, global: &Global) -> Result<(), CliError> {
    let followed = session.log().await?;
    let domain = session.identity().id().trust_domain();
    let state = followed.log().federation().organisation(domain);
    let digests: Vec<String> = state.into_iter().flat_map(|state| &state.anchors).map(|text| digest(text)).collect();
    let rows = digests.iter().map(|digest| vec![domain.to_string(), digest.clone()]).collect();
    global.output.list(&["organisation", "sha256"], rows, &json!({ "organisation": domain, "sha256": digests }))
}

fn digest(anchor: &str) -> String {
    STANDARD.decode(anchor).map_or_else(|_| "unreadable".to_owned(), |der| Digest::of(&der).to_string())
}

/// The certificates in a file of PEM, or in a trust bundle, which is JSON.
async fn read(domain: &TrustDomain, source: &str) -> Result<Vec<CertificateDer<'static>>, CliError> {
    let unread = |error| CliError::Client { doing: "read the authorities", source: Box::new(error), hint: None };
    let text = bundle::load(source).await.map_err(unread)?;
    let bad = |why| CliError::BadFile {
        path: PathBuf::from(source),
        expected: "certificates in PEM, or a SPIFFE trust bundle (JWKS)",
        source: why,
    };
    if text.trim_ascii_start().starts_with(b"{") {
        let bundle = Bundle::from_json(domain.clone(), &text).map_err(|error| bad(error.into()))?;
        return Ok(bundle.anchors);
    }
    pem::decode(&text).ok_or_else(|| bad("it holds none that can be read".into()))
}

/// Refused by the broker as well, or worse, not: an authority that has ended vouches for nobody.
fn check(session: &Session, anchors: &[CertificateDer<'static>]) -> Result<OrganisationAnchors, CliError> {
    let domain = session.identity().id().trust_domain().clone();
    OrganisationAnchors::valid_at(domain, anchors, SystemClock.now()).map_err(unusable)
}

fn unusable(error: AnchorError) -> CliError {
    CliError::Client { doing: "use these authorities", source: Box::new(error), hint: None }
}

fn locked_out(error: impl std::error::Error + Send + Sync + 'static) -> CliError {
    CliError::Client {
        doing: "give up the authority of one's own certificate",
        source: Box::new(error),
        hint: Some(
            "leave it in the file until every member has a certificate of the new one; --force signs all the same"
                .into(),
        ),
    }
}

/// Signs that these are the anchors from now on.
async fn change(signatory: Signatory, anchors: Vec<CertificateDer<'static>>, global: &Global) -> Result<(), CliError> {
    let organisation = signatory.organisation()?.clone();
    let said = signatory.say("change the authorities", changed(&organisation, &anchors)).await?;
    report(global, ("anchors changed", organisation.as_str()), &said)
}

fn changed(organisation: &TrustDomain, anchors: &[CertificateDer<'static>]) -> Statement {
    let anchors = anchors.iter().map(|der| STANDARD.encode(der)).collect();
    Statement::AnchorsChanged { organisation: organisation.clone(), anchors }
}
