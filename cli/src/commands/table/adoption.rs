//! `comity table adopt`, and what others of the commands read of adopted tables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use comity_membership::federation::Adopted;
use comity_membership::{Federation, Statement};
use comity_policy::Tables;
use comity_policy::tables::{Folder, TableName};
use comity_runtime::tables;

use super::diff::{self, Difference};
use super::{check, name};
use crate::args::Global;
use crate::error::CliError;
use crate::output::{Format, say};
use crate::requirements::read_text;
use crate::session::Session;
use crate::signing::{Signatory, report};
use crate::tables::InForce;

/// What `--help` says about who signs what.
pub(crate) const AFTER: &str = "\
All tables are adopted together: those that are not given stay as the federation decides by them now, or as they ship \
if it has adopted none. What changes is shown before it is signed. As many operators sign as admit and suspend; until \
they have, `comity proposal list` shows it. Broker and nodes decide by the tables from the epoch on at which they are \
in force, whatever folder their configuration names.";

/// Tables by name.
pub(super) type Texts = BTreeMap<TableName, String>;

/// Shows what changes, and proposes it unless this is a dry run.
pub(super) async fn run(paths: &[PathBuf], dry_run: bool, global: &Global) -> Result<(), CliError> {
    let given = given(paths, global)?;
    let signatory = Signatory::of(Session::open(global).await?)?;
    signatory.operator()?;
    let followed = signatory.session().log().await?;
    let before = texts(followed.log().federation());
    let mut after = before.clone();
    after.extend(given);
    let mut folder = Folder::default();
    after.iter().for_each(|(table, text)| folder.put(*table, text.clone()));
    for (table, text) in &after {
        check::required(Path::new(&format!("{table}.toml")), *table, text, &folder)?;
    }
    let parsed = folder.parse().map_err(unreadable)?;
    let changes = differences(&before, &after)?;
    if !dry_run && followed.log().federation().adopted().is_some_and(|adopted| adopted.texts == after) {
        say("the federation decides by these tables already");
        return Ok(());
    }
    if dry_run || global.output == Format::Table {
        diff::print_all(&changes, global.output)?;
    }
    let digest = parsed.digest().to_string();
    say(&format!("SHA-256 of all: {digest}"));
    if dry_run {
        say("a dry run: nothing is signed");
        return Ok(());
    }
    let said = signatory.say("adopt the tables", Statement::TablesAdopted { tables: after }).await?;
    report(global, ("adopted", &digest), &said)
}

/// Compares a file, the folder of the command line or what ships with what the federation has adopted.
pub(super) async fn diff(file: Option<&Path>, said: Option<TableName>, global: &Global) -> Result<(), CliError> {
    let after = match file {
        Some(file) => {
            let table = name::of_file(file, said)?;
            BTreeMap::from([(table, read_text(file)?)])
        }
        None => {
            let folder = global.folder_of_tables()?;
            TableName::ALL.iter().map(|table| (*table, folder.text(*table).to_owned())).collect()
        }
    };
    let before = of_log(None, global).await?.texts;
    diff::print_all(&differences(&before, &after)?, global.output)
}

/// What the federation had adopted at an epoch, or has now, read from its log.
pub(super) async fn of_log(at_epoch: Option<u64>, global: &Global) -> Result<Adopted, CliError> {
    let log = Session::open(global).await?.log_at(at_epoch).await?;
    log.federation().adopted().cloned().ok_or_else(|| CliError::Failed {
        problem: "the federation has adopted no tables: its programs decide by those that they have".to_owned(),
        hint: "leave --adopted out to see those that ship; operators adopt with `comity table adopt`".to_owned(),
    })
}

/// Adopted tables, as commands about tables take them.
pub(super) fn in_force(adopted: &Adopted) -> InForce {
    let mut folder = Folder::default();
    adopted.texts.iter().for_each(|(table, text)| folder.put(*table, text.clone()));
    InForce { folder, tables: Tables::clone(&adopted.tables), from: "federation" }
}

/// What an operator has to see of tables before they sign: every row that changes.
pub(crate) fn shown(federation: &Federation, after: &Texts) -> Result<Vec<(String, String)>, CliError> {
    let before = texts(federation);
    let tables = Tables::parse(|table| after.get(&table).map_or("", String::as_str)).map_err(unreadable)?;
    let changes = differences(&before, after)?;
    let mut lines = vec![("SHA-256 of all".to_owned(), tables.digest().to_string())];
    let changed = changes.iter().filter(|one| !one.is_empty());
    lines
        .extend(changed.map(|one| (one.table().to_string(), format!("{}\n{}", one.summary(), one.lines().join("\n")))));
    // Comments count in the digest, and decide nothing.
    if lines.len() == 1 {
        lines.push(("rows".to_owned(), "as they are now".to_owned()));
    }
    Ok(lines)
}

/// What the federation decides by, or what ships where it has adopted nothing.
pub(super) fn texts(federation: &Federation) -> Texts {
    let ships = || TableName::ALL.iter().map(|table| (*table, table.builtin().to_owned())).collect();
    federation.adopted().map_or_else(ships, |adopted| adopted.texts.clone())
}

fn differences(before: &Texts, after: &Texts) -> Result<Vec<Difference>, CliError> {
    let of = |(table, text): (&TableName, &String)| {
        Difference::between(*table, before.get(table).map_or("", String::as_str), text).map_err(unreadable)
    };
    after.iter().map(of).collect()
}

/// The files that are to be adopted.
fn given(paths: &[PathBuf], global: &Global) -> Result<Texts, CliError> {
    if paths.is_empty() {
        let folder = global.folder_of_tables()?;
        return Ok(TableName::ALL
            .iter()
            .filter(|table| folder.has(**table) || folder.is_empty())
            .map(|table| (*table, folder.text(*table).to_owned()))
            .collect());
    }
    let mut all = Texts::new();
    for path in paths {
        let found: Vec<(TableName, String)> = if path.is_dir() {
            let folder = tables::read(path).map_err(unreadable)?;
            folder.iter().map(|(table, text)| (table, text.to_owned())).collect()
        } else {
            vec![(name::of_file(path, None)?, read_text(path)?)]
        };
        for (table, text) in found {
            if all.insert(table, text).is_some() {
                return Err(CliError::Usage {
                    problem: format!("the table of {table} is given twice"),
                    hint: "name one file for each table".to_owned(),
                });
            }
        }
    }
    Ok(all)
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> CliError {
    CliError::Client { doing: "use the tables", source: Box::new(error), hint: None }
}
