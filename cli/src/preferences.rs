//! How a request is served by those that may have it: flags that make no offer eligible, and none ineligible.

use std::time::Duration;

use clap::Args;
use comity_policy::rank::Hedge;
use comity_proto::inference::Envelope;
use comity_proto::policy;

/// The word for: as long as is slow for that offer.
const AUTO: &str = "auto";

/// The flags of every command that has a model answer.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Preferences (among those that may have the request)")]
pub(crate) struct PreferenceArgs {
    /// Stay with the offer that served others of this session: any name, of which a digest alone is sent
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    session: Option<String>,
    /// Ask a second offer where the first has not begun to answer after this time: 10ms to 10m, or auto, which is what is slow
    /// for it. Both may charge for what they did
    #[arg(long, value_name = "TIME", value_parser = hedge)]
    hedge: Option<Hedge>,
}

impl PreferenceArgs {
    /// Puts them into an envelope, where they replace what a file says of the same.
    pub(crate) fn put_into(&self, mut envelope: Envelope) -> Envelope {
        if self.session.is_none() && self.hedge.is_none() {
            return envelope;
        }
        let preferences = envelope.preferences.get_or_insert_default();
        if let Some(name) = &self.session {
            preferences.session = comity_client::session(name.as_bytes());
        }
        if let Some(Hedge { after_ms }) = self.hedge {
            preferences.hedge = Some(policy::Hedge { after_ms });
        }
        envelope
    }
}

/// `auto`, or a time such as `300ms`.
fn hedge(text: &str) -> Result<Hedge, String> {
    if text == AUTO {
        return Ok(Hedge { after_ms: None });
    }
    let wrong = || "write auto, or a time from 10ms to 10m".to_owned();
    let after: Duration = humantime::parse_duration(text).map_err(|error| format!("{error}; {}", wrong()))?;
    let after_ms = u32::try_from(after.as_millis()).ok().filter(|after| Hedge::AFTER_MS.contains(after));
    after_ms.map(|after| Hedge { after_ms: Some(after) }).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        preferences: PreferenceArgs,
    }

    fn put(flags: &[&str]) -> Result<Option<policy::Preferences>, String> {
        let flags =
            Flags::try_parse_from(std::iter::once(&"comity").chain(flags)).map_err(|error| error.to_string())?;
        let preferences = Some(policy::Preferences { price: 3, ..Default::default() });
        Ok(flags.preferences.put_into(Envelope { preferences, ..Default::default() }).preferences)
    }

    #[test]
    fn flags_are_put_beside_what_a_file_prefers_and_the_name_of_a_session_is_not_sent() {
        let of = |session: &[u8], hedge| {
            Some(policy::Preferences { price: 3, session: session.to_vec().into(), hedge, ..Default::default() })
        };
        assert_eq!(put(&[]), Ok(of(b"", None)));
        let session = comity_client::session(b"talk");
        assert_eq!(put(&["--session", "talk"]), Ok(of(&session, None)));
        let after = |after_ms| Some(policy::Hedge { after_ms });
        assert_eq!(put(&["--hedge", "auto"]), Ok(of(b"", after(None))));
        assert_eq!(put(&["--hedge", "300ms"]), Ok(of(b"", after(Some(300)))));
    }

    #[test]
    fn times_that_are_no_hedge_and_sessions_without_a_name_are_refused() {
        for time in ["9ms", "11m", "soon", "-1s"] {
            let flag = format!("--hedge={time}");
            assert!(put(&[&flag]).unwrap_err().contains("auto"), "{time}");
        }
        assert!(put(&["--session", ""]).is_err());
    }
}
