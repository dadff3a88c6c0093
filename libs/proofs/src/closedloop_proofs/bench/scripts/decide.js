// A manager approves the next quote of the team.
import { call, told, unique } from './call.js';

export { options, handleSummary } from './call.js';

export default function () {
  call((vu, n) => {
    const team = vu % told.callers;
    return {
      request_id: unique(vu, n),
      id: `00000000-0000-7000-8${String(team).padStart(3, '0')}-${String(told.first + n - 1).padStart(12, '0')}`,
      etag: told.etag,
      verdict: 'VERDICT_APPROVE',
      comment: '同意，下不为例',
    };
  });
}
