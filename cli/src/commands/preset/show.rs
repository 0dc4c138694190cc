//! `comity preset show`.

use comity_policy::Tables;
use comity_policy::requirements::RequirementsError;
use comity_policy::tables::presets::Preset;
use comity_proto::convert;
use comity_proto::json::Canonical;

use crate::error::CliError;
use crate::output::{Format, print, print_json};

/// Shows one preset: what it expands to, as a file of requirements. As TOML it says where it comes from as well.
pub(super) fn run(name: &str, tables: &Tables, output: Format) -> Result<(), CliError> {
    let presets = &tables.presets;
    let preset = presets.iter().find(|preset| preset.name == name).ok_or_else(|| unknown(name, presets))?;
    if output == Format::Json {
        let unusable = |error| CliError::Client { doing: "expand the preset", source: Box::new(error), hint: None };
        let asked = preset.requirements.clone().expand(tables).map_err(|error: RequirementsError| unusable(error))?;
        return print_json(&Canonical(&convert::files::envelope(&asked)));
    }
    let unwritable = |error| CliError::Client { doing: "write TOML", source: Box::new(error), hint: None };
    let toml = toml::to_string_pretty(&preset.requirements).map_err(|error: toml::ser::Error| unwritable(error))?;
    print(&format!("{}{toml}", heading(preset)))
}

/// What the preset is for, and where it comes from, as comments of the file.
fn heading(preset: &Preset) -> String {
    let of = &preset.provenance;
    let verified = if of.verified { "held against its source" } else { "not held against its source" };
    format!(
        "# {}: {}\n# instrument: {}\n# source: {}\n# recorded {}, {verified}\n\n",
        preset.name, preset.about, of.instrument, of.source, of.recorded_at
    )
}

fn unknown(name: &str, presets: &[Preset]) -> CliError {
    let known = presets.iter().map(|preset| preset.name.as_str()).collect::<Vec<_>>().join(", ");
    CliError::Failed {
        problem: format!("there is no preset {name:?} (there are: {known})"),
        hint: "`comity preset list` says what each is for".to_owned(),
    }
}
