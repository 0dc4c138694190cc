//! What a request demands: files, presets and flags, merged so that each can only tighten.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use comity_policy::Tables;
use comity_policy::limits::MAX_FILE_BYTES;
use comity_policy::offer::Capability;
use comity_policy::requirements::{RequirementsError, RequirementsFile, RequirementsTable};
use comity_policy::terms::RetentionTrigger;
use comity_proto::convert;
use comity_proto::inference::Envelope;
use comity_runtime::config;
use comity_types::{Currency, ModelName, Place, PlaceOrBloc, Price};
use serde::Deserialize;
use serde::de::IntoDeserializer;

use crate::error::CliError;
use crate::files;

/// The flags of every command that asks for a model.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Requirements (whatever is given must hold, all of it)")]
pub(crate) struct RequirementArgs {
    /// Requirements from a file: TOML, or an Envelope as JSON; may be repeated
    #[arg(long, value_name = "FILE")]
    require: Vec<PathBuf>,
    /// Requirements by name, see `comity preset list`; may be repeated
    #[arg(long, value_name = "NAME")]
    preset: Vec<String>,
    /// Why you ask, such as dpv:CustomerCare; may be repeated
    #[arg(long = "purpose", value_name = "PURPOSE", value_delimiter = ',')]
    purposes: Vec<String>,
    /// Where requests may be processed: DE, EU, ...
    #[arg(long, value_name = "PLACE", value_delimiter = ',')]
    processing: Vec<PlaceOrBloc>,
    /// Where they may not be processed
    #[arg(long, value_name = "PLACE", value_delimiter = ',')]
    not_processing: Vec<PlaceOrBloc>,
    /// Where data may be stored
    #[arg(long, value_name = "PLACE", value_delimiter = ',')]
    storage: Vec<PlaceOrBloc>,
    /// Where data may not be stored
    #[arg(long, value_name = "PLACE", value_delimiter = ',')]
    not_storage: Vec<PlaceOrBloc>,
    /// From where people may reach the machine
    #[arg(long, value_name = "PLACE", value_delimiter = ',')]
    access: Vec<PlaceOrBloc>,
    /// From where people may not reach it
    #[arg(long, value_name = "PLACE", value_delimiter = ',')]
    not_access: Vec<PlaceOrBloc>,
    /// Where the node's operator may have its seat
    #[arg(long, value_name = "PLACE", value_delimiter = ',')]
    operator_seat: Vec<PlaceOrBloc>,
    /// Where whoever controls the operator may have their seats
    #[arg(long, value_name = "PLACE", value_delimiter = ',')]
    controller_seat: Vec<PlaceOrBloc>,
    /// Where they may not
    #[arg(long, value_name = "PLACE", value_delimiter = ',')]
    not_controller_seat: Vec<PlaceOrBloc>,
    /// For how many days prompts and completions may be kept
    #[arg(long, value_name = "DAYS")]
    max_retention_days: Option<u32>,
    /// Reasons to keep them longer that are accepted: legal-obligation, ...
    #[arg(long, value_name = "TRIGGER", value_delimiter = ',', value_parser = word::<RetentionTrigger>, requires = "max_retention_days")]
    accept_retention: Vec<RetentionTrigger>,
    /// Inputs must not be trained on
    #[arg(long)]
    no_training: bool,
    /// Nobody may read prompts or completions
    #[arg(long)]
    no_human_review: bool,
    /// Prompts and completions must not be logged
    #[arg(long)]
    no_content_logging: bool,
    /// Laws that may not reach anybody who can read content: US-CLOUD-ACT, ... (`comity table show regimes`)
    #[arg(long, value_name = "REGIME", value_delimiter = ',')]
    no_exposure: Vec<String>,
    /// Licences that the model may have: Apache-2.0, ...
    #[arg(long, value_name = "SPDX", value_delimiter = ',')]
    licence: Vec<String>,
    /// The most that a million tokens may cost, input and output: EUR:0.50:1.50
    #[arg(long, value_name = "CURRENCY:INPUT:OUTPUT", value_parser = price)]
    max_price: Option<Price>,
    /// What the model must be able to do besides: tools, json-schema, ...
    #[arg(long, value_name = "CAPABILITY", value_delimiter = ',', value_parser = word::<Capability>)]
    capability: Vec<Capability>,
    /// Where the request comes from, if not only from the organisation's seat
    #[arg(long, value_name = "PLACE", value_delimiter = ',')]
    access_origin: Vec<Place>,
}

impl RequirementArgs {
    /// The envelope of a request for `model`.
    pub(crate) fn envelope(&self, model: &ModelName, tables: &Tables) -> Result<Envelope, CliError> {
        let RequirementsFile { requirements, declared, prefer } = self.merged(model, tables)?;
        // How long the answer may be is said with the payload.
        let max_output_tokens = None;
        Ok((&convert::Envelope { model: model.clone(), requirements, declared, prefer, max_output_tokens }).into())
    }

    /// Everything that was given, merged: never looser than any part of it.
    fn merged(&self, model: &ModelName, tables: &Tables) -> Result<RequirementsFile, CliError> {
        let flags = self.flags().expand(tables).map_err(|error| usage(&error))?;
        let asked = Asked { model: Some(model.clone()), file: flags };
        let asked = self.require.iter().try_fold(asked, |asked, path| asked.and(path, read(path, tables)?))?;
        Ok(asked.file)
    }

