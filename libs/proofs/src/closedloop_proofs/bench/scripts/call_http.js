// The same to servers that speak JSON over HTTP.
import http from 'k6/http';
import { refused, summary, told } from './summary.js';

export { options, told, unique } from './summary.js';

let failures = 0;

// Answers the body as JSON, null where it was refused.
export function post(path, body) {
  // As Tryton's own client does; without it trytond calls a plain answer gzip where it streams one.
  const headers = { 'content-type': 'application/json', 'accept-encoding': 'gzip', ...(told.headers || {}) };
  const answer = http.post(`http://${told.addresses[0]}${path}`, JSON.stringify(body), { headers });
  const found = answer.status === 200 ? answer.json() : null;
  if (found !== null && !found.error) return found;
  refused.add(1);
  failures += 1;
  if (failures < 3) console.error(answer.status, answer.body ? answer.body.slice(0, 300) : '');
  return null;
}

export function handleSummary(data) {
  return summary(data, told.whole ? 'iteration_duration' : 'http_req_duration');
}
