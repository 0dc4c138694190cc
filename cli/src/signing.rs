//! Statements: what this identity may sign, and what becomes of it.
//!
//! An operator of the federation reads the log first, checks every signature in it, and signs for the state that was
//! proven. An organisation signs with its key, which is in the directory of its first member.

mod own_key;
mod proposed;

use std::sync::Arc;

use comity_client::follow::own::{Copied, OwnError};
use comity_client::follow::{self, FollowError, Followed};
use comity_client::say::{self, Draft, Said, SayError};
use comity_identity::KeyPair;
use comity_membership::authority::Authority;
use comity_membership::{By, Federation, Log, NotTaken, Statement};
use comity_runtime::genesis;
use comity_transparency::Envelope;
use comity_types::ids::Kind;
use comity_types::{SpiffeId, TrustDomain};
use serde_json::{Value, json};
use tonic::Code;

use self::own_key::signers_of;
pub(crate) use self::proposed::{
    counted, envelope_of, named, payload_of, proposal_json, proposals, report, statement_of,
};
use crate::args::Global;
use crate::error::CliError;
use crate::output::{Format, print_json, say as tell};
use crate::session::Session;

/// Somebody who can sign statements.
pub(crate) struct Signatory {
    session: Session,
    key: KeyPair,
    role: Role,
}

/// For whom somebody signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    /// As an operator of the federation, one of some.
    Operator,
    /// For an organisation.
    Organisation(TrustDomain),
}

/// What a statement does beside what it says, as a dry run shows it.
#[derive(Debug, Default)]
pub(crate) struct Consequence {
    /// Lines below what would be signed.
    pub(crate) fields: Vec<(&'static str, String)>,
    /// The same, as JSON.
    pub(crate) json: serde_json::Map<String, Value>,
}

impl Signatory {
    /// Whom the identity of the session can sign for.
    pub(crate) fn of(session: Session) -> Result<Self, CliError> {
        let identity = session.identity();
        let unusable = |error| CliError::Client { doing: "use the key", source: Box::new(error), hint: None };
        let governs =
            identity.id().kind() == Kind::Operator && *identity.id().trust_domain() == identity.root().federation;
        if governs {
            let key = identity.dir().key().map_err(unusable)?;
            return Ok(Self { session, key, role: Role::Operator });
        }
        let domain = identity.id().trust_domain().clone();
        match identity.dir().organisation_key().map_err(unusable)? {
            Some(key) => Ok(Self { session, key, role: Role::Organisation(domain) }),
            None => Err(CliError::Usage {
                problem: format!(
                    "{} cannot sign for {domain}: its directory has no organisation.key.pem",
                    identity.id()
                ),
                hint: format!(
                    "use the identity of the first member of {domain}, which has the key, or that of an operator of the federation"
                ),
            }),
        }
    }

    /// For whom it signs.
    pub(crate) const fn role(&self) -> &Role {
        &self.role
    }

    /// The session.
    pub(crate) const fn session(&self) -> &Session {
        &self.session
    }

    /// Who it is.
    pub(crate) fn id(&self) -> &SpiffeId {
        self.session.identity().id()
    }

    /// The organisation that it signs for.
    pub(crate) fn organisation(&self) -> Result<&TrustDomain, CliError> {
        match &self.role {
            Role::Organisation(domain) => Ok(domain),
            Role::Operator => Err(CliError::Usage {
                problem: "only the organisation itself says this".to_owned(),
                hint: "use the identity that has its key: that of its first member".to_owned(),
            }),
        }
    }

    /// Checks that it signs for the federation.
    pub(crate) fn operator(&self) -> Result<(), CliError> {
        match &self.role {
            Role::Operator => Ok(()),
            Role::Organisation(domain) => Err(CliError::Usage {
                problem: format!("{} is of {domain}, and this is for operators of the federation", self.id()),
                hint: "use the identity that `comity federation init` made, or an operator's that joined".to_owned(),
            }),
        }
    }

    /// Signs a statement and hands it in. What it is signed for is a state that was proven, except where the organisation has
    /// suspended itself or this member: it is not shown the log until it goes on.
    pub(crate) async fn say(&self, doing: &'static str, statement: Statement) -> Result<Said, CliError> {
        self.say_with(doing, statement, &[]).await
    }

    /// The same, with these keys' signatures beside its own.
    pub(crate) async fn say_with(
        &self,
        doing: &'static str,
        statement: Statement,
        also: &[&KeyPair],
    ) -> Result<Said, CliError> {
        let draft = self.draft(statement);
        let own = matches!(self.role, Role::Organisation(_));
        let followed = match self.session.log().await {
            Ok(followed) => followed,
            Err(CliError::Status { status, .. }) if own && status.code() == Code::PermissionDenied => {
                return self.say_unseen(doing, draft, also, &status).await;
            }
            Err(other) => return Err(other),
        };
        let federation = followed.log().federation();
        if self.role == Role::Operator
            && let Some(mut waiting) = self.proposed_already(federation, &draft.statement).await?
        {
            self.endorse(&mut waiting)?;
            return self.submit(doing, &waiting).await;
        }
        let next = self.key_in_force(federation)?;
        let signed = draft.sign(federation, &signers_of(next.as_ref().unwrap_or(&self.key), also));
        let signed = signed.map_err(|error| unsaid(doing, error))?;
        self.submit(doing, &signed).await
    }

