//! What facts mean: each verdict, without a file or a network.

use std::time::Duration;

use comity_client::probe::{Handshake, Offset, ProbeError, Protocol};
use comity_identity::invite::Inviter;
use comity_identity::{
    Authority, CertificateDer, IdentityDir, Invite, KeyPair, LeafIdentity, OrganisationAnchors, SigningRequest,
};
use comity_proto::error::Failure;
use comity_types::{Digest, Timestamp, TrustDomain};
use tonic::{Code, Status};

use super::finding::{Finding, Outcome};
use super::verdict::{self, Renewer};
use super::{broker, directory, network, node};

const HOUR: Duration = Duration::from_secs(3600);

fn now() -> Timestamp {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

fn leaf(id: &str, from: Timestamp, until: Timestamp) -> LeafIdentity {
    LeafIdentity {
        id: id.parse().unwrap(),
        not_before: from,
        not_after: until,
        certificate: Digest::of(b"certificate"),
        public_key: Digest::of(b"key"),
    }
}

/// The result, after a look at whether it says how to mend what is not ok.
fn result(finding: &Finding) -> Outcome {
    let mends = finding.mend.as_ref().is_some_and(|mend| !mend.is_empty());
    let needs = matches!(finding.result, Outcome::Warn | Outcome::Fail);
    assert_eq!(mends, needs, "{finding:?}");
    finding.result
}

#[test]
fn a_chain_fails_that_none_of_the_stated_authorities_has_signed_and_one_where_none_is_stated() {
    let domain: TrustDomain = "org-a.example".parse().unwrap();
    let [own, other] = [(); 2].map(|()| Authority::generate(domain.clone(), now()).unwrap());
    let id = "spiffe://org-a.example/app/a1".parse().unwrap();
    let request = SigningRequest::parse(&KeyPair::generate().unwrap().signing_request(&id).unwrap()).unwrap();
    let issued = own.issue(&request, &id, &[], HOUR, now()).unwrap().chain;
    let judge = |stated: &[CertificateDer<'_>]| {
        verdict::chain(&issued, &domain, OrganisationAnchors::new(domain.clone(), stated), now())
    };
    assert_eq!(result(&judge(&[other.anchor(), own.anchor()])), Outcome::Ok);
    let unsigned = judge(&[other.anchor()]);
    assert!(result(&unsigned) == Outcome::Fail && unsigned.found.contains("UnknownIssuer"), "{unsigned:?}");
    let nobody = judge(&[]);
    assert!(result(&nobody) == Outcome::Fail && nobody.found.contains("0 anchors"), "{nobody:?}");
}

#[test]
fn a_key_is_its_owners_alone_and_one_that_is_lost_is_missed() {
    for (mode, expected) in [
        (Some(0o600), Outcome::Ok),
        (Some(0o400), Outcome::Ok),
        (Some(0o644), Outcome::Fail),
        (Some(0o640), Outcome::Fail),
        (None, Outcome::Fail),
    ] {
        let finding = verdict::secret_file("key", "d/key.pem", mode);
        assert_eq!(result(&finding), expected, "{finding:?}");
    }
    let exposed = verdict::secret_file("key", "d/key.pem", Some(0o644));
    assert!(exposed.mend.unwrap().contains("chmod 600 d/key.pem") && exposed.found.contains("0644"));
}

#[test]
fn a_certificate_that_ended_fails_one_that_is_due_is_a_warning_and_who_renews_it_is_named() {
    let app = "spiffe://org-a.example/app/a1";
    let judge = |id, from, until| verdict::certificate(&leaf(id, from, until), now(), Renewer::Broker);
    let fresh = judge(app, now().minus(HOUR), now().plus(HOUR * 23));
    assert_eq!(result(&fresh), Outcome::Ok);
    assert!(fresh.found.contains("23h"), "{fresh:?}");
    let due = judge(app, now().minus(HOUR * 20), now().plus(HOUR * 4));
    assert_eq!(result(&due), Outcome::Warn);
    assert!(due.mend.unwrap().contains("comity model list"));
    let node = judge("spiffe://org-a.example/node/n1", now().minus(HOUR * 20), now().plus(HOUR * 4));
    assert!(node.mend.unwrap().contains("start the node"));
    let ended = judge(app, now().minus(HOUR * 25), now().minus(HOUR));
    assert_eq!(result(&ended), Outcome::Fail);
    assert!(ended.found.contains("1h ago") && ended.mend.unwrap().contains("comity identity renew"));
    let node = judge("spiffe://org-a.example/node/n1", now().minus(HOUR * 25), now().minus(HOUR));
    let mend = node.mend.unwrap();
    assert!(mend.contains("start the node") && !mend.contains("join"), "{mend}");
    let early = judge(app, now().plus(HOUR), now().plus(HOUR * 2));
    assert_eq!((result(&early), early.mend.as_deref()), (Outcome::Fail, Some(verdict::SET_CLOCK)));
    let of_spire = verdict::certificate(&leaf(app, now().minus(HOUR * 2), now().minus(HOUR)), now(), Renewer::Workload);
    assert!(of_spire.mend.unwrap().contains("SPIRE"));
}

#[tokio::test]
async fn a_directory_that_waits_for_operators_is_told_so_and_that_its_invite_leads_nowhere() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = IdentityDir::create(temporary.path()).unwrap();
    let key = dir.pending_key().unwrap();
    let invite = Invite::generate(Inviter::Operators, Digest::of(b"root"), "broker.invalid:7443").unwrap();
    dir.take_up(&invite).unwrap();
    let mut findings = Vec::new();
    let mut patient = directory::examine(temporary.path(), None, &mut findings).await;
    network::examine(&mut patient, &mut findings).await;
    let told = broker::examine(&patient, &mut findings).await;
    node::examine(&patient, None, &told, &mut findings);
    let results: Vec<_> = findings.iter().map(|one| (one.check.as_str(), result(one))).collect();
    let (warn, ok, skipped) = (Outcome::Warn, Outcome::Ok, Outcome::Skipped);
    let expected = [
        ("enrolment", warn),
        ("key", ok),
        ("name broker.invalid:7443", Outcome::Fail),
        ("clock", skipped),
        ("standing", skipped),
    ];
    assert_eq!(results, expected);
    let mend = findings[0].mend.as_ref().unwrap();
    assert!(mend.contains(&format!("comity approve {}", invite.id_text())) && !mend.contains("sign"), "{mend}");
    assert!(findings[0].found.contains(&key.public_key_digest().fingerprint()));
    std::fs::write(temporary.path().join("request.pem"), "").unwrap();
    findings.clear();
    directory::examine(temporary.path(), None, &mut findings).await;
    assert!(findings[0].mend.as_ref().unwrap().contains("request.pem"), "{findings:?}");
}

