//! What a person sees of the real program: help, mistakes, files, exit status.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

/// Data was printed.
const DONE: i32 = 0;
/// The answer is no, or there is no such thing.
const REFUSED: i32 = 1;
/// The command was wrong, or something failed.
const FAULT: i32 = 2;

fn comity(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_comity"));
    command.env_remove("COMITY_IDENTITY").args(words).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Fails with `status`, prints no data, and says every one of `words`.
fn fails(command: &[&str], status: i32, words: &[&str]) {
    let output = comity(command);
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(status), "{command:?}: {said}");
    assert_eq!(stdout(&output), "", "{command:?} printed data");
    for word in words {
        assert!(said.contains(word), "{command:?}: no {word:?} in {said}");
    }
}

/// Succeeds; gives what was printed.
fn done(command: &[&str]) -> String {
    let output = comity(command);
    assert_eq!(output.status.code(), Some(DONE), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    stdout(&output)
}

fn found(dir: &Path) -> String {
    let dir = dir.to_str().unwrap();
    let listen = "127.0.0.1:7443";
    let facts = ["--name", "federation.example", "--operator", "alice", "--listen", listen, "--place", "DE"];
    done(&[&["federation", "init", "-o", "json", "--dir", dir], &facts[..]].concat())
}

#[test]
fn help_is_data_and_names_every_command() {
    let help = done(&["--help"]);
    let commands = "demo doctor federation invite join enrolment approve reject organisation node app suspend lift model offer \
                    explain chat embed policy table terms claim auditor preset completions man";
    for command in commands.split_whitespace() {
        assert!(help.contains(&format!("  {command}")), "{command} is missing in {help}");
        assert!(done(&["help", command]).contains("Usage: comity"), "{command}");
    }
}

/// What can be looked at, and how.
const NOUNS: &[(&str, &[&str])] = &[
    ("federation", &["show", "diff"]),
    ("organisation", &["list", "show", "diff", "keys list", "anchors list"]),
    ("operator", &["list", "show"]),
    ("node", &["list", "show"]),
    ("app", &["list", "show"]),
    ("offer", &["list", "show", "diff"]),
    ("enrolment", &["list", "show"]),
    ("proposal", &["list", "show"]),
    ("suspension", &["list"]),
    ("terms", &["list"]),
    ("auditor", &["list"]),
    ("claim", &["list"]),
    ("table", &["list", "show", "diff"]),
    ("log", &["show", "tail", "verify"]),
];
/// What changes something that others see.
const CHANGES: &[&str] = &[
    "federation init",
    "invite",
    "approve",
    "reject",
    "suspend",
    "lift",
    "evict",
    "withdraw",
    "operator threshold",
    "operator remove",
    "organisation update",
    "organisation keys set",
    "organisation keys roll",
    "organisation anchors set",
    "organisation anchors roll",
    "terms accept",
    "terms withdraw",
    "auditor recognise",
    "auditor revoke",
    "claim audit",
    "table adopt",
    "record erase",
];

#[test]
fn every_noun_is_looked_at_in_the_same_words_and_every_change_can_be_tried() {
    let help = |words: &str| done(&[&["help"], &words.split(' ').collect::<Vec<_>>()[..]].concat());
    for (noun, verbs) in NOUNS {
        for verb in *verbs {
            let help = help(&format!("{noun} {verb}"));
            assert!(help.contains(&format!("Usage: comity {noun} {verb}")), "{noun} {verb}: {help}");
            assert!(help.contains("-o, --output <OUTPUT>") && help.contains("json"), "{noun} {verb}: {help}");
        }
    }
    for change in CHANGES {
        let help = help(change);
        assert!(help.contains("--dry-run"), "{change}: {help}");
        assert!(help.contains("-o, --output <OUTPUT>"), "{change}: {help}");
    }
    assert!(help("doctor").contains("-o, --output <OUTPUT>"));
}

#[test]
fn mistakes_on_the_command_line_are_named() {
    fails(&[], FAULT, &["Usage"]);
    fails(&["chatt"], FAULT, &["chatt", "chat"]);
    fails(&["chat", "hello"], FAULT, &["--model"]);
    fails(&["chat", "--model", "m", "--processing", "Atlantis", "hello"], FAULT, &["Atlantis", "ISO 3166"]);
    fails(&["invite", "org.example", "--kind", "king", "--name", "n"], FAULT, &["king", "operator"]);
    fails(&["invite", "org.example", "--kind", "app", "--name", "n", "--ttl", "31d"], FAULT, &["1m to 30d"]);
    fails(&["suspend", "not a member", "--reason", "r"], FAULT, &["not a member"]);
}

#[test]
fn a_command_without_an_identity_says_where_one_comes_from() {
    fails(&["model", "list"], FAULT, &["--identity", "COMITY_IDENTITY", "comity join"]);
    fails(&["--identity", "nowhere", "model", "list"], FAULT, &["nowhere", "comity join"]);
}

#[test]
fn exit_statuses_are_documented() {
    let help = done(&["--help"]);
    for line in ["0   Done", "1   Refused, not found", "2   A mistake", "75  An operator has not approved"] {
        assert!(help.contains(line), "no {line:?} in {help}");
    }
    assert!(done(&["join", "--help"]).contains("75 while operators have not decided"));
}

#[test]
fn an_identity_that_is_not_where_the_environment_says_is_named() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_comity"));
    let output = command.env("COMITY_IDENTITY", "wrong/path").args(["model", "list"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(FAULT), "{said}");
    for word in ["wrong/path/identity.json does not exist", "COMITY_IDENTITY", "comity join INVITE --dir wrong/path"] {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
    assert_eq!(said.matches("hint").count(), 1, "{said}");
}

#[test]
fn a_key_that_others_may_read_is_refused_with_the_command_that_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    let _founded = found(folder.path());
    let identity = folder.path().join("operator/alice");
    std::fs::set_permissions(identity.join("key.pem"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let identity = identity.to_str().unwrap();
    let output = comity(&["--identity", identity, "model", "list"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(&format!("hint: chmod 600 {identity}/key.pem")), "{said}");
    assert!(!said.contains("comity join"), "there is an identity: {said}");
}

#[test]
fn colours_are_for_terminals_and_for_those_who_want_them() {
    let said = |name: &str, value: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_comity"));
        let output = command.args(["model", "list"]).env_remove("COMITY_IDENTITY").env(name, value).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(!said("NO_COLOR", "1").contains('\u{1b}'));
    assert!(!said("TERM", "xterm").contains('\u{1b}'), "stderr is no terminal here");
    assert!(said("CLICOLOR_FORCE", "1").contains('\u{1b}'));
}

#[test]
fn names_and_times_that_cannot_be_are_refused_with_what_can() {
    fails(&["chat", "--model", "no such model!", "hello"], FAULT, &["no such model!", "--model"]);
    for timeout in ["0s", "25h", "soon"] {
        fails(&["chat", "--model", "m", "--timeout", timeout, "hello"], FAULT, &[timeout, "--timeout"]);
    }
    fails(&["chat", "--model", "m", "--timeout", "0s", "hello"], FAULT, &["1s to 24h"]);
}

#[test]
fn values_in_a_file_of_requirements_are_named_with_their_line_and_field() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("strict.toml");
    for (text, words) in [
        (
            "no_training = true\nallowed_processing_locations = ['uk']\n",
            ["strict.toml:2:33", "allowed_processing_locations"],
        ),
        ("allowed_processing_locations = ['DE', 'UK']\n", ["\"UK\"", "allowed_processing_locations"]),
        ("no_training = 'yes'\n", ["strict.toml:1:", "no_training"]),
        ("max_content_retention_days = -1\n", ["strict.toml:1:", "max_content_retention_days"]),
        ("preset = ['eu-sovreign']\n", ["eu-sovreign", "eu-sovereign"]),
        ("no_training = \n", ["strict.toml:1:", "no_training"]),
    ] {
        std::fs::write(&path, text).unwrap();
        let words = [&["strict.toml"][..], &words].concat();
        fails(&["chat", "--model", "m", "hello", "--require", path.to_str().unwrap()], FAULT, &words);
    }
    std::fs::write(&path, b"\xff").unwrap();
    fails(&["chat", "--model", "m", "hello", "--require", path.to_str().unwrap()], FAULT, &["strict.toml", "UTF-8"]);
}

#[test]
fn requirements_are_refused_before_anybody_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("strict.toml");
    std::fs::write(&path, "no_training = true\nno_trainig = true\n").unwrap();
    let path = path.to_str().unwrap();
    let chat = ["chat", "--model", "m", "hello"];
    let chat = |flags: &[&'static str]| [&chat[..], flags].concat();
    fails(
        &[&["chat", "--model", "m", "hello", "--require"][..], &[path]].concat(),
        FAULT,
        &["strict.toml", ":2:1", "no_trainig"],
    );
    fails(&chat(&["--require", "missing.toml"]), FAULT, &["missing.toml"]);
    fails(&chat(&["--preset", "eu-sovreign"]), FAULT, &["eu-sovreign", "comity preset list"]);
}

#[test]
fn presets_are_listed_and_shown_as_a_file_that_may_be_required() {
    let presets: serde_json::Value = serde_json::from_str(&done(&["preset", "list", "-o", "json"])).unwrap();
    let names: Vec<&str> =
        presets["presets"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"eu-sovereign"), "{names:?}");
    for name in names {
        let _table: toml::Table = toml::from_str(&done(&["preset", "show", name])).unwrap();
    }
    fails(&["preset", "show", "nothing"], REFUSED, &["nothing", "comity preset list"]);
}

#[test]
fn a_federation_is_founded_once() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("federation");
    let said: serde_json::Value = serde_json::from_str(&found(&dir)).unwrap();
    assert_eq!(said["operator"], "spiffe://federation.example/operator/alice");
    for file in ["broker/broker.toml", "operator/alice/key.pem", "operator/alice/identity.json"] {
        assert!(dir.join(file).is_file(), "{file} is missing");
    }
    let again =
        ["federation", "init", "--dir", dir.to_str().unwrap(), "--name", "federation.example", "--operator", "alice"];
    let again = [&again[..], &["--listen", "127.0.0.1:7443", "--place", "DE"]].concat();
    fails(&again, FAULT, &["already"]);
}

#[test]
fn a_federation_that_nobody_could_reach_is_not_founded() {
    let words = "federation init --dir unreachable --name f.example --operator alice --listen 0.0.0.0:7443 --place DE";
    fails(&words.split(' ').collect::<Vec<_>>(), FAULT, &["0.0.0.0:7443", "--advertise"]);
    assert!(!Path::new("unreachable").exists());
}

#[test]
fn a_dry_run_of_founding_shows_what_would_be_made_and_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("new");
    let words = ["federation", "init", "--dir", dir.to_str().unwrap(), "--name", "f.example", "--operator", "alice"];
    let words = [&words[..], &["--listen", "127.0.0.1:7443", "--place", "DE"]].concat();
    let dry = |more: &[&'static str]| [&words[..], &["--dry-run"], more].concat();
    let would: serde_json::Value = serde_json::from_str(&done(&dry(&["-o", "json"]))).unwrap();
    let would = &would["wouldFound"];
    assert_eq!((&would["federation"], &would["rootThreshold"]), (&"f.example".into(), &1.into()), "{would}");
    assert_eq!(would["operators"], serde_json::json!(["spiffe://f.example/operator/alice"]));
    // What cannot be founded is refused as it would be.
    fails(&dry(&["--threshold", "2"]), FAULT, &["found the federation", "1 to 1 is possible"]);
    assert!(!dir.exists());

    let _founded = done(&words);
    for made in would["directories"].as_array().unwrap() {
        assert!(Path::new(made.as_str().unwrap()).is_dir(), "{made}");
    }
    fails(&dry(&[]), FAULT, &["is there already"]);
}

#[test]
fn what_does_not_go_together_is_refused_before_anybody_is_asked() {
    let decision = "0".repeat(32);
    fails(&["record", "erase", &decision, "--yes", "--dry-run"], FAULT, &["--yes", "--dry-run"]);
    fails(&["record", "erase", &decision], FAULT, &["cannot be brought back", "--dry-run"]);
    let [one, other] = ["org-a.example/n1/chat", "org-b.example/n1/chat"];
    fails(&["offer", "diff", one], FAULT, &["OTHER", "--since"]);
    fails(&["offer", "diff", one, other, "--since", "1"], FAULT, &["--since"]);
}

#[test]
fn a_broker_that_is_down_is_an_error_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    // Port 1 of this machine: nobody listens there.
    let dir = folder.path().to_str().unwrap();
    let words = ["federation", "init", "--dir", dir, "--name", "f.example", "--operator", "alice"];
    let _founded = done(&[&words[..], &["--listen", "127.0.0.1:1", "--place", "DE"]].concat());
    let identity = folder.path().join("operator/alice");
    fails(&["--identity", identity.to_str().unwrap(), "organisation", "list"], FAULT, &["127.0.0.1:1", "hint"]);
}