    /// What says the same and waits for signatures already: a second proposal would stand in its way.
    async fn proposed_already(
        &self,
        federation: &Federation,
        statement: &Statement,
    ) -> Result<Option<Envelope>, CliError> {
        if matches!(statement, Statement::Suspended { by: By::Brake, .. } | Statement::Lifted { by: By::Brake, .. }) {
            return Ok(None);
        }
        for proposal in proposals(&self.session).await? {
            let envelope = envelope_of(&proposal)?;
            // Not the broker's word: the signatures that it has are checked here.
            if payload_of(&envelope)?.statement == *statement && federation.endorsed(&envelope).is_ok() {
                tell(&format!("{} has proposed the same: signing that", proposal.signed_by.join(" ")));
                return Ok(Some(envelope));
            }
        }
        Ok(None)
    }

    /// Shows what would be signed and who has to sign it, and signs nothing.
    pub(crate) async fn would(&self, global: &Global, statements: &[Statement]) -> Result<(), CliError> {
        let mut shown = Vec::new();
        for statement in statements {
            let signers = self.asked(statement, &[]).await?;
            shown.push(json!({ "statement": statement, "signers": signers }));
        }
        Self::show_would(global, &shown, Consequence::default())
    }

    /// The same of one statement that these keys would sign as well, with what else it does.
    pub(crate) async fn would_with(
        &self,
        global: &Global,
        statement: &Statement,
        also: &[&KeyPair],
        consequence: Consequence,
    ) -> Result<(), CliError> {
        let signers = self.asked(statement, also).await?;
        Self::show_would(global, &[json!({ "statement": statement, "signers": signers })], consequence)
    }

    /// Asks the log what it would say to a statement, if these keys signed it as well: who has to sign it. Nothing is signed
    /// that leaves this process.
    ///
    /// # Errors
    /// It would be refused, or no key of this directory signs.
    pub(crate) async fn asked(&self, statement: &Statement, also: &[&KeyPair]) -> Result<Vec<Value>, CliError> {
        // Whoever their own organisation has suspended, or whose certificate has ended, is not shown the log, and may say what
        // ends that.
        let followed = match self.session.log().await {
            Ok(followed) => followed,
            Err(_) if matches!(self.role, Role::Organisation(_)) => {
                return Ok(vec![json!({ "needed": 1, "of": 1, "who": "a key of the organisation" })]);
            }
            Err(other) => return Err(other),
        };
        let federation = followed.log().federation();
        self.check_sayable(federation, statement, also)?;
        signers(statement, federation)
    }

    fn show_would(global: &Global, shown: &[Value], consequence: Consequence) -> Result<(), CliError> {
        tell("a dry run: nothing is signed");
        if global.output == Format::Json {
            let mut json = consequence.json;
            json.insert("wouldSign".to_owned(), shown.into());
            return print_json(&Value::Object(json));
        }
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let mut fields = Vec::new();
        for one in shown {
            fields.push(("would sign", one["statement"].to_string()));
            for signer in one["signers"].as_array().into_iter().flatten() {
                let of = format!("{} of {}: {}", signer["needed"], signer["of"], text(&signer["who"]));
                fields.push(("signed by", of));
            }
        }
        fields.extend(consequence.fields);
        global.output.record(fields, &json!({}))
    }

    /// Refuses what the log would refuse whoever signed it, so that a dry run does not promise it.
    fn check_sayable(&self, federation: &Federation, statement: &Statement, also: &[&KeyPair]) -> Result<(), CliError> {
        let next = self.next_in_force(federation)?;
        let signers = signers_of(next.as_ref().unwrap_or(&self.key), also);
        let signed = self.draft(statement.clone()).sign(federation, &signers);
        let signed = signed.map_err(|error| unsaid("prepare the statement", error))?;
        self.check_signable(federation, &signed)
    }

    /// The same of what is signed, by whomever: whether it could come into force if enough others signed it as well.
    pub(crate) fn check_signable(&self, federation: &Federation, signed: &Envelope) -> Result<(), CliError> {
        let refused = |refused: &dyn std::fmt::Display| CliError::Failed {
            problem: format!("this would be refused: {refused}"),
            hint: "`comity federation show` shows who takes part, and `comity suspension list` who is suspended"
                .to_owned(),
        };
        let prepared = federation.prepare(signed.clone()).map_err(|error| refused(&error))?;
        let now = self.session.identity().clock().now();
        federation.check_proposed(&prepared, now).map_err(|error| refused(&error))
    }