#[test]
fn a_clock_is_judged_by_what_is_certain_of_the_difference() {
    let judge = |millis, uncertainty| {
        result(&verdict::clock(Offset { millis, uncertainty: Duration::from_millis(uncertainty) }))
    };
    assert_eq!(judge(100, 5), Outcome::Ok);
    assert_eq!(judge(-3_000, 5), Outcome::Warn);
    assert_eq!(judge(6_000, 5), Outcome::Fail);
    assert_eq!(judge(-6_000, 5), Outcome::Fail);
    assert_eq!(judge(6_000, 5_000), Outcome::Ok, "a slow answer proves little");
}

#[test]
fn a_handshake_fails_on_another_protocol_and_warns_without_the_hybrid_key_exchange() {
    let judge = |alpn: Option<&str>, version: &str, group: &str| {
        let agreed = Handshake { alpn: alpn.map(str::to_owned), version: version.into(), group: group.into() };
        result(&verdict::handshake("tls".into(), Protocol::Tunnel, &agreed))
    };
    assert_eq!(judge(Some("rh2"), "TLSv1_3", "X25519MLKEM768"), Outcome::Ok);
    assert_eq!(judge(Some("rh2"), "TLSv1_3", "X25519"), Outcome::Warn);
    assert_eq!(judge(Some("h2"), "TLSv1_3", "X25519MLKEM768"), Outcome::Fail);
    assert_eq!(judge(None, "TLSv1_3", "X25519MLKEM768"), Outcome::Fail);
    assert_eq!(judge(Some("rh2"), "TLSv1_2", "X25519MLKEM768"), Outcome::Fail);
}

