"""Verifies a log's tiles by `tlog-scales`, and makes a receipt's proof again from them.

    python tiles.py --log-key VKEY... --tiles DIR [--earlier CHECKPOINT] [--receipt FILE]

VKEY is a key of the log: of `decision_log` in the federation's root document the first, the second (ML-DSA-44), or both.
"""

import argparse
import sys

from cryptography.exceptions import InvalidSignature
from tlog_scales.backend import make_backend
from tlog_scales.reader import TilesReader
from tlog_scales.signing import Vkey
from tlog_scales.tiles import leaf_hash
from tlog_scales.tlog import Checkpoint, ConsistencyProofInvalid, InclusionProofInvalid
from tlog_scales.utils import b64enc


def held_against(checkpoint, keys):
    """Gives the checkpoint back, if every key signed it."""
    for key in keys:
        if checkpoint.origin != key.name:
            raise ValueError(f"the checkpoint is of the log {checkpoint.origin}, not of {key.name}")
        checkpoint.verify(key)
    return checkpoint


def verify(given):
    """Raises what does not hold."""
    keys = [Vkey.from_string(key) for key in given.log_key]
    reader = TilesReader(make_backend(given.tiles))
    checkpoint = held_against(reader.get_checkpoint(), keys)
    print(f"checkpoint: {len(keys)} of {len(checkpoint.signatures)} signatures verified")
    if reader.calculate_root_hash() != checkpoint.root_hash:
        raise ValueError("the tiles have another root")
    for index in range(checkpoint.size):
        proof = reader.get_inclusion_proof(index, checkpoint.size)
        proof.check(leaf_hash(reader.get_entry(index)), checkpoint.root_hash)
    print(f"log: {checkpoint.size} leaves, each proven from the tiles")
    if given.earlier:
        old = held_against(Checkpoint.from_text(open(given.earlier).read()), keys)
        proof = reader.get_consistency_proof(old.size, checkpoint.size)
        proof.check(old.root_hash, checkpoint.root_hash)
        print(f"growth: {checkpoint.size} leaves continue the {old.size} of before")
    if given.receipt:
        head, signed = open(given.receipt, "rb").read().decode().split("\n\n", 1)
        lines = [line for line in head.split("\n") if not line.startswith("extra ")]
        of = held_against(Checkpoint.from_text(signed), keys)
        if reader.mth(0, of.size) != of.root_hash:
            raise ValueError("the receipt's checkpoint has another root than the tiles")
        index = int(lines[1].removeprefix("index "))
        made = ["c2sp.org/tlog-proof@v1", f"index {index}"]
        made += [b64enc(hash) for hash in reader.get_inclusion_proof(index, of.size).node_hashes]
        if lines != made:
            raise ValueError("the receipt is not the one that the tiles make")
        print(f"receipt: made again from the tiles, {len(made)} lines the same")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--log-key", action="append", required=True)
    arguments.add_argument("--tiles", required=True)
    arguments.add_argument("--earlier")
    arguments.add_argument("--receipt")
    try:
        verify(arguments.parse_args())
    except InvalidSignature:
        sys.exit("refused: the signature does not verify")
    except (ValueError, RuntimeError, IndexError, ConsistencyProofInvalid, InclusionProofInvalid) as error:
        sys.exit(f"refused: {error}")


main()
