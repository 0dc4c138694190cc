//! `comity log monitor`.

use std::time::Duration;

use comity_client::decisions::Seen;
use serde_json::json;
use tokio::time::sleep;

use super::watch::{Watch, may_pass, say_later};
use crate::args::Global;
use crate::error::CliError;
use crate::output::{Format, print_line};
use crate::session::Session;

/// Looks at the decision log again and again; ends where it is not to be believed.
pub(super) async fn run(once: bool, every: Duration, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let mut watch = Watch::open(&session)?;
    let mut first = true;
    loop {
        match watch.look().await {
            Ok((seen, new)) if first || new > 0 => {
                print(seen, new, global)?;
                first = false;
            }
            Ok(_) => {}
            Err(error) if !once && may_pass(&error) => say_later(&error),
            Err(error) => return Err(error),
        }
        if once {
            return Ok(());
        }
        sleep(every).await;
        session.keep_fresh().await?;
    }
}

fn print(seen: &Seen, new: u64, global: &Global) -> Result<(), CliError> {
    let (size, root) = (seen.checkpoint().size, seen.checkpoint().root);
    if global.output == Format::Json {
        return print_line(&json!({ "leaves": size, "new": new, "root": root }).to_string());
    }
    print_line(&format!("{size} leaves, {new} of them new; root {root}: it continues what was seen before"))
}
