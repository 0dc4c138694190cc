//! Each step fails by itself and says why, and a handshake that is let go leaves nothing at the broker.

use tokio::net::TcpListener;

use super::*;

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
