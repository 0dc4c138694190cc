"""One call against a broker or a node over mutual TLS, as JSON on stdout.

Stubs are made by grpcio-tools from the contract. Each case prints what it saw;
the scenario that runs it says what it should have seen.

    python client.py CASE --address HOST:PORT --identity DIR --schema DIR --stubs DIR [--model NAME]
"""

import argparse
import base64
import datetime
import hashlib
import json
import pathlib
import sys
import threading

import grpc
import grpc_tools
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf import json_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status
from grpc_tools import protoc

# Longest that any case may take, in seconds: a scenario that hangs is a failure.
DEADLINE = 60
CASES = {}
# The caller's folder, for cases that sign.
IDENTITY = pathlib.Path()


def case(function):
    """Adds a case under its function's name."""
    CASES[function.__name__] = function
    return function


def make_stubs(schema, stubs):
    """Generates the stubs, once a folder."""
    stubs.mkdir(parents=True, exist_ok=True)
    standard = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    sources = [str(path) for path in sorted(schema.rglob("*.proto"))]
    if protoc.main(["protoc", f"-I{schema}", f"-I{standard}", f"--python_out={stubs}", f"--grpc_python_out={stubs}", *sources]):
        sys.exit("grpcio-tools could not compile the contract")
    sys.path.insert(0, str(stubs))


def connect(address, identity):
    """A channel as the identity in this folder."""
    read = lambda name: (identity / name).read_bytes()
    credentials = grpc.ssl_channel_credentials(read("federation-ca.pem"), read("key.pem"), read("cert.pem"))
    return grpc.secure_channel(address, credentials)


def outcome(error):
    """An error as what a program would act on: its code, and the refusal if it carries one."""
    from comity.policy.v1 import policy_pb2

    seen = {"code": error.code().name, "message": error.details()}
    status = rpc_status.from_call(error) if isinstance(error, grpc.Call) else None
    for detail in status.details if status else []:
        refusal = policy_pb2.Refusal()
        if detail.Is(refusal.DESCRIPTOR) and detail.Unpack(refusal):
            seen["refusal"] = json_format.MessageToDict(refusal)
        elif detail.type_url.endswith("google.rpc.ErrorInfo"):
            from google.rpc import error_details_pb2

            info = error_details_pb2.ErrorInfo()
            detail.Unpack(info)
            seen["reason"] = info.reason
    return seen


def question(kind, model, **requirements):
    """A chat request, of ChatRequest or ChatStreamRequest."""
    from comity.inference.v1 import inference_pb2 as wire
    from comity.policy.v1 import policy_pb2 as policy

    return kind(
        envelope=wire.Envelope(
            model=model, requirements=policy.Requirements(**requirements), purposes=["dpv:CustomerCare"]
        ),
        payload=wire.ChatPayload(
            messages=[wire.Message(role=wire.ROLE_USER, content=[wire.ContentPart(text="What is the capital city of France? Answer in one sentence.")])],
            max_output_tokens=24,
            sampling=wire.Sampling(temperature=0),
        ),
    )


@case
def unary(channel, model):
    """One answer, with what the broker says about it in the metadata."""
    from comity.inference.v1 import inference_pb2 as wire, inference_pb2_grpc as stubs

    answer, call = stubs.InferenceStub(channel).Chat.with_call(question(wire.ChatRequest, model), timeout=DEADLINE)
    first = dict(call.initial_metadata())
    usage = wire.Usage.FromString(dict(call.trailing_metadata()).get("comity-usage-bin", b""))
    return {
        "text": "".join(part.text for part in answer.message.content),
        "decision": first.get("comity-decision-id"),
        "offer": first.get("comity-offer"),
        "output_tokens": usage.output_tokens,
    }


