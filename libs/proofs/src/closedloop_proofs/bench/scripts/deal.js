// A deal is opened and moves on one stage, with the evidence its stage asks for.
import { invoke, told, unique } from './call.js';

export { options, handleSummary } from './call.js';

let n = 0;

export default function () {
  n += 1;
  const made = invoke(`${told.service}/CreateOpportunity`, {
    request_id: unique(__VU, n),
    name: `deal ${n}`,
    account_id: told.accounts[__VU % told.accounts.length],
    need: '三条产线的视觉检测',
    amount: { currency_code: 'CNY', units: 480000 },
  });
  if (made === null) return;
  invoke(`${told.service}/AdvanceOpportunity`, {
    request_id: `${unique(__VU, n)}-advance`,
    opportunity_id: made.id,
    etag: made.etag,
    evidence: [
      { requirement_key: 'customer_profile', kind: 'EVIDENCE_KIND_NOTE', note: '年营收5亿, 三条产线, 决策人为生产总监' },
    ],
  });
}
