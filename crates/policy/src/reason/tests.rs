use super::*;

fn reason(subject: &str) -> Reason {
    let text = |text: &str| text.to_owned();
    Reason {
        code: ReasonCode::CallerOwnershipRestricted,
        subject: text(subject),
        side: Side::Node,
        path: text("caller.ownership"),
        party: text("caller"),
        expected: text("no more than half"),
        actual: text("more"),
        rule: text("V50"),
    }
}

#[test]
fn a_reason_is_its_code_and_its_subject_if_it_has_one() {
    assert_eq!(reason("V50").to_string(), "CALLER_OWNERSHIP_RESTRICTED(V50)");
    assert_eq!(reason("").to_string(), "CALLER_OWNERSHIP_RESTRICTED");
}

#[test]
fn the_code_alone_tells_neither_the_field_nor_what_it_holds_nor_the_rule() {
    let all = reason("V50");
    let nothing = String::new;
    let bare = Reason {
        subject: nothing(),
        path: nothing(),
        expected: nothing(),
        actual: nothing(),
        rule: nothing(),
        ..all.clone()
    };
    assert_eq!(all.code_only(), bare);
}

#[test]
fn each_side_has_its_name() {
    let names: Vec<_> = Side::ALL.iter().map(|side| side.as_str()).collect();
    assert_eq!(names, ["caller", "node", "licence", "statute", "federation"]);
}
