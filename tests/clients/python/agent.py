"""A SPIFFE agent of another make: an authority of its own, its trust bundle in a file, and a Workload API on a socket.

Every second it hands out a fresh certificate for a fresh key. The wire format of the two messages that it sends is
written by hand (SPIFFE_Workload_API.md): no generated code of anybody stands between it and the node.

    python agent.py --socket PATH --bundle FILE --id spiffe://org-a.example/node/n1 [--id ...]

Every answer has all identities, which are of one trust domain.
"""

import argparse
import base64
import datetime
import json
import pathlib
import threading
from concurrent import futures

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

# How long one certificate is handed out, in seconds; and how long it holds.
EVERY, LIFE = 1, 120
DER = serialization.Encoding.DER


def usage(**on):
    """A key usage with these bits alone."""
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    names += ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: on.get(name, False) for name in names})


def certificate(uri, key, issuer, signer, seconds, authority):
    """A certificate of `uri` for `key`."""
    now = datetime.datetime.now(datetime.timezone.utc)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "agent")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(seconds=seconds))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(usage(key_cert_sign=authority, digital_signature=not authority), critical=True)
    )
    if not authority:
        both = [x509.ExtendedKeyUsageOID.SERVER_AUTH, x509.ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(both), critical=False)
    return builder.sign(signer, hashes.SHA256())


def field(number, data):
    """A length-delimited field of a protobuf message."""
    head, length = bytes([number << 3 | 2]), len(data)
    while length > 0x7F:
        head, length = head + bytes([length & 0x7F | 0x80]), length >> 7
    return head + bytes([length]) + data


def jwks(anchor):
    """The trust bundle (SPIFFE_Trust_Domain_and_Bundle.md)."""
    numbers, url = anchor.public_key().public_numbers(), lambda n: base64.urlsafe_b64encode(n.to_bytes(32, "big"))
    point = {"x": url(numbers.x).rstrip(b"=").decode(), "y": url(numbers.y).rstrip(b"=").decode()}
    x5c = [base64.b64encode(anchor.public_bytes(DER)).decode()]
    key = {"use": "x509-svid", "kty": "EC", "crv": "P-256", **point, "x5c": x5c}
    return {"keys": [key], "spiffe_sequence": 1, "spiffe_refresh_hint": 60}


class Agent:
    def __init__(self, identities):
        self.identities, self.key = identities, ec.generate_private_key(ec.SECP256R1())
        domain = "/".join(identities[0].split("/")[:3])
        self.anchor = certificate(domain, self.key, None, self.key, 3600, authority=True)
        self.handed_out = 0

    def answer(self):
        """A fresh certificate for every identity, as one answer."""
        self.handed_out += 1
        print("handed out", self.handed_out, flush=True)
        return b"".join(self.svid(identity) for identity in self.identities)

    def svid(self, identity):
        """A fresh certificate for a fresh key, as the API's message has it."""
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = certificate(identity, key, self.anchor.subject, self.key, LIFE, authority=False)
        pkcs8 = key.private_bytes(DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        parts = (identity.encode(), leaf.public_bytes(DER), pkcs8, self.anchor.public_bytes(DER))
        return field(1, b"".join(field(number, data) for number, data in enumerate(parts, start=1)))

    def fetch(self, _request, context):
        if dict(context.invocation_metadata()).get("workload.spiffe.io") != "true":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "security header missing from request")
        ended = threading.Event()
        context.add_callback(ended.set)
        yield self.answer()
        while not ended.wait(EVERY):
            yield self.answer()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", required=True)
    parser.add_argument("--bundle", required=True, type=pathlib.Path)
    parser.add_argument("--id", required=True, action="append")
    args = parser.parse_args()
    agent, same = Agent(args.id), lambda data: data
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    fetch = grpc.unary_stream_rpc_method_handler(agent.fetch, request_deserializer=same, response_serializer=same)
    handler = grpc.method_handlers_generic_handler("SpiffeWorkloadAPI", {"FetchX509SVID": fetch})
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(f"unix://{args.socket}")
    server.start()
    # Last: whoever waits for the bundle finds the socket served.
    args.bundle.write_text(json.dumps(jwks(agent.anchor)))
    server.wait_for_termination()


if __name__ == "__main__":
    main()
