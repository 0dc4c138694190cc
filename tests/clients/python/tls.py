"""One TLS handshake, as JSON on stdout: what the server said to it.

    python tls.py HOST:PORT VERSION [IDENTITY_DIR]

Who the server is does not matter here: what is tested is whom it lets in.
"""

import json
import pathlib
import socket
import ssl
import sys

# Longest that a step may take, in seconds: a scenario that hangs is a failure.
DEADLINE = 60
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def context(version, identity):
    """Speaks one version, with a certificate if there is one."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.minimum_version = made.maximum_version = VERSIONS[version]
    made.set_alpn_protocols(["h2"])
    if identity:
        made.load_cert_chain(identity / "cert.pem", identity / "key.pem")
    return made


def main():
    address, version, *identity = sys.argv[1:]
    host, port = address.rsplit(":", 1)
    spoken = context(version, pathlib.Path(identity[0]) if identity else None)
    try:
        with socket.create_connection((host, int(port)), timeout=DEADLINE) as raw, spoken.wrap_socket(raw) as tls:
            # In TLS 1.3 a server refuses a certificate after the client is done. HTTP/2 begins with the preface.
            tls.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
            heard = len(tls.recv(9))
            # A ticket comes before the first bytes of HTTP/2. With one, a client resumes and is not verified again.
            print(json.dumps({"heard": heard, "version": tls.version(), "ticket": tls.session.has_ticket}))
    except ssl.SSLError as error:
        print(json.dumps({"alert": error.reason}))


if __name__ == "__main__":
    main()
