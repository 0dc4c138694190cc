//! Verdicts for people: each offer, its reasons by the side that gave them, and how to mend each. Readable at 80 columns.

use comity_proto::policy::{LayerDemands, Reason, Relaxation, Verdict};
use comity_types::display::harmless;

use super::side_name;
use crate::output::lined_table;
use crate::{layers, view};

/// The sides in the order in which reasons are shown; the last is for those of a later version.
const SIDES: [&str; 6] = ["caller", "node", "licence", "statute", "federation", "unknown"];
/// Characters of a line that are the table's own: four bars, and a blank on both sides of three cells.
const FRAME: usize = 10;
/// Reasons get no less than this, whatever the offers are called.
const NARROWEST: usize = 30;
/// Offers that a line on a requirement names, at most.
const NAMED: usize = 3;

/// Each offer, each side that refused, each of its reasons, in lines of at most `width` characters where it is given.
pub(crate) fn table(verdicts: &[Verdict], width: Option<u16>) -> String {
    let mut rows: Vec<_> = verdicts.iter().flat_map(|verdict| rows(verdict, width.is_some())).collect();
    if let Some(width) = width {
        let widest = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column)).flat_map(|cell| cell.lines());
            cells.map(|line| line.chars().count()).max().unwrap_or_default()
        };
        let left = usize::from(width).saturating_sub(FRAME + widest(0) + widest(1)).max(NARROWEST);
        rows.iter_mut().filter_map(|row| row.last_mut()).for_each(|cell| *cell = wrapped(cell, left));
    }
    lined_table(&["offer", "side", "reason, and how to mend it"], rows, width)
}

/// The text in lines of at most `width` characters, as far as its words allow. What follows a line that is indented
/// is indented as well, which the table by itself would not do.
pub(crate) fn wrapped(text: &str, width: usize) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let indent = " ".repeat(line.len().saturating_sub(line.trim_start().len()));
        let mut current = indent.clone();
        for word in line.split_whitespace() {
            let is_first = current.len() == indent.len();
            if !is_first && current.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::replace(&mut current, indent.clone()));
            } else if !is_first {
                current.push(' ');
            }
            current.push_str(word);
        }
        lines.push(current);
    }
    lines.join("\n")
}

/// What one requirement costs, a line each: offers that would be back if it alone were dropped.
/// What the organisation demands, a request cannot drop: it is said who set it.
pub(crate) fn relaxed_lines(relaxations: &[Relaxation], demands: &[LayerDemands]) -> Vec<String> {
    relaxations.iter().map(|relaxation| relaxed_line(relaxation, demands)).collect()
}

fn relaxed_line(relaxation: &Relaxation, demands: &[LayerDemands]) -> String {
    let Relaxation { constraint, offers, layers } = relaxation;
    let set_by = layers::set_by(layers, demands).map(|who| format!(" ({who})")).unwrap_or_default();
    let left = offers.len().saturating_sub(NAMED);
    let named = offers.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let others = if left == 0 { String::new() } else { format!(" and {left} others") };
    // Both were written by others, and no table cleans them here.
    harmless(&format!("without {constraint}{set_by}: {} more\n  {named}{others}", offers.len()))
}

/// A row for each side; the offer is named in the first. Where lines are short, its name may break after a slash.
fn rows(verdict: &Verdict, narrow: bool) -> Vec<Vec<String>> {
    let offer = if narrow { verdict.offer.replace('/', "/\n") } else { verdict.offer.clone() };
    if verdict.eligible {
        let until = verdict.expires_at.as_ref().map(|instant| format!(" until {}", view::instant(Some(instant))));
        return vec![vec![offer, "-".to_owned(), format!("eligible{}", until.unwrap_or_default())]];
    }
    let of_side = |side: &&str| verdict.reasons.iter().filter(|reason| side_name(reason.side) == *side).collect();
    let sides =
        SIDES.iter().map(|side| (*side, of_side(side))).filter(|(_, reasons): &(_, Vec<_>)| !reasons.is_empty());
    let row = |(index, (side, reasons)): (usize, (&str, Vec<&Reason>))| {
        let offer = if index == 0 { offer.clone() } else { String::new() };
        vec![offer, side.to_owned(), reasons.into_iter().map(text).collect::<Vec<_>>().join("\n")]
    };
    sides.enumerate().map(row).collect()
}

