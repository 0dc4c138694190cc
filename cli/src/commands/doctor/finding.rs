//! One check's result: what was found, and how to mend it.

use std::error::Error;

use comity_client::split_hint;
use comity_runtime::chain;
use serde::Serialize;

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// Which check, and of what.
    pub(super) check: String,
    /// How it went.
    pub(super) result: Outcome,
    /// What was found.
    pub(super) found: String,
    /// How to mend it, where something is to be mended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mend: Option<String>,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    /// As it should be.
    Ok,
    /// It works, and will not for long.
    Warn,
    /// Wrong.
    Fail,
    /// It cannot be told before something else is mended.
    Skipped,
}

impl Finding {
    pub(super) fn ok(check: impl Into<String>, found: impl Into<String>) -> Self {
        Self { check: check.into(), result: Outcome::Ok, found: found.into(), mend: None }
    }

    pub(super) fn warn(check: impl Into<String>, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { result: Outcome::Warn, mend: Some(mend.into()), ..Self::ok(check, found) }
    }

    pub(super) fn fail(check: impl Into<String>, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { result: Outcome::Fail, mend: Some(mend.into()), ..Self::ok(check, found) }
    }

    pub(super) fn skipped(check: impl Into<String>, why: impl Into<String>) -> Self {
        Self { result: Outcome::Skipped, ..Self::ok(check, why) }
    }

    /// A failure that is an error; its own hint says more than `mend`, which stands where it has none.
    pub(super) fn error(check: impl Into<String>, error: &(dyn Error + 'static), mend: &str) -> Self {
        let (found, hint) = split_hint(&chain::text(error));
        Self::fail(check, found, hint.unwrap_or_else(|| mend.to_owned()))
    }

    /// The same, with more of what was found.
    pub(super) fn adding(mut self, more: &str) -> Self {
        self.found.push_str(more);
        self
    }

    /// The cells of a table.
    pub(super) fn row(&self) -> Vec<String> {
        vec![
            self.check.clone(),
            self.result.name().to_owned(),
            self.found.clone(),
            self.mend.clone().unwrap_or_default(),
        ]
    }
}

impl Outcome {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
            Self::Skipped => "skipped",
        }
    }
}
