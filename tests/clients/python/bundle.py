"""Fetches a SPIFFE trust bundle over HTTPS and holds a server against it, as JSON on stdout.

    python bundle.py HOST:PORT TRUST_DOMAIN FEDERATION_CA SERVER_HOST:PORT

The endpoint is verified as any HTTPS server is, by its host name and the federation's authority. The server is verified
by the authorities in the bundle alone.
"""

import base64
import http.client
import json
import socket
import ssl
import sys

# Longest that a step may take, in seconds: a scenario that hangs is a failure.
DEADLINE = 60


def fetch(address, domain, authority):
    """The document, whose media type has to be JSON's."""
    host, port = address.rsplit(":", 1)
    context = ssl.create_default_context(cafile=authority)
    connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=DEADLINE)
    connection.request("GET", f"/bundles/{domain}")
    response = connection.getresponse()
    if response.status != 200 or response.headers.get_content_type() != "application/json":
        return response.status, None
    return response.status, json.load(response)


def verify(address, authorities):
    """What OpenSSL says of the server's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.set_alpn_protocols(["h2"])
    context.load_verify_locations(cadata="".join(ssl.DER_cert_to_PEM_cert(der) for der in authorities))
    host, port = address.rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), timeout=DEADLINE) as raw, context.wrap_socket(raw):
            return "verified"
    except ssl.SSLCertVerificationError as error:
        return error.verify_message


def main():
    endpoint, domain, authority, server = sys.argv[1:]
    status, document = fetch(endpoint, domain, authority)
    seen = {"status": status}
    if document is not None:
        authorities = [base64.b64decode(key["x5c"][0]) for key in document["keys"] if key["use"] == "x509-svid"]
        seen |= {"authorities": len(authorities), "sequence": document["spiffe_sequence"]}
        seen["refresh"] = document["spiffe_refresh_hint"]
        seen["server"] = verify(server, authorities) if authorities else "nobody is believed"
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
