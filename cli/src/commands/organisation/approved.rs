//! What an organisation applied with, as the log holds it, beside what its first node publishes now.

use std::collections::BTreeMap;

use comity_membership::{Application, Entry, Federation, InviteId, Statement};
use comity_policy::Offer;
use comity_types::{OfferName, TrustDomain};
use serde_json::{Value, json};

use crate::args::Global;
use crate::changes::{self, Change};
use crate::commands::offer::diff;
use crate::error::CliError;
use crate::output::{Format, joined, print_json, say};

/// An organisation that was let in.
#[derive(Debug, Clone)]
pub(super) struct Admitted {
    epoch: u64,
    application: Application,
}

/// Every admission in a log, in order.
#[derive(Debug, Default)]
pub(super) struct Admissions(Vec<Admitted>);

impl Admissions {
    /// Takes an entry in, which was proven.
    pub(super) fn take(&mut self, epoch: u64, entry: &[u8]) {
        let payload = Entry::from_json(entry).ok().and_then(|entry| entry.payload().ok().flatten());
        let Some(Statement::OrganisationAdmitted { application }) = payload.map(|payload| payload.statement) else {
            return;
        };
        self.0.extend(Application::open(&application).ok().map(|application| Admitted { epoch, application }));
    }

    /// The one by this enrolment.
    pub(super) fn by(&self, enrolment: &InviteId) -> Option<&Admitted> {
        self.0.iter().find(|one| one.application.invite == *enrolment)
    }

    /// The last one of an organisation.
    pub(super) fn last_of(&self, domain: &TrustDomain) -> Option<&Admitted> {
        self.0.iter().rfind(|one| one.application.organisation.trust_domain == *domain)
    }
}

/// How what was applied with stands to what is published.
#[derive(Debug, PartialEq)]
enum Kept {
    /// The organisation takes part no more.
    Gone,
    /// The node has published nothing yet.
    Unpublished,
    /// It has: what differs, and what of the organisation's was not applied with at all.
    Published { changes: Vec<Change>, others: Vec<OfferName> },
}

impl Admitted {
    fn domain(&self) -> &TrustDomain {
        &self.application.organisation.trust_domain
    }

    fn kept(&self, federation: &Federation) -> Kept {
        if federation.organisation(self.domain()).is_none() {
            return Kept::Gone;
        }
        let node = federation.node(&self.application.member);
        let published = node.map(|node| node.offers.as_slice()).unwrap_or_default();
        let own = federation.offers().filter(|offer| offer.node.trust_domain() == self.domain());
        let others = own.filter(|offer| self.applied(offer).is_none()).map(Offer::name).collect::<Vec<_>>();
        if node.is_some_and(|node| node.address.is_none()) && others.is_empty() {
            return Kept::Unpublished;
        }
        let compared = published.iter().filter_map(|offer| Some(as_comparable(offer, self.applied(offer)?)));
        let compared: Vec<_> = compared.collect();
        Kept::Published { changes: changes::between(&fields(&self.application.offers), &fields(&compared)), others }
    }

    /// The offer of the same name that was applied with.
    fn applied(&self, offer: &Offer) -> Option<&Offer> {
        self.application.offers.iter().find(|applied| applied.id == offer.id && applied.node == offer.node)
    }

    /// By which enrolment.
    pub(super) fn enrolment(&self) -> String {
        self.application.invite.to_string()
    }

    /// The same in a line, for whoever looks at the organisation.
    pub(super) fn in_a_line(&self, federation: &Federation) -> String {
        let (count, id) = (self.application.offers.len(), &self.application.invite);
        let kept = self.kept(federation);
        if count == 0 && kept != Kept::Gone {
            return "it applied without naming any".to_owned();
        }
        match kept {
            Kept::Gone => "it takes part no more".to_owned(),
            Kept::Unpublished => format!("{count}, and none is published yet"),
            Kept::Published { changes, others } if changes.is_empty() => {
                format!("{count}, published as it applied{}", beside(&others))
            }
            Kept::Published { changes, others } => format!(
                "{count}, published otherwise ({} in all): `comity organisation diff {id}` shows it{}",
                counted(changes.len(), "field"),
                beside(&others)
            ),
        }
    }
}

