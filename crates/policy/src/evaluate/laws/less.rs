//! Worlds in which less is said, or on weaker evidence.

use serde_json::{Value, json};

use super::world::{Read, World};

/// Ways to say less of one claim. The claim is the whole field: to delete one of several statements, or to let one
/// end, may well help, where that one states something worse than the others do (D16: an audit never erases a worse
/// declaration, and neither does a declaration an audit). Purposes, tags and what else a request declares are no
/// claims: they are what is asked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Less {
    /// Nobody states the field.
    Deleted,
    /// Every statement ends before the instant of the decision.
    Expired,
    /// Every statement is declared by its issuer and no more.
    Declared,
    /// Every statement stands on the next lower level. An attestation that does not count is worth a declaration
    /// already (schema of section 1), so that is the next lower one for all.
    Weaker,
    /// Every statement was taken back.
    Revoked,
}

impl Less {
    pub(super) const ALL: [Self; 5] = [Self::Deleted, Self::Expired, Self::Declared, Self::Weaker, Self::Revoked];
}

/// The world with less said of the claim at `path`.
pub(super) fn less(world: &World, path: &str, how: Less) -> World {
    let mut world = world.clone();
    let as_of = world.0["as_of"].clone();
    let Some(claim) = world.at(path) else { return world };
    if matches!(how, Less::Deleted) {
        claim.take();
        return world;
    }
    let mut statements = statements(claim.take());
    for statement in &mut statements {
        match how {
            Less::Deleted => {}
            Less::Expired => {
                statement.as_object_mut().unwrap().retain(|key, _| !matches!(key.as_str(), "from" | "issued_at"));
                statement["until"] = as_of.clone();
            }
            Less::Revoked => statement["revoked_at"] = as_of.clone(),
            Less::Declared => statement["assurance"] = "self-declared".into(),
            Less::Weaker => {
                let lower = match statement["assurance"].as_str() {
                    Some("audited") => "registry-corroborated",
                    _ => "self-declared",
                };
                statement["assurance"] = lower.into();
            }
        }
    }
    *world.at_or_null(path) = json!({ "statements": statements });
    world
}

impl World {
    fn at_or_null(&mut self, path: &str) -> &mut Value {
        path.split('.').fold(&mut self.0, |value, key| &mut value[key])
    }
}

fn statements(claim: Value) -> Vec<Value> {
    match claim {
        Value::Object(mut fields) if fields.contains_key("statements") => {
            fields.remove("statements").unwrap().as_array().unwrap().clone()
        }
        Value::Object(fields) if fields.contains_key("value") => vec![fields.into()],
        bare @ (Value::Object(_)
        | Value::Array(_)
        | Value::String(_)
        | Value::Number(_)
        | Value::Bool(_)
        | Value::Null) => vec![json!({ "value": bare })],
    }
}

/// What the specification's own worked cases set against L2. The list may only shrink.
///
/// - Case 14 is free of exposure on its owners alone, and organisations may state who controls them without their
///   owners: `ownership` and `ultimate_controllers` stand in for each other as long as one of them is stated.
/// - Case 32 has a caller of which nothing but the seat is stated: headquarters, principal place of business and
///   establishments count for a statute where they are stated.
/// - A quota speaks for no offer: it takes away. Who states none grants as much as there is.
pub(super) fn is_beyond_l2(before: &Read, after: &Read) -> bool {
    let lost_one = |before: &crate::Organisation, after: &crate::Organisation| {
        before.ownership.is_some()
            && before.ultimate_controllers.is_some()
            && after.ownership.is_some() != after.ultimate_controllers.is_some()
    };
    let lost_place = before.caller.headquarters.is_some() && after.caller.headquarters.is_none()
        || before.caller.principal_place_of_business.is_some() && after.caller.principal_place_of_business.is_none()
        || before.caller.establishments.is_some() && after.caller.establishments.is_none();
    let quota = |read: &Read| read.offer.terms.as_ref().is_some_and(|terms| terms.quota.is_some());
    let lost_quota = quota(before) && !quota(after);
    lost_quota
        || lost_one(&before.operator, &after.operator)
        || lost_one(&before.caller, &after.caller)
        || (lost_place && before.file.declared.ai_act_tags.iter().any(|tag| tag.contains(":A5-")))
}
