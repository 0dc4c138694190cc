//! What costs credit, what gives it back, and what is never mistaken for something else, however the bytes are cut.

use proptest::prelude::*;

use super::*;

/// Little, so that a test sees the end of it.
const LITTLE: Allowance = Allowance { burst: 40, per_second: 10 };
/// What every client says first.
const FIRST: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, 0], &stream.to_be_bytes(), payload].concat()
}

/// How many of these frames come until the peer is hung up on; the next are taken as if it had not been.
fn until_flood(calm: &mut Calm, frame: &[u8]) -> usize {
    let taken = (0..100_000).take_while(|_| calm.came(frame).is_ok()).count();
    calm.skip = 0;
    taken
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_frame_costs_what_it_makes_us_do_and_calls_and_data_go_on_for_ever() {
    let ends = [
        (kinds::PING, &[0; 8][..], 10),
        (kinds::RST_STREAM, &[0; 4], 10),
        (kinds::SETTINGS, &[], 5),
        (kinds::HEADERS, b"half of a head", 40),
        (kinds::DATA, &[], 40),
        // Priority, new windows, more headers, and what nobody knows.
        (2, &[0; 5], 40),
        (8, &[0; 4], 40),
        (9, &[0; 4], 40),
        (0xee, &[0; 3], 40),
    ];
    for (kind, payload, most) in ends {
        assert_eq!(until_flood(&mut Calm::new(LITTLE), &frame(kind, 1, payload)), most, "kind {kind}");
    }
    let mut data = frame(kinds::DATA, 1, b"x");
    assert_eq!(until_flood(&mut Calm::new(LITTLE), &data), 100_000);
    // A byte that says that no padding follows is all that there is.
    data[4] = PADDED;
    assert_eq!(until_flood(&mut Calm::new(LITTLE), &data), 40);
}

#[tokio::test(start_paused = true)]
async fn credit_comes_back_with_time_and_no_more_than_may_be_saved_up() {
    let mut calm = Calm::new(LITTLE);
    let ping = frame(kinds::PING, 0, &[0; 8]);
    assert_eq!(until_flood(&mut calm, &ping), 10);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(until_flood(&mut calm, &ping), 5);
    tokio::time::advance(Duration::from_secs(24 * 3600)).await;
    assert_eq!(until_flood(&mut calm, &ping), 10);
}

#[tokio::test(start_paused = true)]
async fn who_is_answered_may_say_how_far_it_has_read_and_who_asks_for_single_bytes_may_not_go_on() {
    // As the clients that say it most often: for the call and for the connection, after each token of 40 bytes.
    let (mut calm, windows) = (Calm::new(LITTLE), [frame(8, 1, &[0, 0, 0, 49]), frame(8, 0, &[0, 0, 0, 49])].concat());
    for _ in 0..100_000 {
        calm.sent(HEAD + 40);
        calm.came(&windows).unwrap();
    }
    // A window of one byte, again and again, makes us send frames of one byte.
    let (mut calm, window) = (Calm::new(LITTLE), frame(8, 1, &[0, 0, 0, 1]));
    let asked = (0..100_000).take_while(|_| {
        calm.sent(HEAD + 1);
        calm.came(&window).is_ok()
    });
    assert!(asked.count() < 200);
}

#[tokio::test(start_paused = true)]
async fn who_cancels_calls_that_were_answered_may_and_who_cancels_before_an_answer_may_not() {
    let cancelled = [frame(kinds::HEADERS, 1, b"a head"), frame(kinds::RST_STREAM, 1, &[0; 4])].concat();
    let mut calm = Calm::new(LITTLE);
    for _ in 0..100_000 {
        calm.came(&cancelled).unwrap();
        calm.sent(100);
    }
    assert_eq!(until_flood(&mut Calm::new(LITTLE), &cancelled), 8);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_hung_up_on_is_told_up_to_which_call_they_were_heard() {
    let mut calm = Calm::new(LITTLE);
    calm.came(&[FIRST, &frame(kinds::HEADERS, 7, b"x"), &frame(kinds::HEADERS, 5, b"x")].concat()).unwrap();
    let told = calm.goaway();
    assert_eq!(told[..9], [0, 0, 31, kinds::GOAWAY, 0, 0, 0, 0, 0]);
    assert_eq!(told[9..17], [0, 0, 0, 7, 0, 0, 0, 0xb]);
    assert_eq!(told[17..], *WHY);
    // What a server answers with are our own calls, of which it was never asked for one.
    let mut of_server = Calm::new(LITTLE);
    of_server.came(&frame(kinds::HEADERS, 7, b"x")).unwrap();
    assert_eq!(of_server.goaway()[9..13], [0; 4]);
}

#[tokio::test(start_paused = true)]
async fn the_first_words_have_come_when_the_last_byte_of_them_has() {
    let mut calm = Calm::new(LITTLE);
    for byte in FIRST {
        assert!(!calm.begun());
        calm.came(&[*byte]).unwrap();
    }
    assert!(calm.begun());
    let mut of_server = Calm::new(LITTLE);
    of_server.came(&frame(kinds::SETTINGS, 0, &[0; 6])).unwrap();
    assert!(of_server.begun());
}

proptest! {
    /// What is counted does not hang on how the bytes come, nor on what is in the frames.
    #[test]
    fn however_the_bytes_are_cut_the_same_frames_are_counted(
        frames in prop::collection::vec((0_u8..12, prop::collection::vec(any::<u8>(), 0..40)), 0..40),
        cuts in prop::collection::vec(1_usize..64, 1..64),
        first in any::<bool>(),
    ) {
        let sent: Vec<u8> = frames.iter().flat_map(|(kind, payload)| frame(*kind, 1, payload)).collect();
        let sent = if first { [FIRST, &sent].concat() } else { sent };
        let (mut at_once, mut in_pieces) = (Calm::new(Allowance::DEFAULT), Calm::new(Allowance::DEFAULT));
        at_once.came(&sent).unwrap();
        let mut rest = sent.as_slice();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            in_pieces.came(piece).unwrap();
            rest = after;
        }
        let cost: u32 = frames.iter().map(|(kind, payload)| cost(*kind, 0, u32::try_from(payload.len()).unwrap())).sum();
        prop_assert_eq!(at_once.credit, Allowance::BURST - cost);
        prop_assert_eq!((at_once.credit, at_once.last_call), (in_pieces.credit, in_pieces.last_call));
    }
}