#[test]
fn what_is_no_invite_is_said_to_be_none() {
    fails(&["join", "hello", "--dir", "never-made"], FAULT, &["invite"]);
    assert!(!Path::new("never-made").exists());
}

#[test]
fn an_input_that_is_no_jsonl_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let [input, output] = ["in.jsonl", "out.jsonl"].map(|name| folder.path().join(name));
    std::fs::write(&input, "\"good\"\n{\"txt\": 1}\n").unwrap();
    let paths = [input.to_str().unwrap(), output.to_str().unwrap()];
    fails(&[&["embed", "--model", "m"][..], &paths].concat(), FAULT, &["in.jsonl", "line 2", "text"]);
    assert!(!output.exists());
}

#[test]
fn an_input_that_cannot_be_embedded_is_refused_before_anybody_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let [input, output] = ["in.jsonl", "out.jsonl"].map(|name| folder.path().join(name));
    let embed =
        |input: &Path| ["embed", "--model", "m", input.to_str().unwrap(), output.to_str().unwrap()].map(String::from);
    let fails = |input: &Path, words: &[&str]| fails(&embed(input).each_ref().map(String::as_str), FAULT, words);
    fails(&input, &["in.jsonl", "No such file", "hint: check the path"]);
    std::fs::write(&input, "").unwrap();
    fails(&input, &["nothing to embed", "in.jsonl is empty", "hint"]);
    std::fs::write(&input, b"\"a\"\n\xff\n").unwrap();
    fails(&input, &["in.jsonl", "line 2", "UTF-8"]);
    fails(folder.path(), &["is not a file", "hint"]);
    // A pipe is empty when it is read for the second time.
    fails(Path::new("/dev/stdin"), &["/dev/stdin is not a file", "hint"]);
    assert!(!output.exists());
}

