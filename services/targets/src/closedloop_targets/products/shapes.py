"""Products as the contract shows and takes them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any, cast

from closedloop.common.v1.common_pb2 import RuleReference
from closedloop.targets.v1 import events_pb2
from closedloop.targets.v1 import products_pb2 as pb
from closedloop_chassis import etags, protos, provenance, structs
from closedloop_chassis.work import Work
from closedloop_targets import amounts
from closedloop_targets.custom_fields import TargetFieldRules
from closedloop_targets.products.rules import LifeCycle, Product, ProductRules, Stage, without_repeats

FIELDS = ("name", "line", "series", "aliases", "list_price", "launch_date", "retired", "custom_fields", "provenance")


def fields(given: pb.ProductInput, actor: str) -> dict[str, Any]:
    """Fields of a Product but its stages, by the contract's path."""
    priced = given.HasField("list_price")
    return {
        "name": {"name": given.name},
        "line": {"line": given.line},
        "series": {"series": given.series},
        "aliases": {"aliases": without_repeats(given.aliases)},
        "list_price": {
            "list_minor": protos.minor_units(given.list_price, "list_price") if priced else None,
            "list_currency": given.list_price.currency_code if priced else "",
        },
        "launch_date": {
            "launch_date": protos.day(given.launch_date, "launch_date") if given.HasField("launch_date") else None
        },
        "retired": {"retired": given.retired},
        "custom_fields": {"custom_fields": structs.plain(given.custom_fields)},
        "provenance": {"provenance": provenance.keep(given.provenance, actor)},
    }


def created(given: pb.ProductInput, work: Work, today: date) -> Product:
    rules = work.rules(ProductRules)
    stage = life_cycle(given.stage) if given.stage else rules.first_stage
    values = {name: value for part in fields(given, work.actor).values() for name, value in part.items()}
    work.rules(TargetFieldRules).check("product", values["custom_fields"])
    start = min(values["launch_date"] or today, today)
    return Product(
        id=given.id, version=1, updated_at=work.now, stages=(Stage(start, stage, work.actor, "first stage"),), **values
    )


def updated(product: Product, given: pb.ProductInput, paths: set[str], work: Work) -> Product:
    """The product itself when nothing differs."""
    parts = fields(given, work.actor)
    if "custom_fields" in paths:
        work.rules(TargetFieldRules).check("product", parts["custom_fields"]["custom_fields"])
    if not given.provenance.source or provenance.same(parts["provenance"]["provenance"], product.provenance):
        paths = paths - {"provenance"}
    changed = replace(product, **{name: value for path in paths for name, value in parts[path].items()})
    return product if changed == product else replace(changed, version=product.version + 1, updated_at=work.now)


def life_cycle(stage: pb.LifeCycleStage.ValueType) -> LifeCycle:
    name = pb.LifeCycleStage.Name(stage).removeprefix("LIFE_CYCLE_STAGE_").lower()
    return cast("LifeCycle", name)


def to_stage(name: str) -> pb.LifeCycleStage.ValueType:
    return pb.LifeCycleStage.Value(f"LIFE_CYCLE_STAGE_{name.upper()}")


def to_proto(product: Product, work: Work, today: date, *, stages: bool = False) -> pb.Product:
    rules = work.rules(ProductRules)
    held = product.stage_on(today)
    weight = rules.weight(held.stage)
    return pb.Product(
        id=product.id,
        name=product.name,
        line=product.line,
        series=product.series,
        aliases=product.aliases,
        list_price=None if product.list_minor is None else protos.money(product.list_minor, product.list_currency),
        launch_date=protos.date_proto(product.launch_date),
        stage=to_stage(held.stage),
        stage_date=protos.date_proto(held.start_date),
        weight=amounts.decimal(weight),
        weight_rule=RuleReference(
            rulebook=ProductRules.rulebook,
            version=work.process.rulebooks.version(ProductRules, work.now),
            rule=f"stage_weights.{held.stage}",
            explanation=f"{product.name} is in {held.stage} since {held.start_date}, which weighs {weight}",
        ),
        retired=product.retired,
        stages=[
            pb.ProductStage(
                stage=to_stage(stage.stage),
                start_date=protos.date_proto(stage.start_date),
                author_id=stage.author_id,
                reason=stage.reason,
            )
            for stage in (product.stages if stages else ())
        ],
        custom_fields=structs.struct(product.custom_fields),
        provenance=provenance.to_proto(product.provenance),
        etag=etags.of(product.version),
        update_time=protos.timestamp(product.updated_at),
    )


def changed_event(product: Product, work: Work, today: date) -> events_pb2.ProductChanged:
    shown = to_proto(product, work, today)
    event = events_pb2.ProductChanged(
        product_id=product.id,
        name=product.name,
        line=product.line,
        series=product.series,
        aliases=product.aliases,
        stage=shown.stage,
        weight=shown.weight,
        retired=product.retired,
        version=product.version,
    )
    if shown.HasField("list_price"):
        event.list_price.CopyFrom(shown.list_price)
    if shown.HasField("launch_date"):
        event.launch_date.CopyFrom(shown.launch_date)
    return event
