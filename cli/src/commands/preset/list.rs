//! `comity preset list`.

use comity_policy::Tables;
use serde_json::json;

use crate::error::CliError;
use crate::output::Format;

/// Lists the presets.
pub(super) fn run(tables: &Tables, output: Format) -> Result<(), CliError> {
    let presets = &tables.presets;
    let rows = presets.iter().map(|preset| vec![preset.name.clone(), preset.about.clone()]).collect();
    let json = presets.iter().map(|preset| json!({ "name": preset.name, "about": preset.about })).collect::<Vec<_>>();
    output.list(&["preset", "about"], rows, &json!({ "presets": json }))
}
