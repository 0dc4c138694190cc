use proptest::prelude::*;

use super::*;

/// signed-note, "Verifier keys", the example.
const EXAMPLE_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const EXAMPLE: &str = "This is an example message.\n\n\u{2014} example.com/foo \
    Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

fn line(name: &str, signature: &[u8]) -> SignatureLine {
    SignatureLine { name: name.into(), id: [1, 2, 3, 4], signature: signature.to_vec() }
}

#[test]
fn the_example_of_the_specification_opens() {
    let verifier: NoteVerifier = EXAMPLE_KEY.parse().unwrap();
    assert_eq!(verifier.open(EXAMPLE), Ok("This is an example message.\n"));
    let note = Note::parse(EXAMPLE).unwrap();
    assert_eq!((note.text(), note.to_string()), ("This is an example message.\n", EXAMPLE.to_owned()));
    assert_eq!((note.signatures()[0].name(), note.signatures()[0].id()), ("example.com/foo", [0x53, 0x0d, 0x90, 0x3a]));
}

#[test]
fn the_text_ends_at_the_last_empty_line() {
    let note = Note::parse("a\n\nb\n\n\n\u{2014} k AQIDBAU=\n").unwrap();
    assert_eq!((note.text(), note.signatures()), ("a\n\nb\n\n", &[line("k", &[5])][..]));
}

#[test]
fn what_is_no_note_is_refused() {
    for text in [
        "",
        "\n\n",
        "a\n\n",
        "a\n\u{2014} k AQIDBAU=\n",          // no empty line
        "a\n\n\u{2014} k AQIDBAU=",          // no last newline
        "a\n\n\u{2014} k AQIDBAU=\n\n",      // an empty line behind it
        "a\n\n\u{2014} k AQIDBAU=\nb\n",     // something behind it
        "a\n\n- k AQIDBAU=\n",               // no em dash
        "a\n\n\u{2014}  AQIDBAU=\n",         // no name
        "a\n\n\u{2014} k+k AQIDBAU=\n",      // a plus in the name
        "a\n\n\u{2014} k\u{a0}k AQIDBAU=\n", // a space of Unicode in the name
        "a\n\n\u{2014} k AQIDBAU= \n",       // a space behind it
        "a\n\n\u{2014} k AQIDBA==\n",        // an id and no signature
        "a\n\n\u{2014} k AQID\n",            // not even an id
        "a\n\n\u{2014} k AQIDBAV=\n",        // bits left over: not canonical
        "a\n\n\u{2014} k AQIDBAU\n",         // no padding
        "a\n\n\u{2014} k AQIDBA-_\n",        // the other alphabet
        "a\r\n\n\u{2014} k AQIDBAU=\n",      // a control character in the text
        "a\n\n\u{2014} k\u{1} AQIDBAU=\n",   // and in a name
    ] {
        assert_eq!(Note::parse(text), Err(NoteError::Malformed), "{text:?}");
    }
}

#[test]
fn the_limits_hold_for_reading_and_for_adding_alike() {
    let mut note = Note::parse("a\n\n\u{2014} k AQIDBAU=\n").unwrap();
    for n in 1..MAX_SIGNATURES {
        note.append(line("k", &n.to_be_bytes())).unwrap();
    }
    note.append(line("k", &[5])).unwrap();
    assert_eq!(note.signatures().len(), MAX_SIGNATURES, "a line that stands there is not added again");
    assert_eq!(note.append(line("other", &[1])), Err(NoteError::TooMany));
    assert_eq!(Note::parse(&note.to_string()), Ok(note.clone()));
    let more = format!("{note}\u{2014} other AQIDBAU=\n");
    assert_eq!(Note::parse(&more), Err(NoteError::TooMany));

    let mut long = Note::parse(&format!("{}\n\n\u{2014} k AQIDBAU=\n", "a".repeat(MAX_NOTE_BYTES - 40))).unwrap();
    assert_eq!(long.append(line("k", &[7; 40])), Err(NoteError::TooLong));
    assert_eq!(Note::parse(&"\n".repeat(MAX_NOTE_BYTES + 1)), Err(NoteError::TooLong));
}

proptest! {
    #[test]
    fn a_note_is_read_as_it_was_written_and_written_as_it_was_read(
        text in "([^\\p{Cc}]{0,8}\n){1,4}",
        lines in proptest::collection::vec(("[a-z./]{1,9}", proptest::collection::vec(any::<u8>(), 1..70)), 1..20),
    ) {
        let mut note = Note { text, signatures: Vec::new() };
        for (name, signature) in lines {
            note.append(line(&name, &signature)).unwrap();
        }
        let written = note.to_string();
        let length: usize = note.signatures.iter().map(SignatureLine::written_bytes).sum();
        prop_assert_eq!(written.len(), note.text.len() + 1 + length);
        prop_assert_eq!(Note::parse(&written), Ok(note));
    }

    #[test]
    fn whatever_is_read_is_written_again_byte_for_byte(text in "(a|\n|\u{2014} k |AQIDBAU=|AQID|=| |\u{2014}){0,30}") {
        if let Ok(note) = Note::parse(&text) {
            prop_assert_eq!(note.to_string(), text);
        }
    }
}
