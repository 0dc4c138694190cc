//! `comity approve`: an operator's signature, after they have seen what they sign.

use std::io::{self, IsTerminal as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use comity_identity::anchors;
use comity_membership::{Application, By, Departure, Federation, Statement, Subject, Suspension, TlsKey};
use comity_proto::membership::{Enrolment, ListEnrolmentsRequest, Proposal};
use comity_transparency::{Envelope, PublicKey};
use comity_types::{SpiffeId, TrustDomain};
use serde_json::{Map, Value, json};

use super::{list, offers};
use crate::args::Global;
use crate::commands::table::adoption;
use crate::confirm;
use crate::error::CliError;
use crate::output::{Format, Stream, joined, lined_table, print_json, say};
use crate::session::Session;
use crate::signing::{self, Signatory, envelope_of, named, proposals, report, statement_of};
use crate::view;

/// Sign what waits for operators: an enrolment, or a proposal that another operator has signed. Compare the fingerprint
/// with the member first.
///
/// Of a new organisation all that it states is shown before anybody is asked, and with all their terms the offers that its
/// first node means to publish. They bind nobody: `comity organisation diff ID` shows later where what it publishes differs.
#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    /// The enrolment's id as `comity enrolment list` shows it, or the proposal's (or its beginning)
    id: String,
    /// Show what would be signed, and sign nothing
    #[arg(long)]
    dry_run: bool,
    /// Sign without asking: the fingerprint was compared. Needed where there is no terminal
    #[arg(long)]
    yes: bool,
}

/// Shows it and signs it.
pub(crate) async fn run(args: ApproveArgs, global: &Global) -> Result<(), CliError> {
    let signatory = Signatory::of(Session::open(global).await?)?;
    signatory.operator()?;
    let followed = signatory.session().log().await?;
    let federation = followed.log().federation();
    let signed = signed(&signatory, federation, &args.id).await?;
    show(&signed.shown);
    if args.dry_run {
        let mut envelope = signed.envelope;
        signatory.endorse(&mut envelope)?;
        signatory.check_signable(federation, &envelope)?;
        say("a dry run: nothing is signed");
        return match global.output {
            Format::Json => print_json(&would_sign(&signed.shown, &envelope)?),
            Format::Table => Ok(()),
        };
    }
    if !args.yes && !confirmed()? {
        return Err(CliError::Interrupted { hint: "nothing was signed; run it again to sign".to_owned() });
    }
    let mut envelope = signed.envelope;
    signatory.endorse(&mut envelope)?;
    let said = signatory.submit("approve", &envelope).await?;
    report(global, ("approved", &args.id), &said)
}

/// What would be signed, for programs: the lines, and of a new organisation the offers that it applied with, as
/// `comity enrolment show` has them.
fn would_sign(shown: &[(String, String)], envelope: &Envelope) -> Result<Value, CliError> {
    let mut json = Map::from_iter([("wouldSign".to_owned(), json!(shown))]);
    if let Statement::OrganisationAdmitted { application } = signing::payload_of(envelope)?.statement {
        let application = Application::open(&application).map_err(wrong)?;
        json.insert("offers".to_owned(), offers::json(&application).into());
    }
    Ok(json.into())
}

/// What is to be signed, and what an operator has to know of it.
struct ToSign {
    envelope: Envelope,
    shown: Vec<(String, String)>,
}

