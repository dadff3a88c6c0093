// Unary RPCs, each call another request.
import grpc from 'k6/net/grpc';
import { refused, summary, told, unique } from './summary.js';

export { options, told, unique } from './summary.js';

const client = new grpc.Client();
client.loadProtoset(told.contract);

let connected = false;
let n = 0;
let params;

// One RPC per iteration: `make` gives the request of a caller's nth call.
export function call(make) {
  n += 1;
  invoke(told.method, make(__VU, n));
}

// One of several; answers its message, null where it was refused.
export function invoke(method, request) {
  if (!connected) {
    client.connect(told.addresses[__VU % told.addresses.length], { plaintext: true });
    connected = true;
    params = { metadata: told.tokens.length ? { authorization: `Bearer ${told.tokens[__VU % told.tokens.length]}` } : {} };
  }
  const answer = client.invoke(method, request, params);
  if (answer.status === grpc.StatusOK) return answer.message;
  refused.add(1);
  if (n < 3) console.error(answer.status, answer.error ? answer.error.message : '');
  return null;
}

export function handleSummary(data) {
  return summary(data, told.whole ? 'iteration_duration' : 'grpc_req_duration');
}
