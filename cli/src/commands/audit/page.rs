//! A report as a page that needs nothing else.

use comity_types::Timestamp;

use super::held::{COLUMNS, Held};

/// What the page looks like: readable on paper too.
const STYLE: &str = "body{font:14px/1.4 system-ui,sans-serif;margin:2em}table{border-collapse:collapse;font-size:12px}\
td,th{border:1px solid #ccc;padding:2px 6px;text-align:left;vertical-align:top}td{max-width:24em;overflow-wrap:anywhere}th{background:#f3f3f3;position:sticky;top:0}";

/// The page: how many decisions there were, where they went, and each.
pub(super) fn html(
    rows: &[Held],
    federation: &str,
    (from, to): (Timestamp, Option<Timestamp>),
    notes: &[String],
) -> String {
    let to = to.map_or_else(|| "now".to_owned(), |to| to.to_string());
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Audit of {0}</title><style>{STYLE}</style>\
         <h1>Decisions of {0}</h1><p>From {1} to {2}. Each row was held against the broker's decision log, and names its leaves. \
         {3}</p>{4}",
        escaped(federation),
        escaped(&from.to_string()),
        escaped(&to),
        match rows.iter().filter(|row| row.contradiction.is_some()).count() {
            0 => "No row contradicts what it is held against.".to_owned(),
            some => format!("<strong>Rows that contradict what they are held against: {some}.</strong>"),
        },
        notes.iter().map(|note| format!("<p>{}.</p>", escaped(note))).collect::<String>()
    );
    page += &summary(rows);
    page += "<h2>Every decision</h2><table><tr>";
    page.extend(COLUMNS.map(|head| format!("<th>{}</th>", escaped(&head.replace('_', " ")))));
    page += "</tr>";
    for row in rows {
        page += "<tr>";
        page.extend(row.cells().map(|cell| format!("<td>{}</td>", escaped(&cell))));
        page += "</tr>\n";
    }
    page + "</table></html>\n"
}

/// How many of each result, by operator and jurisdiction.
fn summary(rows: &[Held]) -> String {
    let mut counts = std::collections::BTreeMap::<[&str; 3], usize>::new();
    for Held { row, .. } in rows {
        *counts.entry([row.result, &row.operator, &row.jurisdiction]).or_default() += 1;
    }
    let line = |([result, operator, places], count): ([&str; 3], usize)| {
        format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{count}</td></tr>",
            escaped(result),
            escaped(operator),
            escaped(places)
        )
    };
    let lines: String = counts.into_iter().map(line).collect();
    format!(
        "<h2>Where they went</h2><table><tr><th>result</th><th>operator</th><th>jurisdiction</th><th>decisions</th></tr>{lines}</table>"
    )
}

/// Text that cannot become markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_members_name_their_things_is_no_markup() {
        assert_eq!(escaped("<script>'a'&\"b\""), "&lt;script&gt;&#39;a&#39;&amp;&quot;b&quot;");
        let page = html(&[], "<b>", ("2026-11-29".parse().unwrap(), None), &["<b>".to_owned()]);
        assert!(!page.contains("<b>") && page.contains("&lt;b&gt;"));
    }
}