async fn signed(signatory: &Signatory, federation: &Federation, id: &str) -> Result<ToSign, CliError> {
    let proposals = proposals(signatory.session()).await?;
    if let Some(proposal) = named(&proposals, id)? {
        let mut to_sign = proposed(federation, proposal)?;
        let statement = signing::payload_of(&to_sign.envelope)?.statement;
        to_sign.add(known_of(signatory.session(), &statement).await);
        return Ok(to_sign);
    }
    let enrolment = enrolment(signatory.session(), id).await?;
    let enrolment = still_open(enrolment)?;
    let statement = statement(federation, &enrolment)?;
    // Another operator may have signed the same already: then it is that payload that needs one more signature.
    let same = |proposal: &&Proposal| statement_of(proposal).is_ok_and(|other| is_same(&other, &statement));
    let spoken = spoken_of(std::slice::from_ref(&enrolment));
    if let Some(proposal) = proposals.iter().find(same) {
        let mut to_sign = proposed(federation, proposal)?;
        to_sign.add(spoken);
        return Ok(to_sign);
    }
    let mut shown = shown(federation, &statement)?;
    shown.extend(spoken);
    let draft = signatory.draft(statement);
    let unsigned = draft.sign(federation, &[]).map_err(|error| CliError::Client {
        doing: "prepare the statement",
        source: Box::new(error),
        hint: None,
    })?;
    Ok(ToSign { envelope: unsigned, shown })
}

/// The line of an enrolment's or a proposal's no's.
const SAID_NO: &str = "said no so far";

impl ToSign {
    /// Adds what is known of the enrolment: its no's have reasons, which those of the proposal have not.
    fn add(&mut self, spoken: Vec<(String, String)>) {
        let has_noes = spoken.iter().any(|(name, _)| name == SAID_NO);
        self.shown.retain(|(name, _)| !has_noes || name != SAID_NO);
        self.shown.extend(spoken);
    }
}

/// What operators have said of enrolments, and which other keys came by their invites: which of two keys is the member's,
/// only the member can say.
fn spoken_of(enrolments: &[Enrolment]) -> Vec<(String, String)> {
    let line = |name: &str, value: String| (!value.is_empty()).then(|| (name.to_owned(), value));
    let lines = |enrolment| {
        let leaked = line("the invite was also presented by", list::other_keys(enrolment));
        line(SAID_NO, list::refusals(enrolment)).into_iter().chain(leaked)
    };
    enrolments.iter().flat_map(lines).collect()
}

/// What is known of those whom a statement would let in. Where that cannot be told it says so: what is signed does not
/// depend on it, and an approval must not either.
async fn known_of(session: &Session, statement: &Statement) -> Vec<(String, String)> {
    match let_in_by(session, statement).await {
        Ok(enrolments) => spoken_of(&enrolments),
        Err(error) => {
            vec![(
                "enrolment".to_owned(),
                format!("what was said of it is not known, the broker did not list it: {error}"),
            )]
        }
    }
}

/// The enrolments that wait and that a statement would let in.
async fn let_in_by(session: &Session, statement: &Statement) -> Result<Vec<Enrolment>, CliError> {
    let mut request = ListEnrolmentsRequest { without_applications: true, ..Default::default() };
    let lets_in: Box<dyn Fn(&Enrolment) -> bool> = if let Statement::OrganisationAdmitted { application } = statement {
        let invite = Application::open(application).map_err(wrong)?.invite.to_string();
        request.enrolment_id.clone_from(&invite);
        Box::new(move |enrolment| enrolment.id == invite)
    } else if let Statement::RootChanged { operators, .. } = statement {
        let key = |id: SpiffeId| operators.get(&id).map(ToString::to_string);
        Box::new(move |one| one.spiffe_id.parse().ok().and_then(key).is_some_and(|key| key == one.operator_key))
    } else {
        return Ok(Vec::new());
    };
    let answer = session.membership().list_enrolments(request).await;
    let answer = answer.map_err(|status| CliError::call("list the enrolments", status))?.into_inner();
    Ok(answer.enrolments.into_iter().filter(|one| lets_in(one)).collect())
}

/// What a proposal says and who has signed it, each signature checked here, and what is known of whom it lets in.
pub(crate) async fn shown_proposal(
    session: &Session,
    federation: &Federation,
    proposal: &Proposal,
) -> Result<Vec<(String, String)>, CliError> {
    let mut to_sign = proposed(federation, proposal)?;
    let statement = signing::payload_of(&to_sign.envelope)?.statement;
    to_sign.add(known_of(session, &statement).await);
    Ok(to_sign.shown)
}

