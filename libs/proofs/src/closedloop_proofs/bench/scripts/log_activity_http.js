// The visit of log_activity.js, as JSON.
import { post, told } from './call_http.js';

export { options, handleSummary } from './call_http.js';

let n = 0;

export default function () {
  n += 1;
  const deals = told.deals[__VU % told.deals.length];
  post('/activities', {
    kind: 'ACTIVITY_KIND_VISIT',
    opportunity_id: deals[n % deals.length],
    subject: `拜访 ${n}`,
    start_time: told.start_time,
    content: `第 ${n} 次拜访：客户确认了需求清单，关心交付周期，希望下周看到演示环境。`,
    attitude_before: 'ATTITUDE_NEUTRAL',
    attitude_after: 'ATTITUDE_WARM',
    next_step: '下周演示',
  });
}
