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
