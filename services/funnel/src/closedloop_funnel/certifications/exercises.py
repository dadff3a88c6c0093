"""Exercises drawn on the figures of the manager's own unit: each with what is right and why (S99)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from closedloop.funnel.v1 import experiments_pb2
from closedloop_chassis.ids import new_id
from closedloop_funnel import estimates
from closedloop_funnel.certifications.rules import CertificationRules, sample_size
from closedloop_funnel.certifications.store import Figures

VERDICTS = {
    experiments_pb2.ESTIMATE_VERDICT_HIGHER: "确有上升",
    experiments_pb2.ESTIMATE_VERDICT_LOWER: "确有下降",
    experiments_pb2.ESTIMATE_VERDICT_NO_DIFFERENCE: "无法与偶然波动区分",
}


def drawn(rules: CertificationRules, figures: Figures, subjects: Sequence[str]) -> list[dict[str, Any]]:
    """In the order of the subjects."""
    made = {
        "reading_metrics": _reading(rules, figures),
        "attribution": _attribution(figures),
        "experiment_design": _design(rules, figures),
    }
    return [one for subject in subjects for one in made[subject]]


def _reading(rules: CertificationRules, figures: Figures) -> list[dict[str, Any]]:
    now, before = figures.won / figures.ended, figures.won_before / figures.ended_before
    ends = _evidence(("本期关单", figures.ended), ("本期赢单", figures.won))
    earlier = _evidence(("上期关单", figures.ended_before), ("上期赢单", figures.won_before))
    points = rules.tolerance * 100
    found = [
        _number(
            "reading_metrics",
            "本期赢单率是多少(百分比)?",
            ends,
            now * 100,
            points,
            f"{figures.won} / {figures.ended} = {now:.1%}",
        ),
        _number(
            "reading_metrics",
            "赢单率比上期变化了多少个百分点(下降为负)?",
            [*ends, *earlier],
            (now - before) * 100,
            points,
            f"{now:.1%} - {before:.1%} = {(now - before) * 100:+.1f} 个百分点, 不是相对变化 {now / before - 1:+.1%}"
            if before
            else f"{now:.1%} - 0",
        ),
    ]
    if len(figures.standing) > 1:
        fullest = max(sorted(figures.standing), key=lambda stage: figures.standing[stage])
        found.append(
            _choice(
                "reading_metrics",
                "在手商机最多积压在哪个阶段?",
                _evidence(*sorted(figures.standing.items())),
                sorted(figures.standing),
                fullest,
                f"{fullest}: {figures.standing[fullest]} 个, 占 {figures.standing[fullest] / sum(figures.standing.values()):.0%}",
            )
        )
    return found


def _attribution(figures: Figures) -> list[dict[str, Any]]:
    told = estimates.difference(figures.won, figures.ended, figures.won_before, figures.ended_before)
    shown = _evidence(
        ("本期关单", figures.ended),
        ("本期赢单", figures.won),
        ("上期关单", figures.ended_before),
        ("上期赢单", figures.won_before),
    )
    return [
        _choice(
            "attribution",
            "赢单率的变化能否与偶然波动区分(95% 区间)?",
            shown,
            list(VERDICTS.values()),
            VERDICTS[told.verdict],
            f"差 {told.value:+.3f}, 区间 {told.low:+.3f} 至 {told.high:+.3f} (Newcombe)",
        ),
        {
            **_exercise(
                "attribution",
                "free",
                "本期做了话术培训, 赢单率也变了。要说是培训带来的, 还缺哪些证据? 怎样取得?",
                shown,
            ),
            "solution": "对照组(未参加者同期变化)、培训前后各自足够的样本、客户结构与产品结构是否变化、话术是否真的在录音中出现。",
        },
    ]


def _design(rules: CertificationRules, figures: Figures) -> list[dict[str, Any]]:
    base = figures.won / figures.ended
    wanted = sample_size(base, rules.least_effect, rules.power, rules.significance)
    return [
        _number(
            "experiment_design",
            f"要发现赢单率提高 {rules.least_effect:.0%}, 每组至少要多少个关单? "
            f"(把握度 {rules.power:.0%}, 显著性 {rules.significance:.0%})",
            _evidence(("现在的赢单率", base)),
            wanted,
            wanted * rules.tolerance * 5,
            f"两比例之差的样本量: 每组 {wanted}",
        ),
        _choice(
            "experiment_design",
            "同一团队的人会互相学话术。把谁随机分到两组?",
            [],
            ["客户", "销售个人", "整个团队"],
            "整个团队",
            "同组会互相影响时按团队分, 否则对照组也学会了, 效果被低估。",
        ),
        {
            **_exercise("experiment_design", "free", "写出这个试验的停止规则: 什么时候看数据, 看到什么就停。", []),
            "solution": "事先写定样本量或结束日; 中途只看预先约定的次数并相应收紧界限; 不因中途好看就提前停。",
        },
    ]


def _exercise(subject: str, kind: str, question: str, figures: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": new_id(),
        "subject": subject,
        "kind": kind,
        "question": question,
        "figures": figures,
        "choices": [],
        "answer": "",
        "grade": None,
        "comment": "",
    }


def _number(
    subject: str, question: str, figures: list[dict[str, Any]], right: float, tolerance: float, solution: str
) -> dict[str, Any]:
    given = _exercise(subject, "number", question, figures)
    return {**given, "right": right, "tolerance": tolerance, "solution": solution}


def _choice(
    subject: str, question: str, figures: list[dict[str, Any]], choices: list[str], right: str, solution: str
) -> dict[str, Any]:
    return {**_exercise(subject, "choice", question, figures), "choices": choices, "right": right, "solution": solution}


def _evidence(*given: tuple[str, float]) -> list[dict[str, Any]]:
    return [{"name": name, "value": float(value), "unit": "1", "text": ""} for name, value in given]