    /// The flags, as a file would say the same. A flag that was not given demands nothing.
    fn flags(&self) -> RequirementsTable {
        let given = |places: &[PlaceOrBloc]| (!places.is_empty()).then(|| places.iter().cloned().collect());
        RequirementsTable {
            preset: self.preset.clone(),
            purposes: self.purposes.iter().cloned().collect(),
            access_origins: self.access_origin.iter().cloned().collect(),
            allowed_processing_locations: given(&self.processing),
            forbidden_processing_locations: self.not_processing.iter().cloned().collect(),
            allowed_storage_locations: given(&self.storage),
            forbidden_storage_locations: self.not_storage.iter().cloned().collect(),
            allowed_access_locations: given(&self.access),
            forbidden_access_locations: self.not_access.iter().cloned().collect(),
            allowed_operator_seats: given(&self.operator_seat),
            allowed_controller_seats: given(&self.controller_seat),
            forbidden_controller_seats: self.not_controller_seat.iter().cloned().collect(),
            max_content_retention_days: self.max_retention_days,
            accept_retention_triggers: self.accept_retention.iter().copied().collect(),
            no_training: self.no_training,
            allowed_licences: (!self.licence.is_empty()).then(|| self.licence.iter().cloned().collect()),
            max_price: self.max_price.clone(),
            required_capabilities: self.capability.iter().copied().collect(),
            no_exposure: self.no_exposure.iter().cloned().collect(),
            no_human_review: self.no_human_review,
            no_content_logging: self.no_content_logging,
            ..RequirementsTable::default()
        }
    }
}

/// A file's text.
pub(crate) fn read_text(path: &Path) -> Result<String, CliError> {
    let unreadable = |source| CliError::File { doing: "read", path: path.to_owned(), source };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    // One byte more than is accepted, so that what is too long is seen; a pipe tells no length before.
    file.take(MAX_FILE_BYTES.saturating_add(1)).read_to_string(&mut text).map_err(unreadable)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_FILE_BYTES {
        let problem = format!("has more than {MAX_FILE_BYTES} bytes, which is the most that is accepted");
        return Err(unreadable(std::io::Error::new(std::io::ErrorKind::FileTooLarge, problem)));
    }
    Ok(text)
}

/// What is asked for, and of which model where that is said.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// The model.
    pub(crate) model: Option<ModelName>,
    /// What is demanded and declared.
    pub(crate) file: RequirementsFile,
}

impl Asked {
    /// Both: no looser than either, and of one model.
    pub(crate) fn and(self, path: &Path, other: Self) -> Result<Self, CliError> {
        let (ours, its) = (self.model, other.model);
        if let (Some(ours), Some(its)) = (&ours, &its)
            && ours != its
        {
            return Err(CliError::Usage {
                problem: format!("{} asks for the model {its}, and {ours} is asked for beside it", path.display()),
                hint: "a request is for one model: take `model` out of the file, or name the same".to_owned(),
            });
        }
        Ok(Self { model: ours.or(its), file: self.file.meet(other.file) })
    }
}

/// A file of requirements: TOML, or an `Envelope` as JSON.
pub(crate) fn read(path: &Path, tables: &Tables) -> Result<Asked, CliError> {
    const EXPECTED: &str = "a file of requirements";
    let text = read_text(path)?;
    if files::is_json(path, &text) {
        let (model, file) = files::converted(path, EXPECTED, &text, |wire| convert::files::request(wire, tables))?;
        return Ok(Asked { model, file });
    }
    let table: RequirementsTable = config::parse(path, &text).map_err(|error| files::wrong(path, EXPECTED, error))?;
    let file = table.expand(tables).map_err(|error| files::wrong(path, EXPECTED, error))?;
    Ok(Asked { model: None, file })
}

fn usage(error: &RequirementsError) -> CliError {
    let hint = if matches!(error, RequirementsError::UnknownPreset { .. }) {
        "`comity preset list` shows what there is"
    } else {
        "`comity chat --help` says what may be required"
    };
    CliError::Usage { problem: error.to_string(), hint: hint.to_owned() }
}

/// A word of a closed list, such as `legal-obligation`.
fn word<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, String> {
    let deserializer: serde::de::value::StrDeserializer<'_, serde::de::value::Error> = text.into_deserializer();
    T::deserialize(deserializer).map_err(|error| error.to_string())
}

/// `EUR:0.50:1.50`, exactly: no price is ever rounded.
fn price(text: &str) -> Result<Price, String> {
    let wrong =
        || "expected a currency and the prices of a million input and output tokens, such as EUR:0.50:1.50".to_owned();
    let [currency, input, output] = text.split(':').collect::<Vec<_>>().try_into().map_err(|_| wrong())?;
    Ok(Price {
        currency: currency.parse::<Currency>().map_err(|error| error.to_string())?,
        input_micros_per_million_tokens: micros(input).ok_or_else(wrong)?,
        output_micros_per_million_tokens: micros(output).ok_or_else(wrong)?,
    })
}

/// Millionths of an amount with up to six decimals.
fn micros(text: &str) -> Option<u64> {
    const DECIMALS: usize = 6;
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > DECIMALS || !digits(whole) || !digits(part) {
        return None;
    }
    format!("{whole}{part:0<DECIMALS$}").parse().ok()
}

#[cfg(test)]
mod tests;