fn proposed(federation: &Federation, proposal: &Proposal) -> Result<ToSign, CliError> {
    let envelope = envelope_of(proposal)?;
    // Not the broker's word: the signatures that it has are checked here.
    federation.endorsed(&envelope).map_err(|error| CliError::Client {
        doing: "believe the proposal",
        source: Box::new(error),
        hint: None,
    })?;
    let mut shown = shown(federation, &signing::payload_of(&envelope)?.statement)?;
    shown.push(("signed by".into(), proposal.signed_by.join(" ")));
    shown.push(("signed so far".into(), signing::counted(proposal)));
    if !proposal.refused_by.is_empty() {
        shown.push((SAID_NO.into(), proposal.refused_by.join(" ")));
    }
    Ok(ToSign { envelope, shown })
}

pub(crate) async fn enrolment(session: &Session, id: &str) -> Result<Enrolment, CliError> {
    for with_rejected in [false, true] {
        let answer = session
            .membership()
            .list_enrolments(ListEnrolmentsRequest {
                with_rejected,
                enrolment_id: id.to_owned(),
                without_applications: false,
            })
            .await;
        let answer = answer.map_err(|status| CliError::call("list the enrolments", status))?.into_inner();
        if let Some(found) = answer.enrolments.into_iter().find(|enrolment| enrolment.id == id) {
            return Ok(found);
        }
    }
    Err(CliError::NotFound { kind: "enrolment or proposal", name: id.to_owned(), list: "comity enrolment list" })
}

/// Refuses one that is turned down: its end is final.
pub(super) fn still_open(enrolment: Enrolment) -> Result<Enrolment, CliError> {
    if enrolment.rejection.is_none() {
        return Ok(enrolment);
    }
    Err(CliError::Failed {
        problem: format!("the enrolment {} was turned down by {}", enrolment.id, list::refusals(&enrolment)),
        hint: "what comes of it is another invite: `comity invite`".to_owned(),
    })
}

/// The statement that lets an enrolment in.
fn statement(federation: &Federation, enrolment: &Enrolment) -> Result<Statement, CliError> {
    if !enrolment.application.is_empty() {
        let application: Envelope = serde_json::from_slice(&enrolment.application).map_err(wrong)?;
        let opened = Application::open(&application).map_err(wrong)?;
        let (for_whom, invite) = (opened.member.to_string(), opened.invite.to_string());
        if for_whom != enrolment.spiffe_id || invite != enrolment.id {
            return Err(wrong(CliMismatch { for_whom }));
        }
        return Ok(Statement::OrganisationAdmitted { application });
    }
    if enrolment.operator_key.is_empty() {
        return Err(CliError::Failed {
            problem: format!("nobody has taken up the invite {} yet", enrolment.id),
            hint: "wait until its holder has joined; `comity reject` revokes it".to_owned(),
        });
    }
    let (id, key): (SpiffeId, PublicKey) =
        (enrolment.spiffe_id.parse().map_err(wrong)?, enrolment.operator_key.parse().map_err(wrong)?);
    let governance = federation.governance().cloned().ok_or_else(|| wrong(CliMismatch { for_whom: id.to_string() }))?;
    let mut operators = governance.operators;
    operators.insert(id, key);
    Ok(Statement::RootChanged {
        operators,
        root_threshold: governance.root_threshold,
        membership_threshold: governance.membership_threshold,
    })
}

/// The broker shows an enrolment that is not what was signed.
#[derive(Debug, thiserror::Error)]
#[error("what was signed is for {for_whom}, and by another invite than the broker says")]
struct CliMismatch {
    for_whom: String,
}

fn wrong(error: impl std::error::Error + Send + Sync + 'static) -> CliError {
    CliError::Client { doing: "believe the enrolment", source: Box::new(error), hint: None }
}

/// The same change, whoever began to sign it: an application may be signed anew with the same content.
fn is_same(one: &Statement, other: &Statement) -> bool {
    match (one, other) {
        (
            Statement::OrganisationAdmitted { application: one },
            Statement::OrganisationAdmitted { application: other },
        ) => one.payload == other.payload,
        _ => one == other,
    }
}

