//! ONE table: which kind of peer may call which RPC, and whether it answers with a stream. A method without a row is
//! refused, and a test fails for an RPC of the contract that has none.
//!
//! Adding an RPC: 1. the schema, 2. `cargo xtask gen`, 3. a row here, 4. a scenario.

use comity_types::ids::Kind;

/// Who calls, as far as authorisation is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Caller {
    /// Nobody showed a certificate: only on the enrolment protocol.
    Anonymous,
    /// A verified member of an organisation, of this kind.
    Member(Kind),
    /// A verified operator of the federation itself.
    Governor,
}

/// What a method is, to the layers at the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// The path, `/<package>.<Service>/<Method>`.
    pub path: &'static str,
    /// Who may call it on a broker.
    pub callers: &'static [Caller],
    /// What it answers with.
    pub answer: Answer,
}

/// What a method answers with: a stream may outlive what its caller may see, and has to be ended then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// One message.
    Message,
    /// Any number of messages.
    Stream,
}

const ANYONE: &[Caller] = &[Caller::Anonymous, APP, NODE, OPERATOR, GOVERNOR];
const ANONYMOUS: &[Caller] = &[Caller::Anonymous];
const MEMBERS: &[Caller] = &[APP, NODE, OPERATOR, GOVERNOR];
const GOVERNORS: &[Caller] = &[GOVERNOR];
/// Nodes serve it for their broker.
const NOBODY: &[Caller] = &[];
const APP: Caller = Caller::Member(Kind::App);
const NODE: Caller = Caller::Member(Kind::Node);
const OPERATOR: Caller = Caller::Member(Kind::Operator);
const GOVERNOR: Caller = Caller::Governor;

/// Every RPC of the contract, and who may call it on a broker.
pub const METHODS: &[Method] = &[
    row("/comity.inference.v1.Inference/Chat", &[APP]),
    stream("/comity.inference.v1.Inference/ChatStream", &[APP]),
    row("/comity.inference.v1.Inference/Embed", &[APP]),
    stream("/comity.inference.v1.Inference/Forward", &[APP]),
    row("/comity.catalog.v1.Catalog/ListModels", MEMBERS),
    row("/comity.catalog.v1.Catalog/ListOffers", MEMBERS),
    row("/comity.catalog.v1.Catalog/Explain", &[APP]),
    row("/comity.catalog.v1.Catalog/ListBudgets", MEMBERS),
    row("/comity.enrolment.v1.Enrolment/GetRoot", ANYONE),
    row("/comity.enrolment.v1.Enrolment/GetInvite", ANONYMOUS),
    row("/comity.enrolment.v1.Enrolment/Join", ANONYMOUS),
    row("/comity.enrolment.v1.Enrolment/Certify", ANONYMOUS),
    row("/comity.enrolment.v1.Enrolment/Lift", ANONYMOUS),
    row("/comity.enrolment.v1.Enrolment/Renew", MEMBERS),
    row("/comity.membership.v1.Membership/Submit", MEMBERS),
    row("/comity.membership.v1.Membership/PrepareAnchors", &[APP, NODE, OPERATOR]),
    row("/comity.membership.v1.Membership/ListProposals", GOVERNORS),
    row("/comity.membership.v1.Membership/Invite", GOVERNORS),
    row("/comity.membership.v1.Membership/ListEnrolments", MEMBERS),
    row("/comity.membership.v1.Membership/Reject", GOVERNORS),
    row("/comity.membership.v1.Membership/RejectProposal", GOVERNORS),
    row("/comity.membership.v1.Membership/ListOrganisations", MEMBERS),
    row("/comity.membership.v1.Membership/ListNodes", MEMBERS),
    row("/comity.membership.v1.Membership/ListApps", MEMBERS),
    stream("/comity.membership.v1.Membership/Watch", MEMBERS),
    row("/comity.transparency.v1.Transparency/GetResource", MEMBERS),
    row("/comity.transparency.v1.Transparency/GetReceipt", MEMBERS),
    stream("/comity.transparency.v1.Transparency/ListReceipts", &[OPERATOR, GOVERNOR]),
    row("/comity.transparency.v1.Transparency/EraseRecord", &[OPERATOR, GOVERNOR]),
    row("/comity.tunnel.v1.Tunnel/Leave", NOBODY),
    row("/grpc.health.v1.Health/Check", MEMBERS),
    stream("/grpc.health.v1.Health/Watch", MEMBERS),
    stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", MEMBERS),
    stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", MEMBERS),
];

const fn row(path: &'static str, callers: &'static [Caller]) -> Method {
    Method { path, callers, answer: Answer::Message }
}

const fn stream(path: &'static str, callers: &'static [Caller]) -> Method {
    Method { path, callers, answer: Answer::Stream }
}

/// The row of a path, or `None` for a method that does not exist and is refused.
#[must_use]
pub fn find(path: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.path == path)
}

impl Method {
    /// True if the table lets `caller` call it.
    #[must_use]
    pub fn admits(&self, caller: Caller) -> bool {
        self.callers.contains(&caller)
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    #[test]
    fn every_rpc_of_the_contract_has_a_row_that_says_how_it_answers_and_every_row_an_rpc() {
        let set = prost_types::FileDescriptorSet::decode(crate::DESCRIPTORS).unwrap();
        let mut contract: Vec<_> = set
            .file
            .iter()
            .flat_map(|file| file.service.iter().map(move |service| (file.package(), service)))
            .flat_map(|(package, service)| {
                let path = move |method: &str| format!("/{package}.{}/{method}", service.name());
                service.method.iter().map(move |m| (path(m.name()), m.server_streaming()))
            })
            .collect();
        let rows = METHODS.iter().map(|m| (m.path.to_owned(), m.answer == Answer::Stream));
        let mut rows: Vec<_> = rows.filter(|(path, _)| path.starts_with("/comity.")).collect();
        contract.sort();
        rows.sort();
        assert_eq!(contract, rows, "add the missing rows to METHODS, or take the dead ones out");
    }

    #[test]
    fn only_apps_infer_and_only_the_federations_operators_let_in() {
        let chat = find("/comity.inference.v1.Inference/Chat").unwrap();
        assert!(chat.admits(APP) && !chat.admits(NODE) && !chat.admits(OPERATOR) && !chat.admits(Caller::Anonymous));
        let invite = find("/comity.membership.v1.Membership/Invite").unwrap();
        assert!(invite.admits(GOVERNOR) && !invite.admits(OPERATOR) && !invite.admits(APP) && !invite.admits(NODE));
        assert!(find("/comity.membership.v1.Membership/Unknown").is_none());
    }
}
