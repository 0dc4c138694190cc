// One call against a broker over mutual TLS, as JSON on stdout: @grpc/grpc-js with
// stubs made by proto-loader from the contract.
//
//   node client.mjs CASE ADDRESS IDENTITY_DIR SCHEMA_DIR MODEL
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

// The packages stand in the folder that `cargo xtask test` installs them into.
const require = createRequire(join(process.env.COMITY_NODE_MODULES ?? process.cwd(), 'package.json'));
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const protobuf = require('protobufjs');

// Longest that any case may take, in milliseconds: a scenario that hangs is a failure.
const DEADLINE = 60_000;
const [name, address, identity, schema, model] = process.argv.slice(2);

const options = { includeDirs: [schema], keepCase: true, longs: Number, enums: String, defaults: true };
const contract = grpc.loadPackageDefinition(
  loader.loadSync(['comity/inference/v1/inference.proto', 'comity/policy/v1/policy.proto'], options),
);
const read = (file) => readFileSync(join(identity, file));
const credentials = grpc.credentials.createSsl(read('federation-ca.pem'), read('key.pem'), read('cert.pem'));
const inference = new contract.comity.inference.v1.Inference(address, credentials);

// google.rpc.Status, which carries the typed details of an error.
const Status = protobuf
  .parse(`syntax = "proto3";
    message Any { string type_url = 1; bytes value = 2; }
    message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
    message ErrorInfo { string reason = 1; string domain = 2; }`, { keepCase: true })
  .root;

function outcome(error) {
  const seen = { code: grpc.status[error.code], message: error.details };
  const [bytes] = error.metadata?.get('grpc-status-details-bin') ?? [];
  const details = bytes ? Status.lookupType('Status').decode(bytes).details : [];
  const policy = new protobuf.Root();
  policy.resolvePath = (_from, target) => (target.startsWith(schema) || target.startsWith('google/') ? target : join(schema, target));
  policy.loadSync('comity/policy/v1/policy.proto', { keepCase: true });
  for (const detail of details) {
    if (detail.type_url.endsWith('comity.policy.v1.Refusal')) {
      const type = policy.lookupType('comity.policy.v1.Refusal');
      seen.refusal = type.toObject(type.decode(detail.value), { enums: String, longs: Number });
    } else if (detail.type_url.endsWith('google.rpc.ErrorInfo')) {
      seen.reason = Status.lookupType('ErrorInfo').decode(detail.value).reason;
    }
  }
  return seen;
}

function question(requirements = {}) {
  return {
    envelope: { model, requirements, purposes: ['dpv:CustomerCare'] },
    payload: {
      messages: [{ role: 'ROLE_USER', content: [{ text: 'What is the capital city of France? Answer in one sentence.' }] }],
      max_output_tokens: 24,
      sampling: { temperature: 0 },
    },
  };
}

const within = (milliseconds) => ({ deadline: Date.now() + milliseconds });

function unary(request, milliseconds = DEADLINE) {
  return new Promise((resolve) => {
    let first;
    const call = inference.Chat(request, within(milliseconds), (error, answer) => {
      if (error) return resolve(outcome(error));
      const text = answer.message.content.map((part) => part.text).join('');
      resolve({ text, decision: first.get('comity-decision-id')[0], offer: first.get('comity-offer')[0] });
    });
    call.on('metadata', (metadata) => (first = metadata));
  });
}

function streaming({ leave }) {
  return new Promise((resolve) => {
    let text = '';
    let pieces = 0;
    const call = inference.ChatStream(question(), within(DEADLINE));
    call.on('data', (piece) => {
      text += piece.text;
      pieces += 1;
      if (leave) call.cancel();
    });
    call.on('error', (error) => resolve(outcome(error)));
    call.on('end', () => resolve({ text, pieces }));
  });
}

const CASES = {
  unary: () => unary(question()),
  streaming: () => streaming({ leave: false }),
  // Processed in Antarctica, which no offer promises.
  refused: () => unary(question({ allowed_processing_locations: [{ places: ['AQ'] }] })),
  // Less time than the backend takes.
  deadline: () => unary(question(), 1_000),
  // Its caller leaves after the first piece.
  cancelled: () => streaming({ leave: true }),
};

console.log(JSON.stringify(await CASES[name]()));
inference.close();
