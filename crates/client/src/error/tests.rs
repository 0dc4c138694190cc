use comity_proto::error::Failure;

use super::*;

#[test]
fn what_the_broker_says_is_taken_apart() {
    let message = "org-a.example is suspended since epoch 7: audit (hint: ask an operator of the federation)";
    let status = Failure::new(Code::PermissionDenied, "ORGANISATION_SUSPENDED", message).with("epoch", 7).into();
    let explained = explain(&status);
    assert_eq!(
        (explained.cause, explained.message.as_str()),
        (Cause::Answered, "org-a.example is suspended since epoch 7: audit")
    );
    assert_eq!(explained.hint.as_deref(), Some("ask an operator of the federation"));
    assert_eq!(explained.detail.unwrap().reason, "ORGANISATION_SUSPENDED");
}

#[test]
fn deadlines_and_cancellations_are_told_apart() {
    assert_eq!(explain(&Status::deadline_exceeded("late")).cause, Cause::DeadlineExceeded);
    assert_eq!(explain(&Status::cancelled("enough")).cause, Cause::Cancelled);
    let other = explain(&Status::internal("broken"));
    assert_eq!((other.cause, other.message.as_str(), other.hint), (Cause::Other, "broken", None));
}
