//! `comity join` at a broker: what a person or a script sees of every answer.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a failed step fails the test")]

mod broker;

use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

use comity_identity::Invite;
use comity_proto::error::Failure;
use comity_proto::membership::Kind;
use comity_types::Digest;
use tokio::process::Command;
use tonic::Code;

use broker::{Answer, Broker, MEMBER};

/// Joined.
const DONE: i32 = 0;
/// The answer is no.
const REFUSED: i32 = 1;
/// The command was wrong, or something failed.
const FAULT: i32 = 2;
/// Operators have not decided: `EX_TEMPFAIL`.
const PENDING: i32 = 75;

async fn join(invite: &str, dir: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_comity"));
    command.env_remove("COMITY_IDENTITY").args(["join", invite, "--dir"]).arg(dir).output().await.unwrap()
}

/// Ends with `status`, and says every one of `words`.
fn says(output: &Output, status: i32, words: &[&str]) {
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
    assert!(!said.contains("status: ") && !said.contains("code: "), "not for people: {said}");
}

#[tokio::test]
async fn while_operators_have_not_decided_it_ends_with_75_and_the_same_command_goes_on() {
    let broker = Broker::start().await;
    let (invite, dir) = (broker.invite(), broker.dir.path().join("app"));
    broker.desk.answer([Answer::Wait, Answer::Wait, Answer::Issue]);
    for _ in 0..2 {
        says(&join(&invite, &dir).await, PENDING, &["comity approve", "ab-cd", "the same command again"]);
    }
    says(&join(&invite, &dir).await, DONE, &[MEMBER]);
    says(&join(&invite, &dir).await, DONE, &[MEMBER]);
    assert_eq!(broker.desk.asked().len(), 3, "who has joined asks nobody");
}

#[tokio::test]
async fn a_refusal_is_told_with_its_reason_and_its_hint() {
    let broker = Broker::start().await;
    let message = "the invite expired at noon (hint: ask an operator for a new one)";
    let refusal = Failure::new(Code::FailedPrecondition, "INVITE_EXPIRED", message);
    broker.desk.answer([Answer::Refuse(refusal)]);
    let output = join(&broker.invite(), &broker.dir.path().join("app")).await;
    says(
        &output,
        REFUSED,
        &["error: join: the invite expired at noon [INVITE_EXPIRED]\nhint: ask an operator for a new one"],
    );
}

#[tokio::test]
async fn it_asks_as_an_app_or_an_operator_so_that_a_nodes_invite_is_not_used_up() {
    let broker = Broker::start().await;
    let refusal = Failure::new(Code::FailedPrecondition, "INVITE_OF_ANOTHER_KIND", "the invite is for a node");
    broker.desk.answer([Answer::Refuse(refusal), Answer::Issue]);
    let dir = broker.dir.path().join("app");
    says(&join(&broker.invite(), &dir).await, REFUSED, &["INVITE_OF_ANOTHER_KIND"]);
    assert_eq!(broker.desk.asked()[0].kinds, [i32::from(Kind::App), i32::from(Kind::Operator)]);
    says(&join(&broker.invite(), &dir).await, DONE, &[MEMBER]);
}

#[tokio::test]
async fn a_directory_that_is_taken_is_said_to_be_and_by_whom() {
    let broker = Broker::start().await;
    let dir = broker.dir.path().join("app");
    broker.desk.answer([Answer::Wait, Answer::Issue]);
    let first = broker.invite();
    says(&join(&first, &dir).await, PENDING, &[]);
    says(
        &join(&broker.invite(), &dir).await,
        FAULT,
        &["waits for the answer to another invite", "choose another --dir"],
    );
    says(&join(&first, &dir).await, DONE, &[]);
    says(&join(&broker.invite(), &dir).await, FAULT, &[MEMBER, "choose another --dir"]);
    let operator = join(&broker.invite(), broker.operator_dir()).await;
    says(&operator, FAULT, &["spiffe://fed.example/operator/ada", "choose another --dir"]);
    assert_eq!(broker.desk.asked().len(), 2);
}

#[tokio::test]
async fn a_broker_that_is_down_is_named_with_its_address() {
    let folder = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let invite =
        Invite::generate(comity_identity::Inviter::Operators, Digest::of(b"root"), &address).unwrap().encode().unwrap();
    says(
        &join(invite.reveal(), &folder.path().join("app")).await,
        FAULT,
        &[&address, "hint: check that the broker runs"],
    );
}

#[tokio::test]
async fn a_certificate_that_ended_is_replaced_for_an_admitted_key_and_otherwise_told_of() {
    let broker = Broker::start().await;
    let dir = broker.expired();
    let run = async |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_comity"));
        command.arg("--identity").arg(&dir).args(words).output().await.unwrap()
    };
    let words = ["certificate has ended", "the key is not admitted", "hint: join with an invite"];
    says(&run(&["model", "list"]).await, FAULT, &words);
    broker.desk.admit_everybody();
    says(&run(&["identity", "renew"]).await, DONE, &[MEMBER, "certificate until"]);
    says(&run(&["identity", "show"]).await, DONE, &[MEMBER]);
}

#[tokio::test]
async fn whoever_waits_joins_as_soon_as_it_is_approved() {
    let broker = Broker::start().await;
    broker.desk.answer([Answer::Wait]);
    let (invite, dir) = (broker.invite(), broker.dir.path().join("app"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_comity"));
    command.env_remove("COMITY_IDENTITY").args(["join", &invite, "--wait=1m", "--dir"]).arg(&dir);
    let waiting = command.stdin(std::process::Stdio::null()).output();
    let approval = async {
        while broker.desk.certified() < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        broker.desk.admit_everybody();
    };
    let (output, ()) = tokio::join!(waiting, approval);
    says(&output.unwrap(), DONE, &[MEMBER, "ab-cd", "comity approve"]);
}

#[tokio::test]
async fn what_uses_a_directory_that_waits_completes_it_and_until_then_says_what_it_waits_for() {
    let broker = Broker::start().await;
    broker.desk.answer([Answer::Wait]);
    let (invite, dir) = (broker.invite(), broker.dir.path().join("app"));
    says(&join(&invite, &dir).await, PENDING, &["ab-cd"]);
    let renew = async || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_comity"));
        command.arg("--identity").arg(&dir).args(["identity", "renew"]).output().await.unwrap()
    };
    says(&renew().await, PENDING, &["waits for an operator's approval", "comity approve e1"]);
    broker.desk.admit_everybody();
    says(&renew().await, DONE, &[MEMBER]);
    assert_eq!(broker.desk.asked().len(), 1, "the invite was shown once");
}