@case
def streaming(channel, model):
    """An answer as it is made."""
    from comity.inference.v1 import inference_pb2 as wire, inference_pb2_grpc as stubs

    pieces = list(stubs.InferenceStub(channel).ChatStream(question(wire.ChatStreamRequest, model), timeout=DEADLINE))
    return {"text": "".join(piece.text for piece in pieces), "pieces": len(pieces), "finish": pieces[-1].finish_reason}


@case
def embed(channel, model):
    """Vectors."""
    from comity.inference.v1 import inference_pb2 as wire, inference_pb2_grpc as stubs

    request = wire.EmbedRequest(
        envelope=wire.Envelope(model=model, purposes=["dpv:CustomerCare"]), payload=wire.EmbedPayload(texts=["a cat", "a dog"])
    )
    answer = stubs.InferenceStub(channel).Embed(request, timeout=DEADLINE)
    return {"dimensions": [len(vector.values) for vector in answer.embeddings]}


@case
def refused(channel, model):
    """A request that no offer satisfies: processed in Antarctica."""
    from comity.inference.v1 import inference_pb2 as wire, inference_pb2_grpc as stubs
    from comity.policy.v1 import policy_pb2 as policy

    request = question(wire.ChatRequest, model, allowed_processing_locations=[policy.PlaceSet(places=["AQ"])])
    stubs.InferenceStub(channel).Chat(request, timeout=DEADLINE)


def ask(channel, request):
    """Sends a request that should be refused."""
    from comity.inference.v1 import inference_pb2_grpc as stubs

    stubs.InferenceStub(channel).Chat(request, timeout=DEADLINE)
    return {"text": "it was answered"}


@case
def empty_list(channel, model):
    """A list of allowed places without a place: it allows nothing."""
    from comity.inference.v1 import inference_pb2 as wire
    from comity.policy.v1 import policy_pb2 as policy

    return ask(channel, question(wire.ChatRequest, model, allowed_processing_locations=[policy.PlaceSet()]))


@case
def unknown_place(channel, model):
    """A place that no table knows."""
    from comity.inference.v1 import inference_pb2 as wire
    from comity.policy.v1 import policy_pb2 as policy

    places = policy.PlaceSet(places=["Atlantis"])
    return ask(channel, question(wire.ChatRequest, model, allowed_processing_locations=[places]))


@case
def unspecified_enum(channel, model):
    """A capability that was not named."""
    from comity.inference.v1 import inference_pb2 as wire
    from comity.policy.v1 import policy_pb2 as policy

    return ask(channel, question(wire.ChatRequest, model, required_capabilities=[policy.CAPABILITY_UNSPECIFIED]))


@case
def too_large(channel, model):
    """A prompt of 80 MiB, beyond every limit that can be configured."""
    from comity.inference.v1 import inference_pb2 as wire

    request = question(wire.ChatRequest, model)
    request.payload.messages[0].content[0].text = "x" * (80 << 20)
    return ask(channel, request)


@case
def deadline(channel, model):
    """A call that gets less time than the backend takes."""
    from comity.inference.v1 import inference_pb2 as wire, inference_pb2_grpc as stubs

    stubs.InferenceStub(channel).Chat(question(wire.ChatRequest, model), timeout=1)


@case
def cancelled(channel, model):
    """A stream that its caller leaves after the first piece."""
    from comity.inference.v1 import inference_pb2 as wire, inference_pb2_grpc as stubs

    call = stubs.InferenceStub(channel).ChatStream(question(wire.ChatStreamRequest, model), timeout=DEADLINE)
    next(iter(call))
    ended = threading.Event()
    call.add_callback(ended.set)
    call.cancel()
    if not ended.wait(DEADLINE):
        sys.exit("the call did not end")
    return {"code": call.code().name}


