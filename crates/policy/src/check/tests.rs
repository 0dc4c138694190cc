use super::*;

#[test]
fn of_two_instants_in_order_the_first_is_before_the_last() {
    let faults = |issued: &str, expires: &str| {
        let text = format!("certifications = [{{ scheme = 'SOC2', issued = {issued}, expires = {expires} }}]");
        terms(&toml::from_str(&text).unwrap()).len()
    };
    assert_eq!(faults("2026-01-01", "2026-01-02"), 0);
    assert_eq!(faults("2026-01-01", "2026-01-01"), 1);
    assert_eq!(faults("2026-01-02", "2026-01-01"), 1);
}

#[test]
fn a_quota_grants_something() {
    let faults = |requests: u32| {
        let text = format!("quota = {{ requests_per_day = {requests} }}");
        terms(&toml::from_str(&text).unwrap()).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!((faults(1), faults(crate::limits::MAX_REQUESTS_PER_DAY)), (vec![], vec![]));
    for outside in [0, crate::limits::MAX_REQUESTS_PER_DAY + 1] {
        let expected = format!("quota.requests_per_day: {outside} is outside 1 to 1000000000");
        assert_eq!(faults(outside), [expected]);
    }
}

#[test]
fn names_that_reasons_have_for_others_or_cannot_hold_are_refused() {
    let sub_processor = |id: &str| {
        let text = format!(
            "id = 'o'\nnode = 'spiffe://op.example/node/n'\nmodel = 'm'\ncapabilities = ['chat']\n\
             sub_processors = [{{ id = '{id}', role = 'support', places = ['DE'], content_access = true }}]"
        );
        offer(&toml::from_str(&text).unwrap()).len()
    };
    assert_eq!(["host", "A.B", "operators"].map(sub_processor), [0; 3]);
    assert_eq!(["operator", "caller", "request", "broker", "offer", "S1,operator)"].map(sub_processor), [1; 6]);
    let party = |name: &str| {
        let text = format!(
            "trust_domain = 'op.example'\nname = 'OP'\n[ownership]\nparties = {{ '{name}' = {{}} }}\n\
             stakes = [{{ holder = '{name}' }}]"
        );
        organisation(&toml::from_str(&text).unwrap()).len()
    };
    assert_eq!(["A & B", "x.seat), PURPOSE_UNDECLARED("].map(party), [0, 1]);
}
