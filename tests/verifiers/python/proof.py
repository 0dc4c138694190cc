"""Verifies a receipt by `proofbundle`, its checkpoint with the cosignatures of witnesses.

    python proof.py --log-key VKEY [--witness VKEY]... [--quorum N] RECEIPT

VKEY is the log's Ed25519 key, the first of `decision_log` in the federation's root document.
"""

import argparse
import base64
import json
import sys

from proofbundle import merkle
from proofbundle.errors import ProofBundleError
from proofbundle.tlogproof import parse_tlog_proof, verify_tlog_proof


def verify(text, log_key, witnesses, quorum):
    """What does not hold; nothing where all does."""
    parsed = parse_tlog_proof(text)
    shown = json.loads(parsed["extra"])
    leaf = base64.b64decode(shown["leaf"], validate=True)
    origin = log_key.split("+")[0]
    verdict = verify_tlog_proof(text, leaf, log_key, witnesses, threshold=quorum, expected_origin=origin)
    if not verdict["ok"]:
        return verdict.get("detail") or f"not ok: {[k for k in ('log_ok', 'witnesses_ok', 'inclusion_ok') if not verdict[k]]}"
    print(f"receipt: leaf {verdict['index']} of {verdict['tree_size']} is proven, {quorum} witnesses asked for")
    if decision := shown.get("decision"):
        leaf, path = base64.b64decode(decision["leaf"]), [base64.b64decode(hash) for hash in decision["path"]]
        if not merkle.verify_inclusion(leaf, decision["index"], verdict["tree_size"], path, verdict["root"]):
            return "not ok: the decision"
        print(f"receipt: its decision, leaf {decision['index']}, is proven")
    return None


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--log-key", required=True)
    arguments.add_argument("--witness", action="append", default=[])
    arguments.add_argument("--quorum", type=int, default=0)
    arguments.add_argument("receipt")
    given = arguments.parse_args()
    try:
        # As bytes: reading as text would turn every kind of line break into one.
        text = open(given.receipt, "rb").read().decode()
        wrong = verify(text, given.log_key, given.witness, given.quorum)
    except (ProofBundleError, ValueError) as error:
        wrong = error
    if wrong:
        sys.exit(f"refused: {wrong}")


main()