/// By which key a member connects, where that is not the one whose fingerprint is compared.
fn connects_by(key: TlsKey) -> Option<&'static str> {
    match key {
        TlsKey::Admitted => None,
        TlsKey::ByAuthority => Some("whatever key a certificate of its own authority has, not by the one above"),
    }
}

/// What an operator has to know before they sign.
pub(crate) fn shown(federation: &Federation, statement: &Statement) -> Result<Vec<(String, String)>, CliError> {
    let line = |name: &str, value: String| (name.to_owned(), value);
    let mut lines = vec![line("statement", statement.kind().replace('_', " "))];
    match statement {
        Statement::OrganisationAdmitted { application } => {
            let opened = Application::open(application).map_err(wrong)?;
            lines.extend(
                left_before(federation, &opened.organisation.trust_domain).map(|what| line("was a member", what)),
            );
            lines.extend(view::stated(&opened.organisation, &opened.layers));
            for anchor in &opened.anchors {
                let der = STANDARD.decode(anchor).map_err(wrong)?.into();
                lines.push(line("certificate authority", anchors::describe(&der).map_err(wrong)?));
            }
            lines.push(line("first member", opened.member.to_string()));
            lines.push(line("fingerprint of its key", opened.member_key.id().fingerprint()));
            lines.extend(connects_by(opened.tls_key).map(|how| line("connects by", how.to_owned())));
            let keys = opened.keys.iter().map(|key| key.id().fingerprint()).collect::<Vec<_>>().join(" ");
            lines.push(line("fingerprint of the organisation's key", keys));
            lines.extend(offers::lines(&opened));
        }
        Statement::RootChanged { operators, root_threshold, membership_threshold } => {
            let before = federation.governance();
            for (id, key) in operators {
                let known = before.is_some_and(|before| before.operators.get(id) == Some(key));
                let what = if known { "operator" } else { "new operator" };
                lines.push(line(what, format!("{id} {}", key.id().fingerprint())));
            }
            let gone =
                before.iter().flat_map(|before| before.operators.keys()).filter(|id| !operators.contains_key(*id));
            lines.extend(gone.map(|id| line("operator no more", id.to_string())));
            let (root, membership) = (before.map(|all| all.root_threshold), before.map(|all| all.membership_threshold));
            lines.push(line("signatures for the root", beside(*root_threshold, root)));
            lines.push(line("signatures for membership", beside(*membership_threshold, membership)));
        }
        Statement::Suspended { subject, reason, .. } => {
            lines.push(line("subject", subject.to_string()));
            lines.push(line("reason", reason.clone()));
        }
        Statement::Lifted { subject, .. } => {
            lines.push(line("subject", subject.to_string()));
            lines.extend(lifts(federation, subject).map(|what| line("lifts", what)));
        }
        Statement::Evicted { organisation, reason } => {
            lines.push(line("organisation", organisation.to_string()));
            lines.push(line("reason", reason.clone()));
        }
        Statement::AuditorRecognised { auditor, paths, up_to, until } => {
            lines.push(line("auditor", auditor.to_string()));
            lines.push(line("its word counts on", joined(paths)));
            lines.push(line("up to", up_to.as_str().to_owned()));
            lines.push(line("until", until.to_string()));
        }
        Statement::AuditorRevoked { auditor, reason } => {
            lines.push(line("auditor no more", auditor.to_string()));
            lines.push(line("reason", reason.clone()));
        }
        Statement::TablesAdopted { tables } => lines.extend(adoption::shown(federation, tables)?),
        // What an organisation says of its own: operators sign none of it.
        Statement::OrganisationUpdated { .. }
        | Statement::AnchorsChanged { .. }
        | Statement::KeysChanged { .. }
        | Statement::OrganisationWithdrawn { .. }
        | Statement::MemberInvited { .. }
        | Statement::InviteRevoked { .. }
        | Statement::MemberAdmitted { .. }
        | Statement::MemberWithdrawn { .. }
        | Statement::TermsAccepted { .. }
        | Statement::TermsWithdrawn { .. }
        | Statement::ClaimAudited { .. }
        | Statement::AuditWithdrawn { .. }
        | Statement::OffersPublished { .. } => {
            lines.push(line("content", serde_json::to_string(statement).unwrap_or_default()));
        }
    }
    Ok(lines)
}