#[test]
fn a_certificate_of_another_time_is_a_matter_of_clocks() {
    let judge = |error| verdict::step("tls".into(), &error, "call the network's people");
    let early = judge(ProbeError::NotYet { now: now(), not_before: now().plus(HOUR) });
    assert_eq!((result(&early), early.mend.as_deref()), (Outcome::Fail, Some(verdict::SET_CLOCK)));
    assert!(early.found.contains("1h behind"), "{early:?}");
    let late = judge(ProbeError::Ended { now: now(), not_after: now().minus(HOUR) });
    assert!(late.found.contains("ahead by 1h") && late.mend.unwrap().contains("date -u"));
    let other = judge(ProbeError::HungUp);
    assert_eq!((result(&other), other.mend.as_deref()), (Outcome::Fail, Some("call the network's people")));
}

#[test]
fn whoever_is_refused_is_told_the_reason_and_one_who_cannot_ask_is_not_called_refused() {
    let suspended: Status = Failure::new(
        Code::PermissionDenied,
        "ORGANISATION_SUSPENDED",
        "org-a.example is suspended: audit (hint: ask an operator of the federation)",
    )
    .into();
    let finding = verdict::refused(&suspended);
    assert_eq!(result(&finding), Outcome::Fail);
    assert!(finding.found.contains("audit [ORGANISATION_SUSPENDED]"), "{finding:?}");
    assert_eq!(finding.mend.as_deref(), Some("ask an operator of the federation"));
    assert_eq!(result(&verdict::refused(&Status::deadline_exceeded("late"))), Outcome::Skipped);
}

#[test]
fn a_copy_is_stale_above_the_budget_a_warning_above_half_of_it_and_never_heard_is_a_failure() {
    let budget = HOUR / 4;
    let judge = |age| result(&verdict::staleness(Some(now().minus(age)), now(), budget));
    assert_eq!(judge(Duration::from_secs(5)), Outcome::Ok);
    assert_eq!(judge(HOUR / 6), Outcome::Warn);
    assert_eq!(judge(HOUR), Outcome::Fail);
    assert_eq!(result(&verdict::staleness(None, now(), budget)), Outcome::Fail);
    let ahead = verdict::staleness(Some(now().plus(HOUR)), now(), budget);
    assert_eq!((result(&ahead), ahead.mend.as_deref()), (Outcome::Fail, Some(verdict::SET_CLOCK)));
}

#[test]
fn a_class_of_requests_is_refused_above_its_own_budget_which_is_a_warning() {
    let judge = |age| verdict::class("new_callers", Some(now().minus(age)), now(), HOUR / 60);
    assert_eq!(result(&judge(Duration::from_secs(60))), Outcome::Ok);
    let refused = judge(Duration::from_secs(61));
    assert_eq!(result(&refused), Outcome::Warn);
    assert!(refused.found.contains("new_callers is refused"), "{refused:?}");
    assert_eq!(result(&verdict::class("offers.chat", None, now(), HOUR)), Outcome::Warn);
}

#[test]
fn a_node_that_dials_has_to_be_connected_and_one_that_listens_may_not_have_been_called_yet() {
    let judge = |listed| result(&verdict::link(listed));
    assert_eq!(judge(Some(("tunnel", "connected"))), Outcome::Ok);
    assert_eq!(judge(Some(("tunnel", "unreachable"))), Outcome::Fail);
    assert_eq!(judge(Some(("192.0.2.7:7443", "connected"))), Outcome::Ok);
    assert_eq!(judge(Some(("192.0.2.7:7443", "idle"))), Outcome::Ok);
    assert_eq!(judge(Some(("192.0.2.7:7443", "unreachable"))), Outcome::Fail);
    assert_eq!(judge(Some(("", "idle"))), Outcome::Fail);
    assert_eq!(judge(None), Outcome::Fail);
}
