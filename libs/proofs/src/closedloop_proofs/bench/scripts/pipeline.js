// The newest deals of a pipeline.
import { call, told } from './call.js';

export { options, handleSummary } from './call.js';

export default function () {
  call(() => ({ states: ['OPPORTUNITY_STATE_OPEN'], page_size: told.lines }));
}
