"""llama.cpp's own server on a free port of this machine, until stdin is closed.

    python serve.py MODEL.gguf ALIAS API_KEY

Prints `listening http://127.0.0.1:PORT` once it answers.
"""

import sys

import xllamacpp

model, alias, key = sys.argv[1:]
params = xllamacpp.CommonParams()
params.model.path = model
params.model_alias = {alias}
params.hostnames = ["127.0.0.1"]
params.api_keys = [key]
params.n_ctx = 2048
params.n_parallel = 2
params.cpuparams.n_threads = 2
server = xllamacpp.Server(params)
print(f"listening {server.listening_address}", flush=True)
sys.stdin.read()
