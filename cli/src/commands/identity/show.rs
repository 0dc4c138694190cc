//! `comity identity show`.

use comity_client::Identity;
use comity_identity::lifetime::renewal_time;
use serde_json::json;

use crate::args::Global;
use crate::error::CliError;
use crate::session;

/// Shows it.
pub(super) fn run(global: &Global) -> Result<(), CliError> {
    let identity = session::on_disk(global)?;
    record(&identity, global)
}

/// Prints who it is and its certificate.
pub(super) fn record(identity: &Identity, global: &Global) -> Result<(), CliError> {
    let leaf = identity.leaf();
    let (renewal, key) = (renewal_time(&leaf), leaf.public_key.fingerprint());
    let fields = vec![
        ("identity", leaf.id.to_string()),
        ("certificate until", leaf.not_after.to_string()),
        ("renewed from", renewal.to_string()),
        ("sha256", leaf.certificate.to_string()),
        ("fingerprint of the key", key.clone()),
        ("brokers", identity.brokers().join(" ")),
    ];
    global.output.record(
        fields,
        &json!({
            "spiffeId": leaf.id,
            "notAfter": leaf.not_after,
            "renewFrom": renewal,
            "certificateSha256": leaf.certificate,
            "keyFingerprint": key,
            "brokers": identity.brokers(),
        }),
    )
}
