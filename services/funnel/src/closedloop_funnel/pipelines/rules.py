"""Which pipeline a deal takes. The stages are in `stages.py`, the ones a company starts with in `defaults.py`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from pydantic import Field

from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import Rules
from closedloop_funnel.pipelines.defaults import B2B, CRM_IMPORT, RETAIL
from closedloop_funnel.pipelines.stages import PipelineRule


class PipelineRules(Rules):
    """Pipelines by id. `default` is taken by deals that name none, `imports` by imported rows that name none."""

    rulebook: ClassVar[str] = "funnel.pipelines"

    pipelines: dict[str, PipelineRule] = Field(
        default_factory=lambda: {"b2b": B2B, "crm-import": CRM_IMPORT, "retail": RETAIL}
    )
    default: str = "b2b"
    imports: str = "crm-import"

    def model_post_init(self, context: object, /) -> None:
        for name in (self.default, self.imports):
            if name not in self.pipelines:
                raise ValueError(f"pipeline {name} is not there")

    def pipeline(self, pipeline_id: str) -> PipelineRule:
        """Raises NotFound PIPELINE_UNKNOWN."""
        if pipeline_id not in self.pipelines:
            raise errors.NotFound(
                "PIPELINE_UNKNOWN", f"no pipeline {pipeline_id}; there are {', '.join(sorted(self.pipelines))}"
            )
        return self.pipelines[pipeline_id]

    def for_new_deal(self, pipeline_id: str, ancestry: Iterable[str]) -> str:
        """The pipeline of a new deal in a unit (`ancestry`: the unit and those above, nearest first).

        An unnamed one is the unit's own if exactly its line has one, else the default.
        Raises NotFound PIPELINE_UNKNOWN, FailedPrecondition PIPELINE_RETIRED, PIPELINE_FOR_HISTORY.
        """
        if not pipeline_id:
            pipeline_id = self._of_unit(ancestry) or self.default
        if self.pipeline(pipeline_id).retired:
            raise errors.FailedPrecondition("PIPELINE_RETIRED", f"pipeline {pipeline_id} takes no new deals")
        if self.pipeline(pipeline_id).history_only:
            raise errors.FailedPrecondition(
                "PIPELINE_FOR_HISTORY", f"pipeline {pipeline_id} takes deals of the past, by import; name another"
            )
        return pipeline_id

    def _of_unit(self, ancestry: Iterable[str]) -> str:
        for unit_id in ancestry:
            for pipeline_id, pipeline in self.pipelines.items():
                if unit_id in pipeline.unit_ids and not pipeline.retired:
                    return pipeline_id
        return ""
