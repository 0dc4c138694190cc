//! `comity preset show`.

use crate::error::CliError;
use crate::output::{Format, print, print_json};
use crate::requirements::tables;

/// Shows one preset.
pub(super) fn run(name: &str, output: Format) -> Result<(), CliError> {
    let found = tables()?.presets.iter().find(|preset| preset.name == name);
    let missing = || CliError::NotFound { kind: "preset", name: name.to_owned(), list: "comity preset list" };
    let preset = found.ok_or_else(missing)?;
    if output == Format::Json {
        return print_json(&preset.requirements);
    }
    let unwritable = |error| CliError::Client { doing: "write TOML", source: Box::new(error), hint: None };
    let toml = toml::to_string_pretty(&preset.requirements).map_err(|error: toml::ser::Error| unwritable(error))?;
    print(&format!("# {}\n{toml}", preset.about))
}
