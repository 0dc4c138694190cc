"""The JSON form of the contract, by Python's own `json_format`, as JSON on stdout.

    python json_form.py write FOLDER --schema DIR --stubs DIR
    python json_form.py read PACKAGE.MESSAGE FILE --schema DIR --stubs DIR

`write` puts an offer with its operator, a caller and a request into a folder, for `comity policy check`.
`read` reads what `comity` printed, strictly, and writes it again: what is lost on the way is missing there.
"""

import argparse
import datetime
import importlib
import pathlib

from client import make_stubs
from google.protobuf import json_format


def offer():
    """An offer with every kind of field: numbers of 64 bits, bytes, enums, instants, oneofs, claims."""
    from comity.catalog.v1 import catalog_pb2 as catalog
    from comity.policy.v1 import policy_pb2 as policy

    places = [policy.PlacesClaim(places=["DE", "FR"])]
    provenance = policy.Provenance(assurance=policy.ASSURANCE_REGISTRY_CORROBORATED, issuer="GLEIF")
    terms = policy.Terms(
        retention=[policy.RetentionClaim()],
        training_use=[policy.TrainingUseClaim(training_use=policy.TRAINING_USE_NEVER)],
        allowed_purposes=["dpv:Purpose"],
        caller_rules=policy.CallerRules(served=policy.Served(places=policy.PlaceSet(places=["EU"]))),
        availability_bp=9990,
        version=3,
    )
    entry = catalog.OfferEntry(
        name="org-a.example/n1/chat",
        state="serving",
        offer=policy.Offer(
            id="chat",
            node="spiffe://org-a.example/node/n1",
            model="qwen3-8b",
            model_digest=[policy.DigestClaim(sha256=bytes(range(224, 256)))],
            capabilities=[policy.CAPABILITY_CHAT, policy.CAPABILITY_IMAGE_INPUT],
            processing_locations=places,
            storage_locations=[policy.PlacesClaim()],
            sub_processors=[policy.SubProcessorsClaim()],
            licence=[policy.TextClaim(text="Apache-2.0")],
            price=policy.Price(currency="EUR", input_micros_per_million_tokens=2**63, output_micros_per_million_tokens=1),
            terms=terms,
            carbon_grams_per_million_tokens=0,
        ),
        operator=policy.Organisation(
            trust_domain="org-a.example",
            name="Organisation A",
            seat=[policy.PlaceClaim(place="DE"), policy.PlaceClaim(place="DE", provenance=provenance)],
        ),
    )
    until = datetime.datetime(2027, 12, 31, 1, 2, 3, 450_000, tzinfo=datetime.timezone.utc)
    entry.offer.in_force.until.FromDatetime(until)
    return entry


def caller():
    """An organisation that the offer serves."""
    from comity.policy.v1 import policy_pb2 as policy

    return policy.Organisation(trust_domain="org-b.example", name="Organisation B", seat=[policy.PlaceClaim(place="FR")])


def request():
    """A request that needs the register's word on the operator's seat."""
    from comity.inference.v1 import inference_pb2 as inference
    from comity.policy.v1 import policy_pb2 as policy

    return inference.Envelope(
        model="qwen3-8b",
        purposes=["dpv:CustomerCare"],
        requirements=policy.Requirements(
            allowed_processing_locations=[policy.PlaceSet(places=["EU"])],
            no_training=True,
            min_availability_bp=9000,
            min_assurance=[policy.RequiredAssurance(path="operator.seat", assurance=policy.ASSURANCE_REGISTRY_CORROBORATED)],
            max_prices=[policy.Price(currency="EUR", input_micros_per_million_tokens=2**64 - 1, output_micros_per_million_tokens=1)],
        ),
    )


def write(folder):
    """Every file with the names of JSON, and with the names of the contract."""
    files = {"offer": offer(), "caller": caller(), "request": request()}
    for name, message in files.items():
        (folder / f"{name}.json").write_text(json_format.MessageToJson(message))
        proto_names = json_format.MessageToJson(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
        (folder / f"{name}-by-proto.json").write_text(proto_names)


def read(name, file):
    """What Python makes of a text of this message."""
    package, _, message = name.rpartition(".")
    module = importlib.import_module(f"{package}.{package.split('.')[1]}_pb2")
    print(json_format.MessageToJson(json_format.Parse(file.read_text(), getattr(module, message)())))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["write", "read"])
    parser.add_argument("arguments", nargs="+")
    parser.add_argument("--schema", required=True, type=pathlib.Path)
    parser.add_argument("--stubs", required=True, type=pathlib.Path)
    args = parser.parse_args()
    make_stubs(args.schema, args.stubs)
    if args.what == "write":
        write(pathlib.Path(args.arguments[0]))
    else:
        read(args.arguments[0], pathlib.Path(args.arguments[1]))


if __name__ == "__main__":
    main()
