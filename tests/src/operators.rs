//! Operators who govern together with the founder: each makes a key at home, and hands over a request for it.

use std::path::{Path, PathBuf};

use crate::clients::{Caller, comity};
use crate::federation::{FEDERATION, Federation, OPERATOR};
use crate::program::succeed;

/// Where an operator who did not found the federation keeps their identity.
#[must_use]
pub fn home(folder: &Path, name: &str) -> PathBuf {
    folder.join("operators-at-home").join(name)
}

/// Makes a key at home; gives what the founder adds to their command.
pub(crate) fn request(folder: &Path, name: &str) -> Vec<String> {
    let home = home(folder, name);
    let mut request = comity();
    let _said = succeed(
        request.args(["operator", "request", "--federation", FEDERATION, "--name", name]).arg("--dir").arg(&home),
    );
    let file = home.join("operator-request.pem");
    vec!["--co-operator".to_owned(), format!("{name}={}", file.display())]
}

/// Adds what came back from the founder to the key.
pub(crate) fn take_over(folder: &Path, name: &str) {
    for file in std::fs::read_dir(folder.join("operator").join(name)).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), home(folder, name).join(file.file_name())).unwrap();
    }
}

impl Federation {
    /// An operator, by their name.
    #[must_use]
    pub fn operator_named(&self, name: &str) -> Caller {
        let identity = match name {
            OPERATOR => self.operator().identity,
            other => home(self.folder(), other),
        };
        Caller { address: self.address().to_owned(), identity }
    }
}
