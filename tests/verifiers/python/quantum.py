"""Verifies the ML-DSA-44 lines of a checkpoint by `cryptography` (OpenSSL) alone: c2sp.org/tlog-cosignature, 0x06.

    python quantum.py --key VKEY... FILE

VKEY is an ML-DSA-44 key, of the log (the second of `decision_log` in the federation's root document) or of a witness: each
has to have signed. FILE is a checkpoint, or a receipt, which has one at its end.
"""

import argparse
import base64
import hashlib
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

ML_DSA_44 = 6


def message(name, time, origin, size, root):
    """What is signed: `cosigned_message`, of the whole tree."""
    name, origin = name.encode(), origin.encode()
    head = b"subtree/v1\n\0" + bytes([len(name)]) + name + time + bytes([len(origin)]) + origin
    return head + (0).to_bytes(8, "big") + size.to_bytes(8, "big") + root


def verify(text, vkey):
    """Raises unless the key signed."""
    name, _, key = vkey.split("+", 2)
    key = base64.b64decode(key, validate=True)
    if key[0] != ML_DSA_44:
        raise ValueError(f"the key of {name} is of another kind")
    body, signatures = text.rsplit("\n\n", 1)
    origin, size, root = body.rsplit("\n\n", 1)[-1].split("\n")
    if str(int(size)) != size:
        raise ValueError(f"the size {size} is not in its one spelling")
    id = hashlib.sha256(name.encode() + b"\n" + key).digest()[:4]
    for line in signatures.splitlines():
        _, who, signature = line.split(" ")
        signature = base64.b64decode(signature, validate=True)
        if who == name and signature[:4] == id:
            signed = message(name, signature[4:12], origin, int(size), base64.b64decode(root, validate=True))
            MLDSA44PublicKey.from_public_bytes(key[1:]).verify(signature[12:], signed)
            print(f"signed by {name}, ML-DSA-44")
            return
    raise ValueError(f"{name} did not sign")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--key", action="append", required=True)
    arguments.add_argument("file")
    given = arguments.parse_args()
    text = open(given.file, "rb").read().decode()
    try:
        for key in given.key:
            verify(text, key)
    except InvalidSignature:
        sys.exit("refused: the signature does not verify")
    except ValueError as error:
        sys.exit(f"refused: {error}")


main()
