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

#[test]
fn codes_are_a_set() {
    let of = |codes: &[ReasonCode]| codes.iter().copied().collect::<ReasonCodes>();
    for code in ReasonCode::ALL.iter().copied() {
        let alone = of(&[code]);
        assert!(!alone.is_empty() && alone.contains(code), "{code}");
        assert_eq!(alone.iter().collect::<Vec<_>>(), [code]);
        assert_eq!(alone.union(alone), alone, "{code}");
        let others = ReasonCode::ALL.iter().copied().filter(|other| *other != code).collect::<ReasonCodes>();
        assert!(!others.contains(code), "{code}");
        assert_eq!(others.union(alone), of(ReasonCode::ALL), "{code}");
    }
    assert!(ReasonCodes::NONE.is_empty() && ReasonCodes::NONE.iter().next().is_none());
    let (two, three) = (ReasonCode::ALL[2], ReasonCode::ALL[3]);
    assert_eq!(of(&[three, two, three]).iter().collect::<Vec<_>>(), [two, three], "in their order, each once");
}