#[test]
fn an_output_that_cannot_be_written_is_said_before_anybody_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let _founded = found(folder.path());
    let (identity, input) = (folder.path().join("operator/alice"), folder.path().join("in.jsonl"));
    std::fs::write(&input, "\"a\"\n").unwrap();
    for (output, word) in [("missing/out.jsonl", "a folder that exists"), ("broker", "name a file")] {
        let output = folder.path().join(output);
        let words = ["--identity", identity.to_str().unwrap(), "embed", "--model", "m"];
        let paths = [input.to_str().unwrap(), output.to_str().unwrap()];
        fails(&[&words[..], &paths].concat(), FAULT, &[paths[1], word]);
    }
}

#[test]
fn a_prompt_on_stdin_has_to_say_something() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_comity"));
    let output = command.args(["chat", "--model", "m"]).stdin(std::process::Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(FAULT));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing to ask"));
}

#[test]
fn completions_and_manual_pages_are_made_of_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(done(&["completions", shell]).contains("enrolment"), "{shell}");
    }
    assert!(done(&["man"]).contains(".TH comity"));
    assert!(done(&["man", "offer", "list"]).contains("model"));
    fails(&["man", "nothing"], REFUSED, &["nothing"]);
}

#[test]
fn a_report_of_a_time_without_an_instant_is_a_mistake_that_names_both_ends() {
    for command in ["audit", "usage"] {
        for to in ["2026-11-01", "2026-10-31T08:00:00Z"] {
            let words =
                ["--from (2026-11-01T00:00:00Z)", "--to (2026-1", "hint: give a --to that is later than --from"];
            fails(&[command, "--from", "2026-11-01", "--to", to], FAULT, &words);
        }
    }
}
