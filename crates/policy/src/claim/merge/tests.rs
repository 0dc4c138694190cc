use serde::de::DeserializeOwned;

use super::*;
use crate::offer::{Objective, SafetyGrade};
use crate::organisation::{ActiveUsers, Membership, OrganisationType};
use crate::ownership::Ownership;
use crate::terms::{Certifications, HumanReview, Logging, Quota, Retention, TrainingUse, TransferBasis};

fn read<T: DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

/// What two readings say together: the same in either order, and each by itself says what it says.
fn both<T: Merge + DeserializeOwned + std::fmt::Debug>(one: &str, other: &str) -> Option<T> {
    let (one, other): (T, T) = (read(one), read(other));
    let merged = one.merge(&other);
    assert_eq!(merged, other.merge(&one));
    assert_eq!((one.merge(&one), other.merge(&other)), (Some(one), Some(other)));
    merged
}

fn joins<T: Merge + DeserializeOwned + std::fmt::Debug>(one: &str, other: &str, merged: &str) {
    assert_eq!(both::<T>(one, other), Some(read(merged)));
}

fn contradict<T: Merge + DeserializeOwned + std::fmt::Debug>(one: &str, other: &str) {
    assert_eq!(both::<T>(one, other), None);
}

#[test]
fn every_place_that_one_of_them_names_may_be_used() {
    joins::<BTreeSet<comity_types::Place>>(r#"["DE"]"#, r#"["FR","DE"]"#, r#"["DE","FR"]"#);
    joins::<BTreeSet<comity_types::Place>>("[]", r#"["US"]"#, r#"["US"]"#);
}

#[test]
fn the_lower_rating_counts() {
    joins::<BTreeMap<Objective, u8>>(
        r#"{"SOV-1":4,"SOV-2":1}"#,
        r#"{"SOV-1":2,"SOV-3":3}"#,
        r#"{"SOV-1":2,"SOV-2":1,"SOV-3":3}"#,
    );
    joins::<u8>("3", "1", "1");
    joins::<SafetyGrade>(r#""good""#, r#""fair""#, r#""fair""#);
    joins::<Membership>("true", "false", "false");
}

#[test]
fn the_longest_retention_and_the_worst_use_of_content_count() {
    joins::<Retention>(
        r#"[{"data":"content","trigger":"routine","max_days":7},{"data":"metadata","trigger":"routine","max_days":9}]"#,
        r#"[{"data":"content","trigger":"routine","max_days":30}]"#,
        r#"[{"data":"content","trigger":"routine","max_days":30},{"data":"metadata","trigger":"routine","max_days":9}]"#,
    );
    joins::<TrainingUse>(r#""never""#, r#""opt-out""#, r#""opt-out""#);
    joins::<HumanReview>(
        r#"{"mode":"never","reviewer_places":["IE"]}"#,
        r#"{"mode":"routine","reviewer_places":["IN"]}"#,
        r#"{"mode":"routine","reviewer_places":["IE","IN"]}"#,
    );
    joins::<Logging>("false", "true", "true");
}

#[test]
fn a_certificate_counts_that_both_of_them_know() {
    joins::<Certifications>(r#"[{"scheme":"A"},{"scheme":"B"}]"#, r#"[{"scheme":"B"}]"#, r#"[{"scheme":"B"}]"#);
}

#[test]
fn the_larger_number_of_one_month_counts() {
    joins::<ActiveUsers>(
        r#"{"count":5,"month":"2025-03"}"#,
        r#"{"count":9,"month":"2025-03"}"#,
        r#"{"count":9,"month":"2025-03"}"#,
    );
    contradict::<ActiveUsers>(r#"{"count":5,"month":"2025-03"}"#, r#"{"count":5,"month":"2025-04"}"#);
}

#[test]
fn the_lower_quota_counts() {
    joins::<Quota>(r#"{"requests_per_day":5}"#, r#"{"requests_per_day":3}"#, r#"{"requests_per_day":3}"#);
}

#[test]
fn one_fact_of_which_two_things_are_said_is_a_contradiction() {
    contradict::<comity_types::Place>(r#""DE""#, r#""FR""#);
    contradict::<String>(r#""MIT""#, r#""Apache-2.0""#);
    contradict::<OrganisationType>(r#""commercial""#, r#""military""#);
    contradict::<TransferBasis>(r#""scc""#, r#""adequacy""#);
    let digest = |last: char| format!("\"{}{last}\"", "0".repeat(63));
    contradict::<comity_types::Digest>(&digest('a'), &digest('b'));
    let owned =
        |by: &str| format!(r#"{{"parties":{{"{by}":{{}}}},"stakes":[{{"holder":"{by}","share":{{"percent":9}}}}]}}"#);
    contradict::<Ownership>(&owned("a"), &owned("b"));
}

#[test]
fn the_order_in_which_things_are_said_makes_no_difference() {
    let stakes = [r#"{"holder":"a","share":{"percent":9}}"#, r#"{"subject":"a","holder":"b","share":{"percent":9}}"#];
    let graph = |one: usize, other: usize| {
        format!(r#"{{"parties":{{"a":{{}},"b":{{}}}},"stakes":[{},{}]}}"#, stakes[one], stakes[other])
    };
    joins::<Ownership>(&graph(0, 1), &graph(1, 0), &graph(0, 1));
    let rules = [
        r#"{"data":"content","trigger":"routine","max_days":7}"#,
        r#"{"data":"metadata","trigger":"routine","max_days":9}"#,
    ];
    let kept = |one: usize, other: usize| format!("[{},{}]", rules[one], rules[other]);
    assert_eq!(read::<Retention>(&kept(0, 1)), read::<Retention>(&kept(1, 0)));
    assert_ne!(read::<Retention>(&kept(0, 1)), read::<Retention>(&kept(0, 0)));
}
