//! Health of the broker while it serves: red when its own certificate has ended, since nobody believes who it is then, and
//! while it can decide nothing. A journal that fails ends the broker itself.

use std::time::Duration;

use comity_identity::Credentials;
use comity_types::{Clock, Timestamp};
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::registry::deciding::Undecidable;
use crate::routes::announce;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// What keeps the broker from serving.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("the broker's certificate has ended at {0}: nobody can connect")]
    Certificate(Timestamp),
    #[error("nothing can be decided")]
    Undecidable(#[source] Undecidable),
}

impl Trouble {
    /// The first of them, if there is any now.
    pub(crate) fn of(credentials: &Credentials, wall: &dyn Clock, undecidable: Option<Undecidable>) -> Option<Self> {
        let not_after = credentials.leaf().not_after;
        let has_ended = wall.now() > not_after;
        has_ended.then_some(Self::Certificate(not_after)).or_else(|| undecidable.map(Self::Undecidable))
    }
}

/// Follows what `trouble` says until `stop`; health says at first that all is served.
pub(crate) async fn follow(
    health: HealthReporter,
    trouble: impl Fn() -> Option<Trouble> + Send,
    stop: CancellationToken,
) {
    let mut before = ServingStatus::Serving;
    while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
        let trouble = trouble();
        let status = if trouble.is_some() { ServingStatus::NotServing } else { ServingStatus::Serving };
        if status != before {
            announce(&health, status).await;
            tell(trouble);
            before = status;
        }
    }
}

fn tell(trouble: Option<Trouble>) {
    match trouble {
        Some(trouble) => tracing::error!(error = comity_runtime::chain::text(&trouble), "the broker serves nobody"),
        None => tracing::info!("the broker serves again"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use comity_identity::{Authority, KeyPair, SigningRequest};
    use comity_runtime::tasks::{Closed, Tasks};
    use tonic::Request;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_check_response::ServingStatus as Told;
    use tonic_health::pb::health_server::Health as _;
    use tonic_health::server::HealthService;

    use super::*;

    #[derive(Debug)]
    struct SetClock(Mutex<Timestamp>);

    impl Clock for SetClock {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn health_is_red_while_the_brokers_certificate_has_ended_or_nothing_can_be_decided_and_green_again_after() {
        let start: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let authority = Authority::generate("fed.example".parse().unwrap(), start).unwrap();
        let clock = Arc::new(SetClock(Mutex::new(start)));
        let issue = |now| {
            let (key, id) = (KeyPair::generate().unwrap(), "spiffe://fed.example/broker/b1".parse().unwrap());
            let request = SigningRequest::parse(&key.signing_request(&id).unwrap()).unwrap();
            (authority.issue(&request, &id, &[], Duration::from_secs(3600), now).unwrap().chain, key)
        };
        let (chain, key) = issue(start);
        let credentials = Arc::new(Credentials::new(chain, &key).unwrap());
        let (health, tasks) = (HealthReporter::new(), Tasks::new());
        let service = HealthService::from_health_reporter(health.clone());
        announce(&health, ServingStatus::Serving).await;
        let undecidable = Arc::new(Mutex::new(None));
        let trouble = {
            let (credentials, clock, undecidable) = (Arc::clone(&credentials), clock.clone(), Arc::clone(&undecidable));
            move || Trouble::of(&credentials, &*clock, *undecidable.lock().unwrap())
        };
        tasks.spawn("health", follow(health, trouble, tasks.token()));
        let told = async |service_name: &str| {
            let request = Request::new(HealthCheckRequest { service: service_name.to_owned() });
            service.check(request).await.unwrap().into_inner().status()
        };
        tokio::time::sleep(LOOK * 2).await;
        assert_eq!(told("").await, Told::Serving);

        let late = start.plus(Duration::from_secs(3601));
        *clock.0.lock().unwrap() = late;
        tokio::time::sleep(LOOK * 2).await;
        for name in ["", "comity.inference.v1.Inference", "comity.membership.v1.Membership"] {
            assert_eq!(told(name).await, Told::NotServing, "{name}");
        }

        let (chain, key) = issue(late);
        credentials.replace(chain, &key).unwrap();
        tokio::time::sleep(LOOK * 2).await;
        assert_eq!(told("").await, Told::Serving);

        *undecidable.lock().unwrap() = Some(Undecidable::Behind { last: late, now: start });
        tokio::time::sleep(LOOK * 2).await;
        assert_eq!(told("").await, Told::NotServing);
        *undecidable.lock().unwrap() = None;
        tokio::time::sleep(LOOK * 2).await;
        assert_eq!(told("").await, Told::Serving);
        assert_eq!(tasks.close(LOOK).await, Closed::Drained);
    }
}
