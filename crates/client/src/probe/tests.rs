//! Each step fails by itself and says why, and a handshake that is let go leaves nothing at the broker.

use tokio::net::TcpListener;

use super::*;
use crate::Identity;
use crate::testing::{LIFETIME, MovedClock, World};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn the_offset_is_taken_from_the_middle_of_the_call() {
    let (sent, received) = (at("2026-11-25T10:00:00Z"), at("2026-11-25T10:00:00.400Z"));
    let offset = Offset::between(sent, at("2026-11-25T10:00:01.200Z"), received);
    assert_eq!(offset, Offset { millis: 1_000, uncertainty: Duration::from_millis(200) });
    assert_eq!(Offset::between(sent, at("2026-11-25T09:59:00.200Z"), received).millis, -60_000);
}

#[tokio::test]
async fn a_name_that_leads_nowhere_and_a_port_where_nobody_listens_are_told_apart() {
    assert!(matches!(resolve("nothing.invalid:1").await, Err(ProbeError::Network(_) | ProbeError::Slow)));
    assert!(matches!(resolve("no port").await, Err(ProbeError::Network(_))));
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert!(matches!(reach(&[free]).await, Err(ProbeError::Network(_))));
    assert!(matches!(reach(&[]).await, Err(ProbeError::NoAddress)));
}

#[test]
fn a_certificate_of_another_time_is_told_with_both_times() {
    let time = |text: &str| {
        let secs = u64::try_from(at(text).as_millis()).unwrap() / 1000;
        rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(secs))
    };
    let (early, late) = ("2026-11-25T10:00:00Z", "2026-11-25T18:00:00Z");
    let not_yet = CertificateError::NotValidYetContext { time: time(early), not_before: time(late) };
    let error = ProbeError::from(rustls::Error::InvalidCertificate(not_yet));
    assert!(matches!(error, ProbeError::NotYet { now, not_before } if now == at(early) && not_before == at(late)));
    let ended = CertificateError::ExpiredContext { time: time(late), not_after: time(early) };
    let error = ProbeError::from(rustls::Error::InvalidCertificate(ended));
    assert!(matches!(error, ProbeError::Ended { now, not_after } if now == at(late) && not_after == at(early)));
}

#[tokio::test]
async fn a_clock_that_is_far_off_is_told_by_the_handshake_and_one_that_is_a_little_off_by_the_brokers_time() {
    let world = World::new().await;
    let identity = Identity::open(world.founded.operator_dir.path()).unwrap();
    let (root, address) = (identity.root(), world.address);
    let shaken = async |ahead: Duration| {
        let clock: Arc<dyn Clock> = MovedClock::by(ahead);
        shake(reach(&[address]).await.unwrap(), enrolment_config(root, &clock).unwrap()).await
    };
    let agreed = shaken(Duration::ZERO).await.unwrap();
    assert_eq!((agreed.alpn.as_deref(), agreed.group.as_str()), (Some("comity-enrol/1"), "X25519MLKEM768"));
    let late = shaken(LIFETIME * 400).await.unwrap_err();
    assert!(matches!(late, ProbeError::Ended { .. }), "{late:?}");
    let minute = Duration::from_secs(60);
    let ahead: Arc<dyn Clock> = MovedClock::by(minute);
    let connection = without_certificate(root, &address.to_string(), &ahead).unwrap();
    let offset = offset(&connection, &*ahead).await.unwrap().unwrap();
    let wrong = (i128::from(offset.millis) + 60_000).unsigned_abs();
    assert!(wrong <= offset.uncertainty.as_millis() + 2, "{offset:?}");
}
