// One unary RPC, each call another request: `make` of the script that imports this gives the request of a caller's nth call.
import grpc from 'k6/net/grpc';
import { Counter } from 'k6/metrics';

export const told = JSON.parse(open(__ENV.TOLD));
const refused = new Counter('refused');
const client = new grpc.Client();
client.loadProtoset(told.contract);

export const options = {
  vus: told.callers,
  duration: `${told.seconds}s`,
  discardResponseBodies: true,
  summaryTrendStats: ['med', 'p(99)'],
};

let connected = false;
let n = 0;
let params;

export function call(make) {
  if (!connected) {
    client.connect(told.addresses[__VU % told.addresses.length], { plaintext: true });
    connected = true;
    params = { metadata: told.tokens.length ? { authorization: `Bearer ${told.tokens[__VU % told.tokens.length]}` } : {} };
  }
  n += 1;
  const answer = client.invoke(told.method, make(__VU, n), params);
  if (answer.status !== grpc.StatusOK) {
    refused.add(1);
    if (n < 3) console.error(answer.status, answer.error ? answer.error.message : '');
  }
}

// Unique within the database, whichever run, side and caller.
export function unique(vu, n) {
  return `${told.run}-${vu}-${n}`;
}

export function handleSummary(data) {
  const calls = data.metrics.grpc_req_duration ? data.metrics.iterations.values.count : 0;
  const failed = data.metrics.refused ? data.metrics.refused.values.count : 0;
  const took = data.metrics.grpc_req_duration.values;
  const answer = {
    calls: calls - failed,
    failed,
    seconds: data.state.testRunDurationMs / 1000,
    median_ms: took.med,
    p99_ms: took['p(99)'],
  };
  return { [__ENV.ANSWER]: JSON.stringify(answer) };
}
