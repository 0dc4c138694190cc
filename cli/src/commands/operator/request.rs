//! `comity operator request`: a key for somebody who will govern from the first day.

use std::path::Path;

use comity_client::founding;
use comity_identity::pem;
use comity_types::{Name, TrustDomain};
use serde_json::json;

use crate::args::Global;
use crate::error::CliError;
use crate::output::say;

/// What the founder is given.
const REQUEST_FILE: &str = "operator-request.pem";

/// Makes the key, and writes the request for it.
pub(super) fn run(dir: &Path, federation: TrustDomain, name: &Name, global: &Global) -> Result<(), CliError> {
    let requested = founding::request(dir, federation, name.clone());
    let requested = requested.map_err(|error| CliError::Client {
        doing: "make the operator's key",
        source: Box::new(error),
        hint: None,
    })?;
    let path = requested.dir.path().join(REQUEST_FILE);
    let text = pem::encode_request(&requested.request);
    std::fs::write(&path, text).map_err(|source| CliError::File { doing: "write", path: path.clone(), source })?;
    let file = path.display().to_string();
    let fields = vec![("request", file.clone()), ("fingerprint", requested.fingerprint.clone())];
    global.output.record(fields, &json!({ "request": file, "fingerprint": requested.fingerprint }))?;
    say(&format!(
        "hand the request to the founder, who runs: comity federation init ... --co-operator {name}={file}\n\
         then add the files of the folder that comes back to {}",
        dir.display()
    ));
    Ok(())
}
