//! Ownership in files.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{BadOwnership, Ownership, Party, Share, Stake, WHOLE};

impl<'de> Deserialize<'de> for Ownership {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, default)]
        #[derive(Default)]
        struct Table {
            parties: BTreeMap<String, Party>,
            stakes: Vec<Stake>,
        }
        let Table { parties, stakes } = Table::deserialize(deserializer)?;
        Self::new(parties, stakes).map_err(D::Error::custom)
    }
}

/// Percent, as files have them.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Percent {
    #[serde(skip_serializing_if = "Option::is_none")]
    percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_least: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    above: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_most: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    below: Option<f64>,
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Percent::deserialize(deserializer)?;
        share(&table).map_err(D::Error::custom)
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let percent = |millionths: u32| Some(f64::from(millionths) / PER_PERCENT);
        let table = if self.least == self.most {
            Percent { percent: percent(self.least), ..Default::default() }
        } else {
            Percent { at_least: percent(self.least), at_most: percent(self.most), ..Default::default() }
        };
        table.serialize(serializer)
    }
}

/// Millionths in a percent.
const PER_PERCENT: f64 = 10_000.0;

fn share(table: &Percent) -> Result<Share, BadOwnership> {
    let Percent { percent, at_least, above, at_most, below } = *table;
    let bound = |value: Option<f64>| value.map(millionths).transpose();
    let (exact, at_least, above) = (bound(percent)?, bound(at_least)?, bound(above)?);
    let (at_most, below) = (bound(at_most)?, bound(below)?);
    let bounds = [at_least, above, at_most, below];
    match exact {
        Some(exact) if bounds == [None; 4] => return Share::new(exact, exact),
        Some(_) => return Err(BadOwnership::Share),
        None => {}
    }
    if (at_least.is_some() && above.is_some()) || (at_most.is_some() && below.is_some()) {
        return Err(BadOwnership::Share);
    }
    // An open bound is a millionth off: finer than any register.
    let least = at_least.or_else(|| above.map(|above| above.saturating_add(1))).unwrap_or(0);
    let most = match (at_most, below) {
        (Some(most), _) => most,
        (None, Some(below)) => below.checked_sub(1).ok_or(BadOwnership::Share)?,
        (None, None) => WHOLE,
    };
    Share::new(least, most)
}

/// Percent in millionths of the whole; finer than that is refused, since it would have to be rounded.
fn millionths(percent: f64) -> Result<u32, BadOwnership> {
    let scaled = percent * PER_PERCENT;
    let rounded = scaled.round();
    let exact = (scaled - rounded).abs() < 1e-6;
    if !(0.0..=f64::from(WHOLE)).contains(&rounded) || !exact {
        return Err(BadOwnership::Share);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number from 0 to 1,000,000")]
    Ok(rounded as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Ownership, String> {
        toml::from_str(text).map_err(|error: toml::de::Error| error.to_string())
    }

    fn share_of(text: &str) -> Result<(u32, u32), String> {
        let ownership = read(&format!("parties = {{ p = {{}} }}\nstakes = [{{ holder = 'p', share = {text} }}]"))?;
        let [stake] = ownership.stakes() else { panic!("{ownership:?}") };
        Ok((stake.share.least(), stake.share.most()))
    }

    #[test]
    fn shares_are_exact_or_between_bounds() {
        assert_eq!(share_of("{ percent = 50.01 }").unwrap(), (500_100, 500_100));
        assert_eq!(share_of("{ above = 25, at_most = 50 }").unwrap(), (250_001, 500_000));
        assert_eq!(share_of("{ at_least = 25, below = 50 }").unwrap(), (250_000, 499_999));
        assert_eq!(share_of("{}").unwrap(), (0, WHOLE));
    }

    #[test]
    fn shares_that_make_no_sense_are_refused() {
        let texts = [
            "{ percent = 100.01 }",
            "{ percent = -1 }",
            "{ percent = 33.33333 }",
            "{ percent = 0.0000000001 }",
            "{ at_least = 5, above = 5, below = 9 }",
            "{ at_most = 9, below = 9 }",
            "{ percent = 10, at_least = 5 }",
            "{ at_least = 5, above = 5 }",
            "{ at_least = 60, at_most = 50 }",
            "{ below = 0 }",
            "{ percent = nan }",
        ];
        for text in texts {
            assert!(share_of(text).unwrap_err().contains("from 0 to 100 %"), "{text}");
        }
    }

    #[test]
    fn a_graph_names_the_stake_that_contradicts_it() {
        let graph = |stakes: &str| read(&format!("parties = {{ a = {{}}, b = {{}} }}\nstakes = [{stakes}]"));
        assert!(graph("{ holder = 'c' }").unwrap_err().contains("stakes[0].holder: there is no party \"c\""));
        assert!(graph("{ subject = 'c', holder = 'a' }").unwrap_err().contains("stakes[0].subject"));
        assert!(graph("{ subject = 'a', holder = 'a' }").unwrap_err().contains("nothing holds itself"));
        assert!(graph("{ holder = 'a' }, { holder = 'a' }").unwrap_err().contains("stakes[1]"));
        let most = "{ holder = 'a', share = { percent = 60 } }, { holder = 'b', share = { percent = 40.0001 } }";
        assert!(graph(most).unwrap_err().contains("more than 100 %"));
        let cycle = "{ holder = 'a' }, { subject = 'a', holder = 'b' }, { subject = 'b', holder = 'a' }";
        assert!(graph(cycle).is_ok());
        assert!(read("parties = { self = {} }").unwrap_err().contains("the organisation itself"));
    }

    #[test]
    fn free_float_is_nowhere_and_on_no_list() {
        let float = |fields: &str| read(&format!("parties = {{ f = {{ kind = 'dispersed'{fields} }} }}"));
        assert!(float("").is_ok());
        for (field, value) in [
            ("seat", "'CN'"),
            ("headquarters", "'CN'"),
            ("restricted_party_lists", "['OFAC-SDN']"),
            ("lei", "'529900T8BM49AURSDO55'"),
        ] {
            let error = float(&format!(", {field} = {value}")).unwrap_err();
            assert!(error.contains(&format!("parties.f.{field}: free float")) && error.contains("hint"), "{error}");
        }
        assert!(float(", restricted_party_lists = []").is_ok());
    }

    #[test]
    fn files_round_trip() {
        let text = "parties = { a = { seat = 'CN' } }\nstakes = [{ holder = 'a', share = { percent = 50.01 } }]";
        let ownership = read(text).unwrap();
        assert_eq!(read(&toml::to_string(&ownership).unwrap()).unwrap(), ownership);
        let text = "parties = { a = {} }\nstakes = [{ holder = 'a', share = { at_least = 25, below = 50 } }]";
        let ownership = read(text).unwrap();
        assert_eq!(read(&toml::to_string(&ownership).unwrap()).unwrap(), ownership);
    }
}