/// How an organisation that asks to be let in left before, and what operators held against it then: the log keeps it, and
/// letting it in wipes it.
pub(crate) fn left_before(federation: &Federation, domain: &TrustDomain) -> impl Iterator<Item = String> {
    let left = federation.departure(&Subject::Organisation(domain.clone())).cloned();
    left.into_iter().flat_map(|Departure { evicted, reason, epoch, held }| {
        let how = if evicted { "operators evicted it" } else { "it withdrew" };
        let reason = if reason.is_empty() { "no reason was given".to_owned() } else { reason };
        let held = held.iter().map(|(subject, Suspension { reason, epoch, .. })| {
            format!("{subject} was suspended then, since epoch {epoch}: {reason}")
        });
        let held: Vec<_> = held.collect();
        std::iter::once(format!("{how} at epoch {epoch}: {reason}")).chain(held)
    })
}

/// What operators said against a subject, which they lift.
fn lifts(federation: &Federation, subject: &Subject) -> impl Iterator<Item = String> {
    let said = federation.suspended().into_iter().filter(move |(of, by, _)| of == subject && *by != By::Organisation);
    said.map(|(_, by, Suspension { reason, epoch, at, .. })| {
        let what = if by == By::Brake { "brake" } else { "suspension" };
        format!("the {what} of epoch {epoch}, since {at}: {reason}")
    })
}

/// A threshold, with what it was where it changes: that is what may be missed in a list of operators.
fn beside(now: u32, before: Option<u32>) -> String {
    match before.filter(|before| *before != now) {
        Some(before) => format!("{now}, was {before}"),
        None => now.to_string(),
    }
}

fn show(lines: &[(String, String)]) {
    let rows = lines.iter().map(|(name, value)| vec![name.clone(), value.clone()]).collect();
    say(&lined_table(&["what is signed", ""], rows, Stream::Stderr.width()));
}

/// Asks at a terminal; elsewhere nobody can have looked, unless they say so.
fn confirmed() -> Result<bool, CliError> {
    if !io::stdin().is_terminal() {
        return Err(CliError::Usage {
            problem: "nothing was signed: there is no terminal to ask at".to_owned(),
            hint: "compare the fingerprint with the member, then run it again with --yes".to_owned(),
        });
    }
    confirm::agreed("Have you compared the fingerprint with the member? Sign this?")
}

#[cfg(test)]
mod tests {
    use comity_membership::testing::TestFederation;

    use super::*;

    #[test]
    fn a_threshold_that_changes_is_shown_with_what_it_was() {
        let test = TestFederation::founded(&["alice", "bob"], 2);
        let operators = test.federation.governance().unwrap().operators.clone();
        let changed = Statement::RootChanged { operators, root_threshold: 1, membership_threshold: 2 };
        let lines = shown(&test.federation, &changed).unwrap();
        let of = |name| lines.iter().find(|(line, _)| line == name).unwrap().1.as_str();
        assert_eq!((of("signatures for the root"), of("signatures for membership")), ("1, was 2", "2"));
    }

