//! Telling the story: every step is a command that is shown, run and held against what it should lead to.

use std::path::Path;

use serde_json::Value;

use super::federation::{Federation, json, write};
use super::models::Ask;
use super::story::{Expected, STORY, Step};
use super::{DemoError, processes, tell_line};

/// What is asked.
const QUESTION: &str = "In one sentence: what is a public library for?";
/// Most tokens of an answer: a sentence.
const MAX_TOKENS: &str = "40";
/// How a program ends that was refused, as `main` states it.
const REFUSED: i32 = 1;

/// Tells every step; gives the titles of those that went another way than they should.
pub(super) async fn story(federation: &Federation, ask: &Ask) -> Result<Vec<String>, DemoError> {
    let mut wrong = Vec::new();
    for (index, step) in STORY.iter().enumerate() {
        let number = index + 1;
        let bold = anstyle::Style::new().bold();
        tell_line(&format!("\n{bold}{number}. {}{bold:#}\n{}", step.title, filled(step.told)))?;
        let outcome = Telling { federation, ask, number }.tell(step).await?;
        match outcome {
            Ok(as_told) => tell_line(&format!(
                "{good}  as it should be:{good:#} {as_told}",
                good = colour(anstyle::AnsiColor::Green)
            ))?,
            Err(instead) => {
                tell_line(&format!(
                    "{bad}  NOT as it should be:{bad:#} {instead}",
                    bad = colour(anstyle::AnsiColor::Red)
                ))?;
                wrong.push(format!("{number}. {}", step.title));
            }
        }
    }
    Ok(wrong)
}

/// A step that is being told.
struct Telling<'a> {
    federation: &'a Federation,
    ask: &'a Ask,
    number: usize,
}

impl Telling<'_> {
    /// What came of it, in words: as it should, or not.
    async fn tell(&self, step: &Step) -> Result<Result<String, String>, DemoError> {
        if let Some(words) = step.governed {
            self.show(&self.federation.operator_dir(), words)?;
            self.federation.govern(words).await?;
        }
        let asked = self.request(step).await?;
        match step.expected {
            Expected::AnsweredBy(organisation) => Ok(answered_by(&asked, organisation.domain)),
            Expected::Refused(reasons) => {
                let verdicts = self.explain(step).await?;
                Ok(refused(
                    &asked,
                    &verdicts,
                    self.ask.method(),
                    reasons.iter().map(|(organisation, code)| (organisation.domain, *code)),
                ))
            }
        }
    }

    /// Sends the step's request: as a program where the answer is read, as a person where a refusal is shown.
    async fn request(&self, step: &Step) -> Result<Asked, DemoError> {
        let identity = self.federation.app_dir(step.app);
        let words = self.words(step)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.show(&identity, &words)?;
        let mut command = self.federation.comity_as(&identity);
        command.args(&words);
        let output = match step.expected {
            Expected::AnsweredBy(_) => processes::finish_aloud(&mut command).await?,
            Expected::Refused(_) => processes::show(&mut command).await?,
        };
        let asked =
            Asked { code: output.status.code(), answer: serde_json::from_slice(&output.stdout).unwrap_or_default() };
        if let Some(text) = asked.answer.get("text").and_then(Value::as_str) {
            tell_line(&filled(&format!("\"{}\"", text.trim())))?;
        }
        Ok(asked)
    }

    fn words(&self, step: &Step) -> Result<Vec<String>, DemoError> {
        let mut words = vec![self.ask.method(), "--model", self.ask.model()];
        words.extend(step.requirements);
        if matches!(step.expected, Expected::AnsweredBy(_)) {
            words.extend(["-o", "json"]);
        }
        if let Ask::Chat { .. } = self.ask {
            words.extend(["--temperature", "0", "--max-tokens", MAX_TOKENS, QUESTION]);
        }
        let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        if matches!(self.ask, Ask::Embed) {
            let file = |name: &str| self.federation.dir().join(name).display().to_string();
            let question = file("question.jsonl");
            write(Path::new(&question), &format!("{}\n", Value::from(QUESTION)))?;
            words.extend([question, file(&format!("vectors-{}.jsonl", self.number))]);
        }
        Ok(words)
    }

    async fn explain(&self, step: &Step) -> Result<Value, DemoError> {
        let mut command = self.federation.comity_as(&self.federation.app_dir(step.app));
        command.args(["explain", "--model", self.ask.model(), "--for", self.ask.method()]);
        json(command.args(step.requirements).args(["-o", "json"])).await
    }

    /// Shows a command as one would type it.
    fn show(&self, identity: &Path, words: &[&str]) -> Result<(), DemoError> {
        let identity = identity.display().to_string();
        let dir = self.federation.dir().display().to_string();
        let words = ["comity", "--identity", &identity].into_iter().chain(words.iter().copied());
        let words = words.map(|word| quoted(word).replace(&dir, "$D"));
        let line = lines(flags_with_values(words).into_iter()).join(" \\\n      ");
        tell_line(&format!("{cyan}  $ {line}{cyan:#}", cyan = colour(anstyle::AnsiColor::Cyan)))
    }
}

/// What a request came to.
#[derive(Debug)]
struct Asked {
    code: Option<i32>,
    answer: Value,
}

