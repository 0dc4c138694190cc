use super::*;

#[test]
fn terms_that_are_as_usual_are_not_written() {
    assert_eq!(serde_json::to_string(&Terms::default()).unwrap(), "{}");
    let own = Terms { version: 2, disclosure: Disclosure::CodeOnly, ..Terms::default() };
    assert_eq!(serde_json::to_string(&own).unwrap(), r#"{"version":2,"disclosure":"code-only"}"#);
}

#[test]
fn a_trigger_has_one_name_in_files_and_in_reasons() {
    for trigger in RetentionTrigger::ALL {
        assert_eq!(trigger.code(), trigger.as_str().to_uppercase().replace('-', "_"));
    }
}

#[test]
fn what_keeps_the_same_for_as_long_is_the_same_and_hashes_the_same() {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
    let rule = |trigger, max_days| RetentionRule { data: RetentionData::Content, trigger, max_days };
    let (one, other) = (rule(RetentionTrigger::Routine, 3), rule(RetentionTrigger::LegalObligation, 9));
    let hash =
        |rules: &[RetentionRule]| BuildHasherDefault::<DefaultHasher>::default().hash_one(Retention(rules.to_vec()));
    assert_eq!(hash(&[one, other]), hash(&[other, one, one]));
    assert_ne!(hash(&[one, other]), hash(&[one]));
}
