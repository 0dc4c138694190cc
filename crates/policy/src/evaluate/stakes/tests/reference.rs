//! A slow, obviously right answer for graphs without circles and with exact shares that add up to the whole.

use super::*;

/// A part of the whole, in millionths, of `name` that belongs to tainted parties: multiplied along every way.
pub(super) fn multiplied(ownership: &Ownership, name: &str, interest: Interest, tainted: &dyn Fn(&str) -> bool) -> f64 {
    if tainted(name) {
        return 1.0;
    }
    let held = ownership.stakes.iter().filter(|stake| stake.subject == name && stake.interest == interest);
    held.map(|stake| {
        f64::from(stake.share.least()) / f64::from(WHOLE) * multiplied(ownership, &stake.holder, interest, tainted)
    })
    .sum()
}

/// The tainted share of `name`, each holder counted with all or nothing.
pub(super) fn cascaded(
    ownership: &Ownership,
    name: &str,
    measure: &Measure<'_>,
    tainted: &dyn Fn(&str) -> bool,
) -> u32 {
    let of_holders = ownership.stakes.iter().filter(|stake| stake.subject == name).map(|stake| {
        let crosses = || measure.is_crossed_by(cascaded(ownership, &stake.holder, measure, tainted));
        let owned = ownership.stakes.iter().any(|other| other.subject == stake.holder);
        if tainted(&stake.holder) || (owned && crosses()) { stake.share.least() } else { 0 }
    });
    of_holders.sum()
}