/// Whether the node of `domain` answered.
fn answered_by(asked: &Asked, domain: &str) -> Result<String, String> {
    let offer = asked.answer.get("offer").or_else(|| asked.answer.get("offers")?.get(0)).and_then(Value::as_str);
    match offer {
        Some(offer) if asked.code == Some(0) && organisation_of(offer) == domain => Ok(format!("{offer} answered")),
        Some(offer) => Err(format!("{offer} answered, and a node of {domain} should have")),
        None => Err(format!("nobody answered, and a node of {domain} should have")),
    }
}

/// Whether the request was refused, and by each of the organisations for the code beside it.
fn refused<'a>(
    asked: &Asked,
    verdicts: &Value,
    offer: &str,
    reasons: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<String, String> {
    if asked.code != Some(REFUSED) {
        return Err("the request was not refused".to_owned());
    }
    let mut told = Vec::new();
    for (domain, code) in reasons {
        if !has_reason(verdicts, domain, offer, code) {
            return Err(format!("{domain} should have been out by {code}"));
        }
        told.push(format!("{domain} is out by {code}"));
    }
    Ok(told.join(", "))
}

fn has_reason(verdicts: &Value, domain: &str, offer: &str, code: &str) -> bool {
    let verdicts = verdicts.get("verdicts").and_then(Value::as_array).into_iter().flatten();
    let name = |verdict: &Value| verdict.get("offer").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut of_offer = verdicts
        .filter(|verdict| organisation_of(&name(verdict)) == domain && name(verdict).ends_with(&format!("/{offer}")));
    let is_code = |reason: &Value| reason.get("code").and_then(Value::as_str) == Some(code);
    of_offer.any(|verdict| {
        verdict.get("reasons").and_then(Value::as_array).is_some_and(|reasons| reasons.iter().any(is_code))
    })
}

fn organisation_of(offer: &str) -> &str {
    offer.split('/').next().unwrap_or_default()
}

/// A word, as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:,=@".contains(&byte));
    if plain && !word.is_empty() { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// A command's words, with the flags' values beside the flags.
fn flags_with_values(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut units: Vec<String> = Vec::new();
    for word in words {
        match units.last_mut() {
            Some(flag) if flag.starts_with('-') && !flag.contains(' ') && !word.starts_with('-') => {
                flag.extend([" ", &word]);
            }
            _ => units.push(word),
        }
    }
    units
}

/// A text, filled.
fn filled(text: &str) -> String {
    let lines = lines(text.split_whitespace().map(str::to_owned));
    lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

/// Words in lines that a terminal of eighty columns shows whole, if no word is longer.
fn lines(words: impl Iterator<Item = String>) -> Vec<String> {
    const WIDTH: usize = 72;
    let mut lines = vec![String::new()];
    for word in words {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(&word),
            Some(line) if line.len() + 1 + word.len() <= WIDTH => line.extend([" ", &word]),
            _ => lines.push(word),
        }
    }
    lines
}

fn colour(colour: anstyle::AnsiColor) -> anstyle::Style {
    colour.on_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn verdicts(code: &str) -> Value {
        json!({ "verdicts": [{ "offer": "a.example/n1/chat", "reasons": [{ "code": code }] }] })
    }

    #[test]
    fn an_answer_of_another_node_is_not_as_told() {
        let asked = Asked { code: Some(0), answer: json!({ "offer": "a.example/n1/chat" }) };
        assert!(answered_by(&asked, "a.example").is_ok());
        assert!(answered_by(&asked, "b.example").is_err());
        assert!(answered_by(&Asked { code: Some(0), answer: Value::Null }, "a.example").is_err());
        assert!(answered_by(&Asked { code: Some(2), ..asked }, "a.example").is_err());
    }

    #[test]
    fn a_refusal_for_another_reason_is_not_as_told() {
        let asked = Asked { code: Some(REFUSED), answer: Value::Null };
        let told = |verdicts, code| refused(&asked, &verdicts, "chat", [("a.example", code)].into_iter());
        assert!(told(verdicts("PRICE_ABOVE_MAX"), "PRICE_ABOVE_MAX").is_ok());
        assert!(told(verdicts("PRICE_ABOVE_MAX"), "PURPOSE_PROHIBITED").is_err());
        assert!(told(Value::Null, "PRICE_ABOVE_MAX").is_err());
    }

    #[test]
    fn a_request_that_was_answered_or_failed_was_not_refused() {
        for code in [Some(0), Some(2), None] {
            let asked = Asked { code, answer: Value::Null };
            assert!(refused(&asked, &verdicts("X"), "chat", [("a.example", "X")].into_iter()).is_err());
        }
    }

    #[test]
    fn lines_are_as_long_as_they_may_be() {
        let words = ["a".repeat(40), "b".repeat(31), "c".to_owned(), "d".repeat(90)];
        assert_eq!(lines(words.clone().into_iter()), [words[..2].join(" "), words[2].clone(), words[3].clone()]);
    }

    #[test]
    fn a_flag_stands_beside_its_value() {
        let words = ["embed", "--no-training", "-o", "json", "file"].into_iter().map(str::to_owned);
        assert_eq!(flags_with_values(words), ["embed", "--no-training", "-o json", "file"]);
    }

    #[test]
    fn a_command_can_be_typed_as_it_is_shown() {
        assert_eq!(quoted("dpv:CustomerCare"), "dpv:CustomerCare");
        assert_eq!(quoted("what's this?"), r"'what'\''s this?'");
    }
}
