//! The same question as a Cedar policy, evaluated for each offer.
//!
//! Cedar has no unknown, no blocs, no dates, no graph of owners and no explanation. So the peer gets them for
//! nothing: sets of places are expanded beforehand, whether the caller is owned in a way that a rule forbids and
//! whether a licence binds are given as booleans, entities are made beforehand and not counted. What is left is the
//! comparison of each offer's attributes with what is demanded, and that both agree on every offer is asserted.

use std::collections::{BTreeSet, HashMap, HashSet};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request as Asked,
    RestrictedExpression,
};
use comity_bench::tables;
use comity_policy::terms::{RetentionData, RetentionTrigger, TrainingUse};
use comity_policy::{Capability, Claim, Index, Offer, ReasonCode, Request};
use comity_types::Place;

/// Which of the requests both are asked: processing in the EU, no training, 30 days.
pub(crate) const ASKED: usize = 1;

/// What a caller demands and what a node demands of it, as one policy.
const POLICY: &str = r#"
permit(principal, action == Action::"chat", resource) when {
    principal.allowed_processing.containsAll(resource.processing) &&
    principal.allowed_processing.containsAll(resource.readers) &&
    resource.training == "never" &&
    resource.content_retention_days <= 30 &&
    resource.capabilities.contains("chat") &&
    resource.in_force &&
    (resource.serves_everyone || resource.served.contains(principal.seat)) &&
    resource.purposes.contains(context.purpose)
};
forbid(principal, action, resource) when { resource.served_except.contains(principal.seat) };
forbid(principal, action, resource) when { resource.prohibited.contains(context.purpose) };
forbid(principal, action, resource) when { resource.caller_ownership_restricted };
forbid(principal, action, resource) when { resource.licence_forbids };
"#;
/// The purpose of the request.
const PURPOSE: &str = "dpv:CustomerCare";

/// A policy, and the entities of every offer.
pub(crate) struct Peer {
    authorizer: Authorizer,
    policies: PolicySet,
    offers: Vec<(Asked, Entities)>,
}

impl Peer {
    pub(crate) fn new(index: &Index, request: &Request<'_>) -> Self {
        let policies = POLICY.parse().expect("a policy that Cedar reads");
        let caller = uid("Caller", request.caller.trust_domain.as_str());
        let seat = stated(request.caller.seat.as_ref()).map(ToString::to_string).unwrap_or_default();
        let eu = tables().places.countries().filter(|place| is_in(place, "EU", request)).map(ToString::to_string);
        let principal = HashMap::from([
            ("seat".to_owned(), RestrictedExpression::new_string(seat)),
            ("allowed_processing".to_owned(), strings(eu)),
        ]);
        let principal = Entity::new(caller.clone(), principal, HashSet::new()).expect("an entity");
        let answer = index.ask(request);
        let offers = (0..index.len()).map(|place| {
            let offer = index.offer(place).expect("there");
            let codes = answer.codes(place);
            let owned = codes.contains(ReasonCode::CallerOwnershipRestricted)
                || codes.contains(ReasonCode::CallerOwnershipUndetermined);
            let licence = [ReasonCode::LicenceTerritoryExcluded, ReasonCode::LicenceFieldOfUseExcluded];
            let licensed = !licence.into_iter().any(|code| codes.contains(code));
            let resource = uid("Offer", &offer.name().to_string());
            let attributes = attributes(offer, request, owned, licensed);
            let entity = Entity::new(resource.clone(), attributes, HashSet::new()).expect("an entity");
            let entities = Entities::from_entities([principal.clone(), entity], None).expect("entities");
            let context = [("purpose".to_owned(), RestrictedExpression::new_string(PURPOSE.to_owned()))];
            let context = Context::from_pairs(context).expect("a context");
            let asked = Asked::new(caller.clone(), uid("Action", "chat"), resource, context, None).expect("a request");
            (asked, entities)
        });
        Self { authorizer: Authorizer::new(), policies, offers: offers.collect() }
    }

    /// Whether Cedar allows an offer.
    pub(crate) fn allows(&self, place: usize) -> bool {
        let Some((asked, entities)) = self.offers.get(place) else { return false };
        self.authorizer.is_authorized(asked, &self.policies, entities).decision() == Decision::Allow
    }
}

