//! What a receipt weighs, and what it takes to verify one: the log's signature, both proofs, and the records.

use comity_broker::ledger::decisions::{Committed, Ledger};
use comity_transparency::NoteVerifier;
use comity_transparency::receipt::{Proven, Receipt};
use prost::Message as _;

use crate::figures::Column;
use crate::{LOG, Place, machine, records};

/// Rounds.
const ROUNDS: usize = 5;
/// How often a receipt is verified in each. The system counts in parts of 10 ms, which are then a few hundredths of a round.
const TIMES: u32 = 5_000;
/// What is promised, in microseconds.
const PROMISED: f64 = 1_000.0;

/// Makes the receipt of a decision in the log as it stands, and verifies it often.
pub(crate) async fn measure(place: &Place, ledger: &Ledger, committed: &Committed) {
    let settled = ledger.settle(committed, records::outcome()).await.unwrap();
    let wire = settled.receipt();
    let receipt = Receipt::try_from(wire.clone()).unwrap();
    let verifier = NoteVerifier::of(&place.key().verifiers()[0]);
    let bare = Receipt {
        checkpoint: receipt.checkpoint.clone(),
        decision: without_record(&receipt.decision),
        outcome: receipt.outcome.as_ref().map(without_record),
    };
    let path = receipt.decision.path.len();
    println!("A receipt in that log, of its first decision, the proof of which has {path} hashes:\n");
    println!("| what | |\n|---|--:|");
    println!("| in trailers | {} bytes |", wire.encoded_len());
    println!("| as a file | {} bytes |", receipt.to_file().unwrap().len());
    println!("| a permit, to a node | {} bytes |", committed.permit(0, 1).unwrap().encoded_len());
    let verify = |receipt: &Receipt| {
        let verified = receipt.verify(LOG, &verifier).unwrap();
        assert!(verified.outcome().is_some());
    };
    let alone = time(|| verify(&bare));
    let with_records = time(|| verify(&receipt));
    let from_trailers = time(|| verify(&Receipt::try_from(wire.clone()).unwrap()));
    let word = records::Word::new();
    println!(
        "| a node's signed outcome, before it is kept, µs of one core | {} |",
        time(|| drop(word.verify())).text(0)
    );
    println!("| signature and both proofs, µs of one core | {} |", alone.text(0));
    println!("| the same, with what is shown of both records | {} |", with_records.text(0));
    println!("| the same, read from trailers | {} |", from_trailers.text(0));
    let worst = from_trailers.median;
    println!("\na receipt verified in < {PROMISED} µs: {}\n", if worst < PROMISED { "met" } else { "NOT met" });
}

fn without_record(proven: &Proven) -> Proven {
    Proven { record: None, ..proven.clone() }
}

/// Microseconds of processor time that something takes.
fn time(what: impl Fn()) -> Column {
    let round = |_| {
        let begun = machine::cpu_seconds();
        (0..TIMES).for_each(|_| what());
        (machine::cpu_seconds() - begun) * 1e6 / f64::from(TIMES)
    };
    Column::of((0..ROUNDS).map(round))
}
