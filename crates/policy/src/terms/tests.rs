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