    /// What `organisation.toml` may state beside trust domain and name, each with a word of what is to be seen of it.
    const FACTS: [(&str, &str, &str); 14] = [
        ("lei", r#""529900T8BM49AURSDO55""#, "529900T8BM49AURSDO55"),
        ("registration_numbers", r#"[{"scheme":"vat-id","number":"DE123456789"}]"#, "DE123456789"),
        ("seat", r#""DE""#, "DE"),
        ("headquarters", r#""AT""#, "AT"),
        ("principal_place_of_business", r#""NL""#, "NL"),
        ("establishments", r#"["BE"]"#, "BE"),
        ("ultimate_controllers", r#"[{"name":"Holding B","seat":"FR"}]"#, "Holding B"),
        ("organisation_type", r#""commercial""#, "commercial"),
        ("sector", r#""62.10""#, "62.10"),
        ("restricted_party_lists", r#"["OFAC-SDN"]"#, "OFAC-SDN"),
        ("monthly_active_users", r#"{"count":12000,"month":"2024-11"}"#, "12000"),
        ("dpf_participation", "false", "false"),
        ("training_choices", r#"{"org-z.example":"opted-out"}"#, "org-z.example"),
        ("disclosure", r#""code-only""#, "code-only"),
    ];

    #[test]
    fn whoever_approves_is_shown_each_fact_and_that_another_key_than_the_compared_one_connects() {
        let mut test = TestFederation::founded(&["alice"], 1);
        let member = "spiffe://org-a.example/node/n1";
        let envelope = test.application("org-a.example", member);
        let mut application = Application::open(&envelope).unwrap();
        let stated = FACTS.map(|(key, value, _)| format!(r#""{key}":{value}"#)).join(",");
        let facts = format!(r#"{{"trust_domain":"org-a.example","name":"A","ownership":null,{stated}}}"#);
        application.organisation = serde_json::from_str(&facts).unwrap();
        application.tls_key = TlsKey::ByAuthority;
        application.anchors.clear();
        let application = application.sign(&[&test.keys["org-a.example"], &test.keys[member]]).unwrap();
        let lines = shown(&test.federation, &Statement::OrganisationAdmitted { application }).unwrap();
        for (key, _, word) in FACTS {
            assert!(lines.iter().any(|(_, value)| value.contains(word)), "{key} is not shown: {lines:?}");
        }
        assert!(lines.iter().any(|(name, _)| name == "connects by"), "{lines:?}");
    }

    #[test]
    fn a_dry_run_has_the_offers_of_an_application_for_programs_and_none_where_nobody_applied() {
        let mut test = TestFederation::founded(&["alice"], 1);
        let application = offers::tests::applied(&mut test);
        let member = "spiffe://org-a.example/node/n1";
        let application = application.sign(&[&test.keys["org-a.example"], &test.keys[member]]).unwrap();
        let envelope = test.signed(Statement::OrganisationAdmitted { application }, &["alice"]);
        let json = would_sign(&[("statement".to_owned(), "admitted".to_owned())], &envelope).unwrap();
        assert_eq!(json["wouldSign"], json!([["statement", "admitted"]]));
        assert_eq!(json["offers"][0]["terms"]["trainingUse"][0]["trainingUse"], "TRAINING_USE_NEVER");
        let subject: Subject = "org-b.example".parse().unwrap();
        let lifted = test.signed(Statement::Lifted { subject, by: By::Federation }, &["alice"]);
        assert_eq!(would_sign(&[], &lifted).unwrap(), json!({ "wouldSign": [] }));
    }

    #[test]
    fn whoever_lifts_is_shown_what_was_said_against_whom() {
        let mut test = TestFederation::founded(&["alice", "bob"], 2);
        let application = test.application("org-a.example", "spiffe://org-a.example/node/n1");
        test.say(Statement::OrganisationAdmitted { application }, &["alice", "bob"]).unwrap();
        let subject: Subject = "org-a.example".parse().unwrap();
        let braked = Statement::Suspended { subject: subject.clone(), reason: "a breach".into(), by: By::Brake };
        test.say(braked, &["alice"]).unwrap();
        let lines = shown(&test.federation, &Statement::Lifted { subject, by: By::Federation }).unwrap();
        let lifts = &lines.iter().find(|(name, _)| name == "lifts").unwrap().1;
        assert_eq!(*lifts, format!("the brake of epoch 3, since {}: a breach", test.now.unwrap()));
    }
}
