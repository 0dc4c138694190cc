//! `comity log tail`.

use std::collections::BTreeSet;
use std::time::Duration;

use comity_membership::Entry;
use tokio::time::sleep;

use super::decisions::{Line as Decision, receipts};
use super::show::Line;
use super::watch::{Watch, may_pass, say_later};
use crate::args::Global;
use crate::error::CliError;
use crate::output::{Format, print_line, say};
use crate::session::Session;

/// Prints statements as they come into force.
pub(super) async fn statements(every: Duration, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let mut last = session.log_with(|_, _| {}).await?.log().federation().epoch();
    loop {
        sleep(every).await;
        session.keep_fresh().await?;
        let mut fresh = Vec::new();
        let read = session.log_with(|epoch, entry| {
            if epoch > last {
                fresh.push(entry.to_vec());
            }
        });
        let followed = match read.await {
            Ok(followed) => followed,
            Err(error) if may_pass(&error) => {
                say_later(&error);
                continue;
            }
            Err(error) => return Err(error),
        };
        let federation = followed.log().federation();
        for entry in fresh.iter().filter_map(|bytes| Entry::from_json(bytes).ok()) {
            let line = Line::of(&entry, federation);
            print_line(&match global.output {
                Format::Json => line.json().to_string(),
                Format::Table => comity_types::display::harmless(&line.row().join("  ")),
            })?;
        }
        last = federation.epoch();
    }
}

/// Prints decisions as they end, each proven; ends where the log is not to be believed.
pub(super) async fn decisions(every: Duration, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let mut watch = Watch::open(&session)?;
    let mut next = watch.look().await?.0.checkpoint().size;
    // Ends of decisions that were printed, and lie behind what the next look begins with.
    let mut printed = BTreeSet::new();
    loop {
        sleep(every).await;
        session.keep_fresh().await?;
        match follow(&session, &mut watch, next, &mut printed, global).await {
            Ok(size) => next = size,
            Err(error) if may_pass(&error) => say_later(&error),
            Err(error) => return Err(error),
        }
    }
}

/// Prints what has ended since the leaf `next`; gives where to go on.
async fn follow(
    session: &Session,
    watch: &mut Watch,
    next: u64,
    printed: &mut BTreeSet<u64>,
    global: &Global,
) -> Result<u64, CliError> {
    let (seen, new) = watch.look().await?;
    let size = seen.checkpoint().size;
    // What came after a look may have been listed by it, and its leaves are new to the next one.
    if new == 0 && printed.is_empty() && size == next {
        return Ok(size);
    }
    for line in receipts(session, next).await?.into_iter().filter(|line| line.end.is_some()) {
        if line.end.is_some_and(|end| printed.insert(end)) {
            print(&line, global)?;
        }
    }
    *printed = printed.split_off(&size);
    Ok(size)
}

fn print(line: &Decision, global: &Global) -> Result<(), CliError> {
    if let Some(problem) = line.problem() {
        say(&format!("warning: {problem} (hint: tell the broker's operators)"));
    }
    print_line(&match global.output {
        Format::Json => line.json()?,
        Format::Table => comity_types::display::harmless(&line.cells().join("  ")),
    })
}