    /// Adds a signature to what others have signed.
    pub(crate) fn endorse(&self, envelope: &mut Envelope) -> Result<(), CliError> {
        envelope.sign(&self.key).map_err(|error| unsaid("sign", error.into()))
    }

    /// Hands in what is signed.
    pub(crate) async fn submit(&self, doing: &'static str, signed: &Envelope) -> Result<Said, CliError> {
        say::submit(self.session.connection(), signed).await.map_err(|error| unsaid(doing, error))
    }

    /// A statement for this federation, now.
    pub(crate) fn draft(&self, statement: Statement) -> Draft {
        let identity = self.session.identity();
        Draft { federation: self.session.federation_root(), statement, at: identity.clock().now() }
    }
}

impl Session {
    /// The federation's log, every signature in it checked now or when it was first read, as far as a checkpoint of the
    /// broker's agrees.
    pub(crate) async fn log(&self) -> Result<Followed, CliError> {
        self.log_with(|_, _| {}).await
    }

    /// The log as it was last read into the identity's directory, if it was.
    pub(crate) fn kept_log(&self) -> Option<Followed> {
        follow::own::kept(&self.unread(), self.identity().dir().path())
    }

    /// The log up to an epoch, or all of it.
    pub(crate) async fn log_at(&self, epoch: Option<u64>) -> Result<Log, CliError> {
        let mut entries = Vec::new();
        let followed = self.log_with(|_, entry| entries.push(entry.to_vec())).await?;
        let last = followed.log().federation().epoch();
        let epoch = epoch.unwrap_or(last);
        if epoch == 0 || epoch > last {
            return Err(CliError::Usage {
                problem: format!("there is no epoch {epoch}"),
                hint: format!("the log has epochs 1 to {last}"),
            });
        }
        let mut log = Log::new(genesis::genesis(self.identity().root(), self.federation_root()));
        for entry in entries.iter().take(usize::try_from(epoch).unwrap_or(usize::MAX)) {
            log.take(entry).map_err(unproven)?;
        }
        Ok(log)
    }

    /// As [`log`](Self::log), each entry handed to `each` once it is proven.
    pub(crate) async fn log_with(&self, each: impl FnMut(u64, &[u8])) -> Result<Followed, CliError> {
        self.log_by(Copied::ByRoot, each).await
    }

    /// As [`log_with`](Self::log_with), every signature checked now, also those of what is kept beside the identity: for
    /// whoever says of the log that they hold.
    pub(crate) async fn verified_log(&self, each: impl FnMut(u64, &[u8])) -> Result<Followed, CliError> {
        self.log_by(Copied::BySignature, each).await
    }

    async fn log_by(&self, copied: Copied, each: impl FnMut(u64, &[u8])) -> Result<Followed, CliError> {
        let dir = self.identity().dir().path();
        follow::own::read(self.connection(), self.unread(), dir, copied, each).await.map_err(disbelieved)
    }

    fn unread(&self) -> Followed {
        Followed::new(self.identity().root(), self.federation_root(), Arc::clone(self.identity().clock()))
    }
}

/// Who has to sign a statement in this state; that it could not be said at all is told as well.
fn signers(statement: &Statement, federation: &Federation) -> Result<Vec<Value>, CliError> {
    let authority = Authority::of(statement, federation).map_err(|refused| CliError::Failed {
        problem: format!("this cannot be said: {refused}"),
        hint: "`comity federation show` shows who takes part".to_owned(),
    })?;
    Ok(authority.needs().map(|(needed, of, who)| json!({ "needed": needed, "of": of, "who": who })).collect())
}

fn disbelieved(error: OwnError) -> CliError {
    if let OwnError::Follow(error) = error {
        return unfollowed(error);
    }
    CliError::Client { doing: "believe the federation's log", source: Box::new(error), hint: None }
}

fn unproven(error: NotTaken) -> CliError {
    CliError::Client { doing: "believe the federation's log", source: Box::new(error), hint: None }
}

fn unfollowed(error: FollowError) -> CliError {
    if let FollowError::Call(status) = error {
        return CliError::call("read the federation's log", *status);
    }
    CliError::Client { doing: "believe the federation's log", source: Box::new(error), hint: None }
}

fn unsaid(doing: &'static str, error: SayError) -> CliError {
    if let SayError::Call(status) = error {
        return CliError::call(doing, *status);
    }
    CliError::Client { doing, source: Box::new(error), hint: None }
}

/// How many operators it takes to admit, suspend, lift and evict.
pub(crate) fn membership_threshold(federation: &Federation) -> u32 {
    federation.governance().map_or(1, |governance| governance.membership_threshold)
}
