//! Reads a policy file, line by line (tlog-policy, "Policy file syntax and structure").

use comity_types::Invalid;

use super::draft::{PolicyDraft, Threshold};
use super::fault::{PolicyError, PolicyFault};
use super::{MAX_POLICY_BYTES, Octets, Policy};
use crate::checkpoint::decimal;
use crate::verifier::Verifier;

const LOG: &str = "log <vkey> [<url>]";
const WITNESS: &str = "witness <name> <vkey> [<url>]";
const GROUP: &str = "group <name> all|any|<k> <name>...";
const QUORUM: &str = "quorum <name>|none";

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// A line is none, or does not fit those above it.
    pub fn parse(file: &[u8]) -> Result<Self, PolicyError> {
        if file.len() > MAX_POLICY_BYTES {
            return Err(PolicyError { line: 1, fault: PolicyFault::TooLong });
        }
        let (mut draft, mut number) = (PolicyDraft::default(), 0);
        for line in file.split_inclusive(|byte| *byte == b'\n') {
            number += 1;
            read(&mut draft, line).map_err(|fault| PolicyError { line: number, fault })?;
        }
        draft.finish().map_err(|fault| PolicyError { line: number, fault })
    }
}

fn read(draft: &mut PolicyDraft, line: &[u8]) -> Result<(), PolicyFault> {
    let line = line.strip_suffix(b"\n").ok_or(PolicyFault::Unterminated)?;
    if let Some(byte) = line.iter().find(|byte| !matches!(byte, b'\t' | 0x20..=0x7e | 0x80..)) {
        return Err(PolicyFault::Octet(*byte));
    }
    let items: Vec<&[u8]> = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|item| !item.is_empty()).collect();
    match items.as_slice() {
        [] => Ok(()),
        [first, ..] if first.starts_with(b"#") => Ok(()),
        [b"log", vkey] => draft.log(key(vkey)?, None),
        [b"log", vkey, url] => draft.log(key(vkey)?, Some(octets(url)?)),
        [b"log", ..] => Err(PolicyFault::Shape(LOG)),
        [b"witness", name, vkey] => draft.witness(octets(name)?, key(vkey)?, None),
        [b"witness", name, vkey, url] => draft.witness(octets(name)?, key(vkey)?, Some(octets(url)?)),
        [b"witness", ..] => Err(PolicyFault::Shape(WITNESS)),
        [b"group", name, number, members @ ..] if !members.is_empty() => {
            let members = members.iter().map(|name| octets(name)).collect::<Result<Vec<_>, _>>()?;
            draft.group(octets(name)?, threshold(number, members.len())?, &members)
        }
        [b"group", ..] => Err(PolicyFault::Shape(GROUP)),
        [b"quorum", name] => draft.quorum(&octets(name)?),
        [b"quorum", ..] => Err(PolicyFault::Shape(QUORUM)),
        [other, ..] => Err(PolicyFault::Keyword(octets(other)?)),
    }
}

fn threshold(number: &[u8], members: usize) -> Result<Threshold, PolicyFault> {
    match number {
        b"any" => Ok(Threshold::Any),
        b"all" => Ok(Threshold::All),
        _ => {
            let number = std::str::from_utf8(number).ok().and_then(decimal);
            let number = number.and_then(|number| usize::try_from(number).ok());
            number.map(Threshold::Of).ok_or(PolicyFault::Threshold { members })
        }
    }
}

fn key(vkey: &[u8]) -> Result<Verifier, PolicyFault> {
    let text = std::str::from_utf8(vkey);
    let text = text.map_err(|_| Invalid::new(&String::from_utf8_lossy(vkey), "a verifier key in UTF-8"))?;
    Ok(text.parse::<Verifier>()?)
}

fn octets(item: &[u8]) -> Result<Octets, PolicyFault> {
    Octets::new(item).ok_or(PolicyFault::Name)
}