fn attributes(
    offer: &Offer,
    request: &Request<'_>,
    owned: bool,
    licensed: bool,
) -> HashMap<String, RestrictedExpression> {
    let terms = offer.terms.as_ref().expect("offers here have terms");
    let rules = terms.caller_rules.as_ref().expect("terms here have rules");
    let readers = stated(offer.sub_processors.as_ref()).into_iter().flatten().filter(|one| one.content_access);
    let readers = readers.flat_map(|one| &one.places).map(ToString::to_string);
    let kept = stated(terms.retention.as_ref()).map(|retention| retention.0.as_slice()).unwrap_or_default();
    let counts = |rule: &&comity_policy::terms::RetentionRule| {
        rule.data == RetentionData::Content && rule.trigger != RetentionTrigger::LegalObligation
    };
    let days = kept.iter().filter(counts).map(|rule| rule.max_days).max().unwrap_or(0);
    let (everyone, served) = match &rules.served {
        comity_policy::caller_rules::Served::Everyone => (true, BTreeSet::new()),
        comity_policy::caller_rules::Served::Places(sets) => {
            let within = |place: &&Place| sets.iter().any(|set| is_in(place, set.as_str(), request));
            (false, tables().places.countries().filter(within).map(ToString::to_string).collect())
        }
    };
    let below = |all: &BTreeSet<String>| {
        let within = |(id, _): &(&str, _)| all.iter().any(|ancestor| tables().purposes.is_within(id, ancestor));
        tables().purposes.iter().filter(within).map(|(id, _)| id.to_owned()).collect::<Vec<_>>()
    };
    let training = stated(terms.training_use.as_ref()).copied().unwrap_or(TrainingUse::Always);
    // What is only trained on by those who agreed is not trained on here: the caller agreed to nothing.
    let training = if training == TrainingUse::OptIn { TrainingUse::Never } else { training };
    HashMap::from([
        ("processing".to_owned(), strings(stated(offer.processing_locations.as_ref()).into_iter().flatten())),
        ("readers".to_owned(), strings(readers)),
        ("training".to_owned(), RestrictedExpression::new_string(training.to_string())),
        ("content_retention_days".to_owned(), RestrictedExpression::new_long(days.into())),
        ("capabilities".to_owned(), strings(offer.capabilities.iter().map(|one: &Capability| one.as_str()))),
        (
            "in_force".to_owned(),
            RestrictedExpression::new_bool(offer.in_force.until.is_none_or(|end| end > request.as_of)),
        ),
        ("serves_everyone".to_owned(), RestrictedExpression::new_bool(everyone)),
        ("served".to_owned(), strings(served)),
        ("served_except".to_owned(), strings(&rules.served_except)),
        ("purposes".to_owned(), strings(below(&terms.allowed_purposes))),
        ("prohibited".to_owned(), strings(below(&terms.prohibited_purposes))),
        ("caller_ownership_restricted".to_owned(), RestrictedExpression::new_bool(owned)),
        ("licence_forbids".to_owned(), RestrictedExpression::new_bool(!licensed)),
    ])
}

fn is_in(place: &Place, set: &str, request: &Request<'_>) -> bool {
    use comity_policy::tables::blocs::{Membership, Reach};
    let set = set.parse().expect("a place or a bloc");
    let blocs = &tables().blocs;
    let answer = blocs.membership(&tables().places, place, &set, Reach::Within, request.as_of);
    matches!(answer.membership, Membership::Yes(_))
}

fn stated<T>(claim: Option<&Claim<T>>) -> Option<&T> {
    claim.and_then(|claim| claim.statements().first()).map(|statement| &statement.value)
}

fn strings<T: ToString>(all: impl IntoIterator<Item = T>) -> RestrictedExpression {
    RestrictedExpression::new_set(all.into_iter().map(|one| RestrictedExpression::new_string(one.to_string())))
}

fn uid(kind: &str, id: &str) -> EntityUid {
    let kind: EntityTypeName = kind.parse().expect("a type's name");
    EntityUid::from_type_name_and_id(kind, EntityId::new(id))
}
