//! What to try when the story is over and everything still runs.

use comity_identity::store::{CERTIFICATE_FILE, FEDERATION_CA_FILE, KEY_FILE};

use super::cast::{ASSISTANT, CLOUD, HELPDESK};
use super::federation::{Federation, write};
use super::models::{Ask, EMBED_MODEL};
use super::{DemoError, tell_line};

/// Prints the commands, and writes the Python program that they name.
pub(super) fn print(federation: &Federation, ask: &Ask) -> Result<(), DemoError> {
    let python = python(federation);
    write(&federation.dir().join("ask.py"), &python)?;
    tell_line(&commands(federation, ask))?;
    tell_line(&format!("\n# $D/ask.py\n{python}"))?;
    tell_line("Everything stays up until you press Ctrl-C.")
}

fn commands(federation: &Federation, ask: &Ask) -> String {
    let (dir, programs) = (federation.dir().display().to_string(), federation.programs().folder().display());
    let identity = |path: std::path::PathBuf| path.display().to_string().replace(&dir, "$D");
    let assistant = identity(federation.app_dir(&ASSISTANT));
    let helpdesk = identity(federation.app_dir(&HELPDESK));
    let operator = identity(federation.operator_dir());
    let (model, method, cloud) = (ask.model(), ask.method(), CLOUD.domain);
    let talk = match ask {
        Ask::Chat { .. } => format!(
            "# talk to a model of the EU, line by line\ncomity --identity {assistant} chat --model {model} --preset eu-processing --purpose dpv:CustomerCare\n"
        ),
        Ask::Embed => String::new(),
    };
    format!(
        r#"
What to try next, in another terminal:

export D={dir} PATH="{programs}:$PATH"
# what is offered, and who may have it
comity --identity {assistant} offer list
comity --identity {helpdesk} explain --model {model} --for {method} --purpose dpv:CustomerCare
comity --identity {assistant} explain --model {model} --for {method} --preset no-us-control --purpose dpv:CustomerCare
{talk}# as the operator: let the suspended company in again, and see who belongs
comity --identity {operator} lift {cloud}
comity --identity {operator} organisation list
# from Python, with stubs of the .proto files; in Comity's source tree
python3 -m venv "$D/venv" && "$D/venv/bin/pip" install grpcio-tools
"$D/venv/bin/python" -m grpc_tools.protoc -I proto/schema --python_out="$D" --grpc_python_out="$D" $(find proto/schema/ -name '*.proto')
"$D/venv/bin/python" "$D/ask.py""#
    )
}

/// A program that asks for embeddings: they are there whatever this machine has.
fn python(federation: &Federation) -> String {
    let (address, identity) = (federation.address(), federation.app_dir(&ASSISTANT).display().to_string());
    format!(
        r#"import pathlib, grpc
from comity.inference.v1 import inference_pb2 as inference, inference_pb2_grpc
from comity.policy.v1 import policy_pb2 as policy

read = lambda name: (pathlib.Path("{identity}") / name).read_bytes()
credentials = grpc.ssl_channel_credentials(read("{FEDERATION_CA_FILE}"), read("{KEY_FILE}"), read("{CERTIFICATE_FILE}"))
with grpc.secure_channel("{address}", credentials) as channel:
    request = inference.EmbedRequest(
        envelope=inference.Envelope(
            model="{EMBED_MODEL}",
            purposes=["dpv:CustomerCare"],
            requirements=policy.Requirements(allowed_processing_locations=[policy.PlaceSet(places=["EU"])]),
        ),
        payload=inference.EmbedPayload(texts=["Where is the library?"]),
    )
    answer, call = inference_pb2_grpc.InferenceStub(channel).Embed.with_call(request, timeout=30)
    print(dict(call.initial_metadata())["comity-offer"], "gave", len(answer.embeddings[0].values), "dimensions")
"#
    )
}
