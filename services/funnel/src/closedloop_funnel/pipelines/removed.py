"""A stage that the rulebook no longer has: deals that stand in it keep their place in the order until they move on (U17)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from closedloop_chassis.rulebook.rules import Part
from closedloop_chassis.rulebook.shelf import Shelf
from closedloop_chassis.work import Work
from closedloop_funnel.pipelines.rules import PipelineRules
from closedloop_funnel.pipelines.stages import PipelineRule, StageRule


def as_stood_in(pipeline_id: str, stage_key: str, work: Work) -> PipelineRule:
    """The pipeline in force as a deal in this stage sees it: a removed stage stands, retired, where it stood, with its name and
    its limits; what it asked for is asked no more. Raises NotFound PIPELINE_UNKNOWN."""
    pipeline = work.rules(PipelineRules).pipeline(pipeline_id)
    return (
        pipeline if pipeline.has(stage_key) else with_removed(pipeline, pipeline_id, stage_key, work.process.rulebooks)
    )


def stage_of(pipeline_id: str, stage_key: str, work: Work) -> StageRule:
    """The stage a deal stands in, whatever became of it or of its pipeline."""
    pipeline = work.rules(PipelineRules).pipelines.get(pipeline_id)
    if pipeline is not None and pipeline.has(stage_key):
        return pipeline.stage(stage_key)
    shelf = work.process.rulebooks
    return _last_seen(shelf, shelf.revision, pipeline_id, stage_key)[0]


def with_removed(pipeline: PipelineRule, pipeline_id: str, stage_key: str, shelf: Shelf) -> PipelineRule:
    """Behind the nearest stage before it that is still there; first where none is."""
    stage, before = _last_seen(shelf, shelf.revision, pipeline_id, stage_key)
    keys = [one.key for one in pipeline.stages]
    place = next((keys.index(key) + 1 for key in reversed(before) if key in keys), 0)
    stages = (*pipeline.stages[:place], stage, *pipeline.stages[place:])
    return PipelineRule(**{**_fields(pipeline), "stages": stages})


@lru_cache(maxsize=256)
def _last_seen(shelf: Shelf, revision: int, pipeline_id: str, key: str) -> tuple[StageRule, tuple[str, ...]]:
    """The stage as the latest version that had it wrote it, and the keys before it; `revision` makes it forget."""
    for pipeline in _earlier(pipeline_id, shelf):
        if pipeline.has(key):
            keys = [stage.key for stage in pipeline.stages]
            gone = {"retired": True, "requirements": (), "next_stage_keys": ()}
            return StageRule(**{**_fields(pipeline.stage(key)), **gone}), tuple(keys[: keys.index(key)])
    return StageRule(key=key, name=key, probability=0, category="pipeline", retired=True), ()


def _fields(part: Part) -> dict[str, Any]:
    """Made anew and not copied: a copy would keep what the old one had worked out of itself."""
    return {name: getattr(part, name) for name in type(part).model_fields}


def _earlier(pipeline_id: str, shelf: Shelf) -> Iterator[PipelineRule]:
    for edition in reversed(shelf.history(PipelineRules.rulebook)):
        pipelines = PipelineRules.model_validate(edition.body).pipelines
        if pipeline_id in pipelines:
            yield pipelines[pipeline_id]
    if pipeline_id in PipelineRules().pipelines:
        yield PipelineRules().pipelines[pipeline_id]
