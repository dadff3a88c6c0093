// As Tryton's client lists them.
import { post, told } from './call_http.js';

export { options, handleSummary } from './call_http.js';

export default function () {
  post(told.path, {
    id: 1,
    method: 'model.sale.opportunity.search_read',
    params: [['state', '=', 'lead'], 0, told.lines, [['start_date', 'DESC'], ['id', 'DESC']], told.fields, told.context],
  });
}
