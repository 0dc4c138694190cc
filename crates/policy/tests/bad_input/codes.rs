//! Codes of an offer that no table has: an owner's own file is refused, and a case may be about them.

use super::{OFFER, Row, case, hold, node};

#[test]
fn codes_of_node_files_are_held_against_the_tables() {
    let codes: &[Row] = &[
        (
            "{ value = [\"DE\", \"FR\"]",
            "{ value = [\"UK\", \"FR\"]",
            &["offers.chat.processing_locations", "did you mean \"GB\"?"],
        ),
        ("places = [\"DE\"]", "places = [\"EL\"]", &["offers.chat.sub_processors.host.places", "did you mean \"GR\"?"]),
        (
            "establishments = [\"IE\"]",
            "establishments = [\"UK\"]",
            &["sub_processors.host.establishments", "did you mean \"GB\"?"],
        ),
        (
            "served = [\"EU\", \"CH\", \"US\", \"SG\"]",
            "served = [\"EU\", \"UK\"]",
            &["terms.t.caller_rules.served", "did you mean \"GB\"?"],
        ),
        (
            "served_except = [\"UA-43\"]",
            "served_except = [\"EU-LAWS\"]",
            &["caller_rules.served_except", "no bloc \"EU-LAWS\""],
        ),
        (
            "served_except = [\"UA-43\"]",
            "served_except = [\"UA-\"]",
            &["served_except", "\"UA-\" is no place of ISO 3166"],
        ),
        ("target = [\"CN\"]", "target = [\"UK\"]", &["terms.t.caller_rules.ownership", "did you mean \"GB\"?"]),
        (
            "reviewer_places = [\"DE\"]",
            "reviewer_places = [\"UK\"]",
            &["human_review.reviewer_places", "did you mean \"GB\"?"],
        ),
        (
            "scope_sites = [\"DE\"]",
            "scope_sites = [\"UK\"]",
            &["certifications.BSI-C5.scope_sites", "did you mean \"GB\"?"],
        ),
        ("governing_law = \"DE\"", "governing_law = \"UK\"", &["terms.t.governing_law", "did you mean \"GB\"?"]),
        ("courts = \"DE\"", "courts = \"EL\"", &["terms.t.courts", "did you mean \"GR\"?"]),
        (
            "[\"fed:MilitaryUse\"]",
            "[\"fed:Military\"]",
            &["terms.t.prohibited_purposes", "fed:Military", "dpv:Marketing"],
        ),
        (
            "\"ISO27001\"",
            "\"ISO-27001\"",
            &["terms.t.certifications.ISO-27001.scheme", "\"ISO-27001\"", "comity table show certifications"],
        ),
        (
            "edition = \"2022\"",
            "edition = \"2023\"",
            &["terms.t.certifications.ISO27001.edition", "\"2023\" is none of", "2013, 2022"],
        ),
        (
            "edition = \"2022\"",
            "level = \"high\"",
            &["terms.t.certifications.ISO27001.level", "\"high\"", "ISO27001 has no levels"],
        ),
        (
            "level = \"type-2\"",
            "level = \"typ-2\"",
            &["terms.t.certifications.BSI-C5.level", "\"typ-2\" is none of", "type-1, type-2"],
        ),
        (
            "UK-GSC =",
            "UKGSC =",
            &["terms.t.classification_ceilings.UKGSC", "\"UKGSC\"", "comity table show classifications"],
        ),
        (
            "level = \"OFFICIAL\"",
            "level = \"OFICIAL\"",
            &["terms.t.classification_ceilings.UK-GSC.level", "\"OFICIAL\" is none of", "OFFICIAL, SECRET"],
        ),
        (
            "denied_sectors = [\"84\"]",
            "denied_sectors = [\"84\", \"45.1\"]",
            &["terms.t.caller_rules.denied_sectors", "\"45.1\"", "84.22", "comity table show sectors"],
        ),
        ("LicenseRef-Llama-4", "Llama 4", &["offers.chat.licence", "SPDX", "Apache-2.0"]),
        ("LicenseRef-Llama-4", "LicenseRef-Llama4", &["offers.chat.licence", "comity table show licences"]),
    ];
    hold(OFFER, node, codes);
}

#[test]
fn a_case_may_be_about_codes_that_no_table_has() {
    for (right, wrong) in [
        ("\"ISO27001\"", "\"ISO-27001\""),
        ("UK-GSC =", "TLP ="),
        ("level = \"OFFICIAL\"", "level = \"OFICIAL\""),
        ("denied_sectors = [\"84\"]", "denied_sectors = [\"45.1\"]"),
    ] {
        assert!(OFFER.contains(right), "{right}");
        assert_eq!(case(&OFFER.replacen(right, wrong, 1)), Ok(()), "{wrong}");
    }
}
