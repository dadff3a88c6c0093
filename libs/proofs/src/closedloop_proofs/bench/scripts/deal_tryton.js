// The same in Tryton: a lead is created and becomes an opportunity.
import { post, told } from './call_http.js';

export { options, handleSummary } from './call_http.js';

let n = 0;

function rpc(method, ...params) {
  return post(told.path, { id: n, method, params: [...params, told.context] });
}

export default function () {
  n += 1;
  const made = rpc('model.sale.opportunity.create', [
    {
      party: told.customers[__VU % told.customers.length],
      company: told.context.company,
      currency: told.currency,
      employee: told.context.employee,
      description: `deal ${n}`,
      amount: { __class__: 'Decimal', decimal: '480000' },
    },
  ]);
  if (made !== null) rpc('model.sale.opportunity.opportunity', made.result);
}