def last_publication(channel):
    """What the node that calls last said of itself, from the federation's log."""
    from comity.membership.v1 import membership_pb2 as membership, membership_pb2_grpc as members

    last = None
    for part in members.MembershipStub(channel).Watch(membership.WatchRequest(), timeout=DEADLINE):
        if part.checkpoint:
            return last
        envelope = json.loads(part.entry)["body"].get("signed", {})
        payload = json.loads(base64.b64decode(envelope.get("payload", "bnVsbA==")))
        said = (payload or {}).get("statement", {}).get("offers_published", {})
        if said.get("node") == json.loads(IDENTITY.joinpath("identity.json").read_text())["spiffe_id"]:
            last = payload
    sys.exit("the broker ended its log without a checkpoint")


def sign(payload):
    """A DSSE envelope around a statement, signed by the caller's own key (docs/decisions/0015)."""
    key = serialization.load_pem_private_key(IDENTITY.joinpath("key.pem").read_bytes(), password=None)
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    kind, body = "application/vnd.comity.statement.v1+json", json.dumps(payload).encode()
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(body), body)
    signature = key.sign(message, ec.ECDSA(hashes.SHA256()))
    encoded = lambda data: base64.b64encode(data).decode()
    signatures = [{"keyid": hashlib.sha256(spki).hexdigest(), "sig": encoded(signature)}]
    return json.dumps({"payloadType": kind, "payload": encoded(body), "signatures": signatures}).encode()


def publish(channel, change):
    """Publishes what the node published before, with a change, as its next statement."""
    from comity.membership.v1 import membership_pb2 as membership, membership_pb2_grpc as members

    payload = last_publication(channel)
    change(payload["statement"]["offers_published"]["offers"][0])
    payload["version"] += 1
    now = datetime.datetime.now(datetime.timezone.utc)
    payload["at"] = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    answer = members.MembershipStub(channel).Submit(membership.SubmitRequest(envelope=sign(payload)), timeout=DEADLINE)
    return {"epoch": answer.epoch}


@case
def publish_anothers(channel, _model):
    """A node publishes an offer that names another node of its organisation."""
    return publish(channel, lambda offer: offer.update(node=offer["node"] + "-of-another"))


@case
def publish_laxer(channel, _model):
    """A node publishes that it serves everyone, which its own terms do not say."""
    return publish(channel, lambda offer: offer["terms"]["caller_rules"].update(served="everyone"))


@case
def offers(channel, _model):
    """The offers, as the broker answers and `json_format` writes them."""
    from comity.catalog.v1 import catalog_pb2 as catalog, catalog_pb2_grpc as catalogs

    answer = catalogs.CatalogStub(channel).ListOffers(catalog.ListOffersRequest(), timeout=DEADLINE)
    return json_format.MessageToDict(answer)


@case
def organisations(channel, _model):
    """The organisations, likewise."""
    from comity.membership.v1 import membership_pb2 as membership, membership_pb2_grpc as members

    answer = members.MembershipStub(channel).ListOrganisations(membership.ListOrganisationsRequest(), timeout=DEADLINE)
    return json_format.MessageToDict(answer)


@case
def health(channel, _model):
    """The broker's health, by the standard service."""
    answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE)
    return {"status": health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)}


@case
def reflection(channel, _model):
    """The services, as server reflection lists them, and a method found through it."""
    database = ProtoReflectionDescriptorDatabase(channel)
    from google.protobuf.descriptor_pool import DescriptorPool

    service = DescriptorPool(database).FindServiceByName("comity.inference.v1.Inference")
    return {"services": sorted(database.get_services()), "methods": sorted(method.name for method in service.methods)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("case", choices=sorted(CASES))
    parser.add_argument("--address", required=True)
    parser.add_argument("--identity", required=True, type=pathlib.Path)
    parser.add_argument("--schema", required=True, type=pathlib.Path)
    parser.add_argument("--stubs", required=True, type=pathlib.Path)
    parser.add_argument("--model", default="")
    args = parser.parse_args()
    make_stubs(args.schema, args.stubs)
    global IDENTITY
    IDENTITY = args.identity
    with connect(args.address, args.identity) as channel:
        try:
            seen = CASES[args.case](channel, args.model)
        except grpc.RpcError as error:
            seen = outcome(error)
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