/// A reason: its code, what was found where, and how to mend it.
fn text(reason: &Reason) -> String {
    let Reason { code, subject, path, expected, actual, hint, .. } = reason;
    let mut lines = vec![if subject.is_empty() { code.clone() } else { format!("{code}({subject})") }];
    if !actual.is_empty() || !expected.is_empty() {
        let field = if path.is_empty() { "found" } else { path };
        lines.push(format!("  {field}: {actual}; accepted: {expected}"));
    }
    if !hint.is_empty() {
        lines.push(format!("  > {hint}"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use comity_proto::policy::{Layer, Side};

    use super::*;

    fn reason(code: &str, side: Side) -> Reason {
        Reason {
            code: code.into(),
            subject: "US".into(),
            side: side.into(),
            path: "processing_locations".into(),
            expected: "EU, and places that the Commission found adequate".into(),
            actual: "US".into(),
            hint: "allow the place, or choose an offer elsewhere".into(),
            ..Reason::default()
        }
    }

    fn refused() -> Verdict {
        Verdict {
            offer: "research-institute.example/first-node/chat".into(),
            reasons: vec![
                reason("PURPOSE_NOT_ALLOWED", Side::Node),
                reason("CERTIFICATION_EDITION_WITHDRAWN", Side::Caller),
                reason("PROCESSING_LOCATION_NOT_ALLOWED", Side::Caller),
            ],
            ..Verdict::default()
        }
    }

    #[test]
    fn reasons_stand_by_side_and_the_caller_comes_first() {
        let text = table(&[refused()], None);
        let at = |word: &str| text.find(word).unwrap_or_else(|| panic!("no {word} in {text}"));
        assert!(at("caller") < at("PROCESSING_LOCATION") && at("PROCESSING_LOCATION") < at("PURPOSE_NOT"), "{text}");
        assert_eq!(text.matches(" caller ").count(), 1, "{text}");
    }

    #[test]
    fn eighty_columns_are_enough_for_a_code_and_an_offer() {
        let eligible = Verdict { offer: "a.example/n1/chat".into(), eligible: true, ..Verdict::default() };
        let text = table(&[refused(), eligible], Some(80));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("┆   found adequate"), "what goes on in another line is indented: {text}");
        for word in ["CERTIFICATION_EDITION_WITHDRAWN(US)", "research-institute.example/", "eligible", "> allow"] {
            assert!(text.contains(word), "no {word} in {text}");
        }
    }

    #[test]
    fn a_requirement_that_stands_in_the_way_alone_is_a_line_with_some_of_the_offers() {
        let offers = ["a", "b", "c", "d", "e"].map(|id| format!("o.example/n/{id}")).to_vec();
        let relaxation = Relaxation { constraint: "no_training".into(), offers, layers: vec![] };
        let lines = relaxed_lines(&[relaxation], &[]);
        let expected = "without no_training: 5 more\n  o.example/n/a, o.example/n/b, o.example/n/c and 2 others";
        assert_eq!(lines, [expected]);
    }

    #[test]
    fn a_requirement_that_the_organisation_set_says_so() {
        let demand = LayerDemands {
            layer: Layer::Organisation.into(),
            subject: "org-a.example".into(),
            constraints: vec!["no_training".into()],
        };
        let offers = vec!["o.example/n/a".into(), "o.example/n/b".into()];
        let relaxation =
            Relaxation { constraint: "no_training".into(), offers, layers: vec![Layer::Organisation.into()] };
        let lines = relaxed_lines(&[relaxation], &[demand]);
        assert!(lines[0].starts_with("without no_training (set by org-a.example): 2 more\n"), "{lines:?}");
    }
}
