//! The node counts what it admits, whatever brokers have counted.

use futures::future::join_all;

use super::*;

/// Of the same organisation as [`APP`], and of another one.
const APPS: [&str; 2] = ["spiffe://org-b.example/app/a2", "spiffe://org-c.example/app/a1"];

/// A node that grants two requests a day, which knows three apps.
fn limited() -> World {
    let text = NODE_TOML.replace("[terms.standard]", "[terms.standard]\nquota = { requests_per_day = 2 }");
    let more = vec![Said::Admitted("org-c.example", "DE".to_owned(), APPS[1]), Said::Member(APPS[0].to_owned())];
    world_of(&text).knowing([statements("DE"), more].concat())
}

impl World {
    /// The reasons for which such a try of `caller` is refused; none if it runs.
    async fn asked_by(&self, caller: &str, attempt: u32) -> Vec<String> {
        let message = wire::ChatRequest { envelope: Some(envelope()), payload: Some(payload()) };
        let Err(status) = self.server.chat(self.request_of(caller, attempt, Method::Chat, message)).await else {
            return Vec::new();
        };
        let detail = Detail::of(&status).unwrap();
        assert_eq!((status.code(), detail.reason.as_str()), (Code::PermissionDenied, "NODE_VETO"));
        detail.refusal.unwrap().verdicts.remove(0).reasons.into_iter().map(|reason| reason.code).collect()
    }

    fn runs(&self) -> usize {
        self.fake.asked.lock().unwrap().len()
    }
}

#[tokio::test]
async fn a_quota_is_an_organisations_whichever_app_asks_until_the_next_day_in_utc() {
    let world = limited();
    assert_eq!(world.asked_by(APP, 1).await, [""; 0]);
    assert_eq!(world.asked_by(APPS[0], 2).await, [""; 0]);
    assert_eq!(world.asked_by(APP, 3).await, ["QUOTA_EXCEEDED"]);
    assert_eq!(world.asked_by(APPS[0], 4).await, ["QUOTA_EXCEEDED"]);
    assert_eq!((world.asked_by(APPS[1], 5).await, world.runs()), (vec![], 3));
    world.comes_to(Duration::from_secs(15 * 3600));
    world.hears_of_the_broker();
    assert_eq!((world.asked_by(APP, 6).await, world.runs()), (vec![], 4));
}

#[tokio::test]
async fn requests_at_once_do_not_overdraw_a_quota_and_what_is_refused_for_another_reason_is_not_counted() {
    let world = limited();
    let missing = world.server.chat(Request::new(wire::ChatRequest::default())).await.unwrap_err();
    assert_eq!(Detail::of(&missing).unwrap().reason, "PERMIT_MISSING");
    let all = join_all((1..=10).map(|attempt| world.asked_by(APP, attempt))).await;
    assert_eq!((all.iter().filter(|reasons| reasons.is_empty()).count(), world.runs()), (2, 2));
    assert!(all.iter().flatten().all(|code| code == "QUOTA_EXCEEDED"), "{all:?}");
}
