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
