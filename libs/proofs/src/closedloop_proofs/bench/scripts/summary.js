// What a turn has measured, for the bench to read: `trend` is the metric whose latencies count.
import { Counter } from 'k6/metrics';

export const told = JSON.parse(open(__ENV.TOLD));
export const refused = new Counter('refused');

export const options = {
  vus: told.callers,
  duration: `${told.seconds}s`,
  summaryTrendStats: ['med', 'p(99)'],
};

// Unique within the database, whichever run, side and caller.
export function unique(vu, n) {
  return `${told.run}-${vu}-${n}`;
}

export function summary(data, trend) {
  const calls = data.metrics[trend] ? data.metrics.iterations.values.count : 0;
  const failed = data.metrics.refused ? data.metrics.refused.values.count : 0;
  const took = data.metrics[trend].values;
  const answer = {
    calls: calls - failed,
    failed,
    seconds: data.state.testRunDurationMs / 1000,
    median_ms: took.med,
    p99_ms: took['p(99)'],
  };
  return { [__ENV.ANSWER]: JSON.stringify(answer) };
}
