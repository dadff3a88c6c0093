"""The funnel service: its slices, put together."""

from __future__ import annotations

from pathlib import Path

from closedloop_chassis.service import Service, Slice
from closedloop_funnel.copies import reactions as copies
from closedloop_funnel.custom_fields.rules import CustomFieldRules
from closedloop_funnel.opportunities import api as opportunities
from closedloop_funnel.opportunities import importing, steps
from closedloop_funnel.opportunities import reactions as opportunity_reactions
from closedloop_funnel.opportunities.rules import OpportunityRules
from closedloop_funnel.pipelines import api as pipelines
from closedloop_funnel.pipelines.rules import PipelineRules

SERVICE = Service(
    name="funnel",
    package="closedloop.funnel.v1",
    slices=(
        Slice("copies", reactions=copies.reactions),
        Slice("custom_fields", rules=(CustomFieldRules,)),
        Slice("pipelines", rpcs=(pipelines.rpcs,), rules=(PipelineRules,)),
        Slice(
            "opportunities",
            rpcs=(opportunities.rpcs, steps.rpcs, importing.rpcs),
            reactions=opportunity_reactions.reactions,
            rules=(OpportunityRules,),
        ),
    ),
    migrations=Path(__file__).parent / "migrations",
)
