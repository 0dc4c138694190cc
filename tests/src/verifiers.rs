//! Verifiers of other makers, as `cargo xtask test` installs them, and our own beside them.

mod oracle;

use std::path::PathBuf;
use std::process::{Command, Output};

use comity_transparency::{Kind, Verifier};

use crate::clients::{comity, tools};
use crate::exhibit::Exhibit;
use crate::program::{run, said, workspace};

/// Who looks at an exhibit. What each looks at is in docs/decision-log.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// golang.org/x/mod/sumdb.
    Go,
    /// proofbundle.
    Proofbundle,
    /// tlog-scales.
    Scales,
    /// cryptography, which is OpenSSL.
    Cryptography,
    /// aics-tlog, which wants Python 3.12.
    Aics,
    /// signed_note and tlog_tiles, of Rust.
    Tiles,
    /// Ourselves.
    Comity,
}

/// All of them, in the order of the tables.
pub const TOOLS: [Tool; 7] =
    [Tool::Go, Tool::Proofbundle, Tool::Scales, Tool::Cryptography, Tool::Aics, Tool::Tiles, Tool::Comity];

impl Tool {
    /// True if it is there: two of them want a newer Python than the oldest that the tests run on.
    #[must_use]
    pub fn is_installed(self) -> bool {
        let module = match self {
            Self::Aics => "aics_tlog",
            Self::Scales => "tlog_scales",
            Self::Go | Self::Proofbundle | Self::Cryptography | Self::Tiles | Self::Comity => return true,
        };
        let asked = run(Command::new(python()).args(["-c", &format!("import {module}")]));
        asked.status.success()
    }

    /// What it says of an exhibit, from all of it that it reads.
    ///
    /// # Errors
    /// What it refuses the exhibit with.
    pub fn judge(self, exhibit: &Exhibit) -> Result<String, String> {
        let of_kind = |kind| exhibit.witnesses.iter().filter(move |witness| witness.kind() == kind);
        let [plain, post_quantum] = exhibit.log.each_ref().map(ToString::to_string);
        match self {
            Self::Go => verdict(
                Command::new(go())
                    .args(["-log-key", &plain])
                    .args(["-tiles".into(), exhibit.file("log")])
                    .args(["-earlier".into(), exhibit.file("earlier")])
                    .args(["-receipt".into(), exhibit.file("receipt")]),
            ),
            Self::Proofbundle => {
                let mut command = script("proof.py");
                command.args(["--log-key", &plain, "--quorum", &exhibit.witnesses.len().to_string()]);
                verdict(each(&mut command, "--witness", exhibit.witnesses.iter()).arg(exhibit.file("receipt")))
            }
            Self::Scales => verdict(
                script("tiles.py")
                    .args(["--log-key", &plain, "--log-key", &post_quantum])
                    .args(["--tiles".into(), exhibit.file("log")])
                    .args(["--earlier".into(), exhibit.file("earlier")])
                    .args(["--receipt".into(), exhibit.file("receipt")]),
            ),
            Self::Cryptography => {
                let mut command = script("quantum.py");
                command.args(["--key", &post_quantum]);
                let witnesses = of_kind(Kind::MlDsa44Cosignature);
                verdict(each(&mut command, "--key", witnesses).arg(exhibit.file("receipt")))
            }
            Self::Aics => aics(exhibit, &plain, of_kind(Kind::Ed25519Cosignature).collect()),
            Self::Tiles => oracle::judge(exhibit),
            Self::Comity => {
                std::fs::write(exhibit.file("policy"), exhibit.policy()).unwrap();
                let mut command = comity();
                command.args(["receipt", "verify"]).arg(exhibit.file("receipt"));
                command.arg("--root").arg(exhibit.file("root.json")).arg("--policy").arg(exhibit.file("policy"));
                verdict(&mut command)
            }
        }
    }
}

/// The verifier in Go.
#[must_use]
pub fn go() -> PathBuf {
    tools().join("go/verify")
}

/// What a verifier says.
///
/// # Errors
/// What it refuses with.
pub fn verdict(command: &mut Command) -> Result<String, String> {
    let output: Output = run(command);
    if output.status.success() { Ok(said(&output)) } else { Err(said(&output)) }
}

/// It reads Ed25519 alone: the other witnesses are nobody to it.
fn aics(exhibit: &Exhibit, log: &str, witnesses: Vec<&Verifier>) -> Result<String, String> {
    let receipt = std::fs::read_to_string(exhibit.file("receipt")).unwrap();
    let (head, note) = receipt.split_once("\n\n").unwrap();
    let index = head.lines().find_map(|line| line.strip_prefix("index ")).unwrap();
    std::fs::write(exhibit.file("note"), note).unwrap();
    let aics = |what: &str| {
        let mut command = Command::new(tools().join("verifiers/bin/aics-tlog"));
        command.args([what, "--log-key", log, "--origin", exhibit.log[0].name()]);
        command
    };
    let (tiles, quorum) = (exhibit.file("log"), witnesses.len().to_string());
    let mut checkpoint = aics("verify-checkpoint");
    checkpoint.arg("--note").arg(exhibit.file("note")).args(["--quorum", &quorum]);
    let checkpoint = verdict(each(&mut checkpoint, "--witness-key", witnesses.into_iter()))?;
    let inclusion = verdict(aics("verify-inclusion").arg("--tiles").arg(&tiles).args(["--index", index]))?;
    let earlier = exhibit.file("earlier");
    let consistency =
        verdict(aics("verify-consistency").arg("--tiles").arg(&tiles).arg("--old-checkpoint").arg(earlier))?;
    Ok(format!("{checkpoint}{inclusion}{consistency}"))
}

fn each<'a, 'k>(command: &'a mut Command, option: &str, keys: impl Iterator<Item = &'k Verifier>) -> &'a mut Command {
    keys.fold(command, |command, key| command.args([option, &key.to_string()]))
}

fn python() -> PathBuf {
    tools().join("verifiers/bin/python")
}

fn script(name: &str) -> Command {
    let mut command = Command::new(python());
    command.arg(workspace().join("tests/verifiers/python").join(name));
    command
}
