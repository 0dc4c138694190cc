use super::*;

#[test]
fn a_calendar_month_has_four_digits_a_dash_and_two_that_are_a_month() {
    for month in ["2025-01", "2025-12", "0999-10"] {
        assert_eq!(ActiveUsers::month(month).as_deref(), Ok(month));
    }
    for text in ["2025-00", "2025-13", "2025-3", "25-03", "02025-03", "2025-003", "2O25-03", "2025-+3", "202503", ""] {
        assert!(ActiveUsers::month(text).is_err(), "{text}");
    }
    let users: ActiveUsers = serde_json::from_str(r#"{"count":1,"month":"2025-03"}"#).unwrap();
    assert_eq!(users.month, "2025-03");
    let error = serde_json::from_str::<ActiveUsers>(r#"{"count":1,"month":"March"}"#).unwrap_err().to_string();
    assert!(error.contains("a calendar month such as 2025-03"), "{error}");
}

#[test]
fn a_kind_of_organisation_has_one_name_in_files_and_in_reasons() {
    use OrganisationType::{
        AcademicScientific, Commercial, Governmental, Intelligence, International, LawEnforcement, Military, NonProfit,
    };
    let all = [
        Governmental,
        LawEnforcement,
        Military,
        Intelligence,
        AcademicScientific,
        Commercial,
        NonProfit,
        International,
    ];
    for kind in all {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
    }
}