/// How many offers there are that nobody was shown before they approved.
fn beside(others: &[OfferName]) -> String {
    if others.is_empty() {
        String::new()
    } else {
        format!("; beside them, {} published", counted(others.len(), "other"))
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A published offer, without what its node alone finds out: the digest of a model whose file it has opened.
fn as_comparable(published: &Offer, applied: &Offer) -> Offer {
    let digest = applied.model_digest.as_ref().and_then(|_| published.model_digest.clone());
    Offer { model_digest: digest, ..published.clone() }
}

/// All that offers state, field by field, each by its node's name and its own.
pub(super) fn fields<'a>(offers: impl IntoIterator<Item = &'a Offer>) -> BTreeMap<String, Value> {
    let of_one = |offer: &Offer| {
        let name = format!("offers.{}/{}", offer.node.name(), offer.id);
        diff::fields(offer).into_iter().map(move |(field, value)| (format!("{name}.{field}"), value))
    };
    offers.into_iter().flat_map(of_one).collect()
}

/// Shows where what is published is not what the enrolment applied with.
pub(super) fn show(
    federation: &Federation,
    admissions: &Admissions,
    admitted: &Admitted,
    global: &Global,
) -> Result<(), CliError> {
    let (id, domain) = (&admitted.application.invite, admitted.domain());
    if let Some(later) = admissions.last_of(domain).filter(|last| last.epoch > admitted.epoch) {
        let (again, by) = (later.epoch, &later.application.invite);
        return Err(CliError::Failed {
            problem: format!(
                "{domain} left after it was let in by the enrolment {id}, and was let in again at epoch {again}"
            ),
            hint: format!("`comity organisation diff {by}` compares with what it applied with then"),
        });
    }
    let kept = admitted.kept(federation);
    if global.output == Format::Json {
        return print_json(&json(admitted, &kept));
    }
    let epoch = admitted.epoch;
    match kept {
        Kept::Gone => say(&format!("{domain} was let in at epoch {epoch}, and takes part no more")),
        Kept::Unpublished => {
            let (count, node) = (admitted.application.offers.len(), &admitted.application.member);
            say(&format!("{domain} was let in at epoch {epoch}; {node} has published none of its {count} offers yet"));
        }
        Kept::Published { changes, others } => {
            if admitted.application.offers.is_empty() {
                say("it applied without naming offers");
            } else if changes.is_empty() {
                say("what it applied with is published as it was");
            } else {
                changes::table(&changes, &["field", "applied with", "published"], global)?;
            }
            if !others.is_empty() {
                say(&format!("published, and not applied with: {}", joined(&others)));
            }
            say(&format!("{domain} was let in at epoch {epoch}"));
        }
    }
    Ok(())
}

fn json(admitted: &Admitted, kept: &Kept) -> Value {
    let (state, changes, others) = match kept {
        Kept::Gone => ("gone", &[][..], &[][..]),
        Kept::Unpublished => ("unpublished", &[][..], &[][..]),
        Kept::Published { changes, others } => ("published", changes.as_slice(), others.as_slice()),
    };
    let change = |one: &Change| json!({ "field": one.field, "applied": one.now, "published": one.then });
    json!({
        "enrolment": admitted.application.invite.to_string(),
        "trustDomain": admitted.domain(),
        "admittedAt": admitted.epoch,
        "state": state,
        "changes": changes.iter().map(change).collect::<Vec<_>>(),
        "notAppliedWith": others.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use comity_membership::testing::TestFederation;

    use super::*;
    use crate::commands::enrolment::offers::tests::applied;

    const NODE: &str = "spiffe://org-a.example/node/n1";

    /// A federation that let in what it was applied with, and what its log says of that.
    fn let_in(change: impl FnOnce(&mut Application)) -> (TestFederation, Admitted) {
        let mut test = TestFederation::founded(&["alice"], 1);
        let mut application = applied(&mut test);
        change(&mut application);
        let signed = application.sign(&[&test.keys["org-a.example"], &test.keys[NODE]]).unwrap();
        test.say(Statement::OrganisationAdmitted { application: signed }, &["alice"]).unwrap();
        (test, Admitted { epoch: 2, application })
    }

    fn publish(test: &mut TestFederation, offers: &[Offer]) {
        let node = NODE.parse().unwrap();
        let statement = Statement::OffersPublished { node, address: "127.0.0.1:9".into(), offers: offers.to_vec() };
        test.say(statement, &[NODE]).unwrap();
    }

    fn changed(kept: Kept) -> (Vec<String>, Vec<String>) {
        let Kept::Published { changes, others } = kept else { panic!("{kept:?}") };
        (changes.into_iter().map(|one| one.field).collect(), others.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_is_published_as_it_was_applied_with_is_no_change_though_the_node_found_the_models_digest() {
        let (mut test, admitted) = let_in(|_| {});
        assert_eq!(admitted.kept(&test.federation), Kept::Unpublished);
        assert_eq!(admitted.in_a_line(&test.federation), "1, and none is published yet");
        let digest = serde_json::from_value(json!(comity_types::Digest::of(b"weights"))).unwrap();
        let found = Offer { model_digest: Some(digest), ..admitted.application.offers[0].clone() };
        publish(&mut test, &[found]);
        assert_eq!(changed(admitted.kept(&test.federation)), (vec![], vec![]));
        assert_eq!(admitted.in_a_line(&test.federation), "1, published as it applied");
    }

    #[test]
    fn terms_that_are_published_otherwise_are_named_field_by_field_and_offers_beside_them_by_name() {
        let (mut test, admitted) = let_in(|_| {});
        let mut other = admitted.application.offers[0].clone();
        other.terms = Some(serde_json::from_value(json!({ "training_use": "opt-in" })).unwrap());
        let beside = Offer { id: "more".parse().unwrap(), ..other.clone() };
        publish(&mut test, &[other, beside]);
        let (fields, others) = changed(admitted.kept(&test.federation));
        let terms = ["allowed_purposes", "caller_rules", "retention", "training_use"];
        assert_eq!(fields, terms.map(|term| format!("offers.n1/chat.terms.{term}")));
        assert_eq!(others, ["org-a.example/n1/more"]);
        let said = admitted.in_a_line(&test.federation);
        assert!(said.starts_with("1, published otherwise (4 fields in all)"), "{said}");
        assert!(said.ends_with("; beside them, 1 other published"), "{said}");
    }

    #[test]
    fn an_offer_that_is_taken_back_differs_in_all_it_said_and_whoever_named_none_has_nothing_to_compare() {
        let (mut test, admitted) = let_in(|_| {});
        publish(&mut test, &[]);
        let (fields, others) = changed(admitted.kept(&test.federation));
        assert!(fields.contains(&"offers.n1/chat.model".to_owned()) && others.is_empty(), "{fields:?}");
        let (test, admitted) = let_in(|application| application.offers.clear());
        assert_eq!(admitted.in_a_line(&test.federation), "it applied without naming any");
    }

    #[test]
    fn the_log_says_who_applied_with_what() {
        let mut test = TestFederation::founded(&["alice"], 1);
        let application = applied(&mut test);
        let signed = application.sign(&[&test.keys["org-a.example"], &test.keys[NODE]]).unwrap();
        let envelope = test.signed(Statement::OrganisationAdmitted { application: signed }, &["alice"]);
        let entry = test.entry(comity_membership::Body::Signed(envelope));
        let mut admissions = Admissions::default();
        admissions.take(entry.epoch, &entry.to_json().unwrap());
        assert_eq!(admissions.by(&application.invite).unwrap().application, application);
        assert_eq!(admissions.last_of(&"org-a.example".parse().unwrap()).unwrap().epoch, entry.epoch);
        assert!(admissions.by(&InviteId::from_bytes([9; 16])).is_none());
    }
}
