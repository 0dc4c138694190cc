//! A field is shown and proven alone, and what is not shown stays hidden.

use proptest::prelude::*;

use super::*;

fn record(salt: u8) -> Record {
    let record = Record::new(RecordKind::Decision, [salt; SALT_BYTES]);
    let record = record.with(Field::CALLER, "spiffe://org-a.example/app/assistant").unwrap();
    record.with(Field::MODEL, "llama").unwrap().with(Field::CONSIDERED, "").unwrap()
}

#[test]
fn the_commitment_is_what_the_document_says() {
    let prk = aws_lc_rs::hkdf::Prk::new_less_safe(aws_lc_rs::hkdf::HKDF_SHA256, &[7; 32]);
    let mut salt = [0; 32];
    prk.expand(&[b"comity/record/v1\n\x01\x02"], aws_lc_rs::hkdf::HKDF_SHA256).unwrap().fill(&mut salt).unwrap();
    let mut tree = Tree::default();
    for place in 0..FIELDS {
        tree.push(&if place == 2 { [&salt[..], b"llama"].concat() } else { Vec::new() });
    }
    let record = Record::new(RecordKind::Decision, [7; SALT_BYTES]).with(Field::MODEL, "llama").unwrap();
    assert_eq!(record.commitment(), tree.root());
}

#[test]
fn a_field_is_shown_alone_and_nothing_else_with_it() {
    let record = record(7);
    let shown = record.disclose(|field| field == Field::MODEL);
    assert_eq!(shown.commitment(), record.commitment());
    assert_eq!((shown.get(Field::MODEL), shown.get(Field::CALLER)), (Some(&b"llama"[..]), None));
    let text = format!("{shown:?}");
    assert!(!text.contains(&format!("{:?}", b"spiffe")[1..10]), "{text}");
    // The salt of one field tells nothing of another's.
    let Place::Shown { salt: model, .. } = &shown.places()[2] else { panic!("{shown:?}") };
    let all = record.disclose(|_| true);
    let Place::Shown { salt: caller, .. } = &all.places()[0] else { panic!("{all:?}") };
    assert_ne!(model, caller);
}

#[test]
fn a_record_that_is_hashed_once_commits_to_and_shows_what_it_does_by_itself() {
    let (record, hashed) = (record(7), record(7).hashed());
    assert_eq!((hashed.commitment(), hashed.record().to_bytes()), (record.commitment(), record.to_bytes()));
    let some = |field| field == Field::MODEL || field == Field::CONSIDERED;
    assert_eq!(hashed.disclose(some), record.disclose(some));
    assert_eq!(hashed.disclose(some).commitment(), record.commitment());
    assert!(!format!("{hashed:?}").contains("7, 7"), "{hashed:?}");
}

#[test]
fn the_same_fields_with_another_salt_are_another_commitment() {
    assert_ne!(record(7).commitment(), record(8).commitment());
}

#[test]
fn an_empty_value_is_not_an_absent_one() {
    let without = Record::new(RecordKind::Decision, [7; SALT_BYTES]);
    let with = without.clone().with(Field::REFUSED, "").unwrap();
    assert_ne!(without.commitment(), with.commitment());
    assert_eq!((without.get(Field::REFUSED), with.get(Field::REFUSED)), (None, Some(&b""[..])));
}

#[test]
fn what_is_shown_can_be_shown_in_part_and_never_more() {
    let record = record(7);
    let less = record.disclose(|_| true).narrowed(|field| field == Field::CALLER);
    assert_eq!(less, record.disclose(|field| field == Field::CALLER));
    assert_eq!(less.narrowed(|_| true), less);
}

#[test]
fn a_changed_value_salt_or_place_is_not_of_the_record() {
    let record = record(7);
    let all = record.disclose(|_| true);
    let mut places = all.places().clone();
    if let Place::Shown { value, .. } = &mut places[2] {
        value.push(b'!');
    }
    assert_ne!(Disclosure::new(RecordKind::Decision, places).commitment(), record.commitment());
    let mut places = all.places().clone();
    places.swap(0, 2);
    assert_ne!(Disclosure::new(RecordKind::Decision, places).commitment(), record.commitment());
}

#[test]
fn a_field_belongs_to_one_kind_and_has_a_bound() {
    let record = record(7).with(Field::OFFER, "o").unwrap();
    assert_eq!(record.get(Field::OFFER), None);
    let long = record.with(Field::MODEL, vec![0; MAX_VALUE_BYTES + 1]);
    assert!(matches!(long, Err(RecordError::TooLong { field: "model", .. })));
}

#[test]
fn names_and_places_are_fixed() {
    let names = |kind: RecordKind| kind.fields().map(|field| (field.place(), field.name())).collect::<Vec<_>>();
    assert_eq!(names(RecordKind::Decision).len(), 16);
    assert_eq!(names(RecordKind::Outcome).last(), Some(&(12, "cancelled")));
    for kind in [RecordKind::Decision, RecordKind::Outcome] {
        for field in kind.fields() {
            assert_eq!(Field::named(field.name()), Some(field));
        }
    }
    let constants = [Field::CALLER, Field::REFUSED, Field::candidate(0).unwrap(), Field::candidate(7).unwrap()];
    assert_eq!(constants.map(Field::name), ["caller", "refused", "candidate_1", "candidate_8"]);
    let constants = [Field::OFFER, Field::JURISDICTION, Field::NODE_OUTCOME, Field::CANCELLED];
    assert_eq!(constants.map(Field::name), ["offer", "jurisdiction", "node_outcome", "cancelled"]);
    assert_eq!((Field::candidate(CANDIDATES), Field::named("")), (None, None));
}

#[test]
fn a_record_does_not_print_its_values() {
    assert_eq!(format!("{:?}", record(7)), r#"["caller", "model", "considered"]"#);
}

proptest! {
    #[test]
    fn a_record_survives_its_bytes(salt: [u8; 32], values in proptest::collection::vec(proptest::option::of(any::<Vec<u8>>()), 16)) {
        let mut record = Record::new(RecordKind::Outcome, salt);
        for (field, value) in RecordKind::Outcome.fields().zip(values) {
            if let Some(value) = value {
                record = record.with(field, value).unwrap();
            }
        }
        let again = Record::from_bytes(&record.to_bytes()).unwrap();
        prop_assert_eq!(again.commitment(), record.commitment());
        prop_assert_eq!(again.to_bytes(), record.to_bytes());
        prop_assert!(Record::from_bytes(&record.to_bytes()[1..]).is_err());
    }

    #[test]
    fn no_bytes_make_the_reader_fall(bytes: Vec<u8>) {
        if let Ok(record) = Record::from_bytes(&bytes) {
            prop_assert_eq!(record.to_bytes(), bytes);
        }
    }
}
