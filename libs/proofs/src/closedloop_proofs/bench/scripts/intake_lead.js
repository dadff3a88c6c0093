// A web form by somebody nobody knows yet.
import { call, told, unique } from './call.js';

export { options, handleSummary } from './call.js';

export default function () {
  call((vu, n) => {
    const id = unique(vu, n);
    return {
      request_id: id,
      profile: {
        company_name: `新源精密 ${id}`,
        contact_name: `联系人 ${n}`,
        phone: `${told.first_phone + vu * 100000 + n}`,
        region_code: told.provinces[n % told.provinces.length],
        industry: 'manufacturing',
        need: '两条产线要做视觉检测，想了解价格和交付周期。',
      },
      provenance: { source: 'web_form', source_id: id },
    };
  });
}
