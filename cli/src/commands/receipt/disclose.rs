//! `comity receipt disclose`.

use std::path::PathBuf;

use clap::Args;
use comity_transparency::record::{Field, RecordKind};

use super::{read, write};
use crate::error::CliError;
use crate::output::say;

/// What `--help` says about what is hidden.
const AFTER: &str = "\
A hidden field is its hash, under a salt of its own: what it says cannot be guessed. Which fields are empty can be told, for \
all of those have the same hash: that there was no usage, say, or how many offers might have been tried. When it was decided, \
and at which epoch, stands in the leaf and is always shown. A field that is shown alone is proven to be what \
the log committed to at that time, and is the broker's word: `comity receipt verify` says what has to be shown beside it.";

/// What to show of a receipt.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct DiscloseArgs {
    /// The receipt
    file: PathBuf,
    /// A field to show; all others are hidden. Repeat it for more
    #[arg(long = "field", value_name = "FIELD", required = true, value_parser = field)]
    fields: Vec<Field>,
    /// Where the new receipt goes
    #[arg(long, value_name = "FILE")]
    save: PathBuf,
}

fn field(name: &str) -> Result<Field, String> {
    Field::named(name).ok_or_else(|| {
        let all = [RecordKind::Decision, RecordKind::Outcome].into_iter().flat_map(RecordKind::fields);
        format!("there is no such field; there are {}", all.map(Field::name).collect::<Vec<_>>().join(", "))
    })
}

/// Writes a receipt that shows these fields alone.
pub(super) fn run(args: &DiscloseArgs) -> Result<(), CliError> {
    let receipt = read(&args.file)?;
    let records =
        [receipt.decision.record.as_ref(), receipt.outcome.as_ref().and_then(|outcome| outcome.record.as_ref())];
    let missing = args.fields.iter().find(|field| records.iter().flatten().all(|record| record.get(**field).is_none()));
    if let Some(field) = missing {
        return Err(CliError::Failed {
            problem: format!("{} does not show the field {}", args.file.display(), field.name()),
            hint: "`comity receipt show DECISION --save FILE` fetches all that you may see".to_owned(),
        });
    }
    write(&receipt.narrowed(|field| args.fields.contains(&field)), &args.save)?;
    say(&format!(
        "written to {}; what a hidden field says cannot be guessed from it, but it can be seen which fields are empty",
        args.save.display()
    ));
    Ok(())
}
