// A visit logged on the caller's own deal.
import { call, told, unique } from './call.js';

export { options, handleSummary } from './call.js';

export default function () {
  call((vu, n) => {
    const deals = told.deals[vu % told.deals.length];
    return {
      request_id: unique(vu, n),
      kind: 'ACTIVITY_KIND_VISIT',
      opportunity_id: deals[n % deals.length],
      subject: `拜访 ${n}`,
      start_time: told.start_time,
      content: `第 ${n} 次拜访：客户确认了需求清单，关心交付周期，希望下周看到演示环境。`,
      attitude_before: 'ATTITUDE_NEUTRAL',
      attitude_after: 'ATTITUDE_WARM',
      next_step: '下周演示',
    };
  });
}
