"""The pipelines a company starts with: the chain of the documents (S40) by industry pack, and the plain one of imported
histories."""

from __future__ import annotations

from closedloop_funnel.pipelines.stages import EvidenceRule, PipelineRule, ReasonRule, StageRule

# S41: a task after 5 working days; S58: the healthy pace of 5.5, beyond which the regional director is told.
DWELL = 5.0
PACE = 5.5

B2B_REASONS = (
    ReasonRule(code="best_fit", name="方案最合适", kind="won"),
    ReasonRule(code="price", name="价格有优势", kind="won"),
    ReasonRule(code="relationship", name="客户关系", kind="won"),
    ReasonRule(code="other", name="其他", kind="won", comment_required=True),
    ReasonRule(code="unknown", name="未知", kind="won"),
    ReasonRule(code="price", name="价格过高", kind="lost"),
    ReasonRule(code="competitor", name="输给竞争对手", kind="lost"),
    ReasonRule(code="no_budget", name="客户无预算", kind="lost"),
    ReasonRule(code="no_need", name="需求消失", kind="lost"),
    ReasonRule(code="no_decision", name="客户未决策", kind="lost"),
    ReasonRule(code="other", name="其他", kind="lost", comment_required=True),
    ReasonRule(code="unknown", name="未知", kind="lost"),
)

B2B = PipelineRule(
    name="工业B2B标准流程",
    pack="industrial_b2b",
    stages=(
        StageRule(
            key="profile",
            name="客户建档",
            aliases=("Profile", "Qualification"),
            chain_step="profile",
            probability=0.1,
            category="pipeline",
            dwell_limit_days=DWELL,
            pace_limit_days=PACE,
            requirements=(
                EvidenceRule(key="customer_profile", name="客户画像", kind="note"),
                EvidenceRule(key="account", name="关联客户", kind="field", detail="account_id", mandatory=False),
            ),
        ),
        StageRule(
            key="need",
            name="需求确认",
            aliases=("Need", "Discovery", "Needs Analysis"),
            chain_step="need",
            probability=0.25,
            category="pipeline",
            dwell_limit_days=DWELL,
            pace_limit_days=PACE,
            requirements=(
                EvidenceRule(key="pain_matrix", name="客户痛点与我方能力矩阵", kind="matrix", detail="pain_matrix"),
                EvidenceRule(key="contact_logged", name="有效沟通记录", kind="activity", mandatory=False),
            ),
            action_unit_keys=("pain_matrix", "needs_report"),
        ),
        StageRule(
            key="proposal",
            name="方案",
            aliases=("Proposal", "Demo"),
            chain_step="proposal",
            probability=0.5,
            category="best_case",
            dwell_limit_days=DWELL,
            pace_limit_days=PACE,
            proposal_expected=True,
            requirements=(EvidenceRule(key="proposal", name="解决方案", kind="proposal"),),
            action_unit_keys=("competitor_comparison", "custom_demo"),
        ),
        StageRule(
            key="quote_approval",
            name="报价审批",
            aliases=("Quote Approval", "Quote", "Negotiation"),
            chain_step="quote_approval",
            probability=0.65,
            category="best_case",
            dwell_limit_days=DWELL,
            pace_limit_days=PACE,
            requirements=(EvidenceRule(key="approved_quote", name="已批准报价", kind="quote"),),
        ),
        StageRule(
            key="contract",
            name="合同",
            aliases=("Contract",),
            chain_step="contract",
            probability=0.85,
            category="commit",
            dwell_limit_days=DWELL,
            pace_limit_days=PACE,
            requirements=(EvidenceRule(key="signed_contract", name="已签合同", kind="contract"),),
        ),
        StageRule(
            key="won",
            name="赢单",
            aliases=("Won", "Closed Won"),
            kind="won",
            probability=1,
            category="closed",
            next_stage_keys=("archive",),
            requirements=(EvidenceRule(key="archived_papers", name="归档材料", kind="document"),),
        ),
        StageRule(
            key="lost",
            name="输单",
            aliases=("Lost", "Closed Lost"),
            kind="lost",
            probability=0,
            category="omitted",
            next_stage_keys=("archive",),
            requirements=(EvidenceRule(key="loss_review", name="输单复盘", kind="note", mandatory=False),),
        ),
        StageRule(
            key="archive",
            name="归档",
            aliases=("Archive", "Archived"),
            kind="archived",
            chain_step="archive",
            probability=0,
            category="closed",
        ),
    ),
    reasons=B2B_REASONS,
)

# Shops are seen before they are sold to: the visit is an action that was verified, not a word.
RETAIL = PipelineRule(
    name="连锁零售标准流程",
    pack="retail_chain",
    stages=(
        B2B.stages[0],
        StageRule(
            key="store_visit",
            name="门店拜访",
            aliases=("Store Visit",),
            chain_step="need",
            probability=0.25,
            category="pipeline",
            dwell_limit_days=DWELL,
            pace_limit_days=PACE,
            requirements=(EvidenceRule(key="visited", name="已核实的门店拜访", kind="activity", detail="store_visit"),),
            action_unit_keys=("store_visit", "shelf_count"),
        ),
        *B2B.stages[2:],
    ),
    reasons=B2B_REASONS,
)

# Deals of a system that asked for no evidence; winning one asks for no contract either.
CRM_IMPORT = PipelineRule(
    name="历史导入流程",
    history_only=True,
    stages=(
        StageRule(
            key="prospecting",
            name="Prospecting",
            probability=0.1,
            category="pipeline",
            dwell_limit_days=DWELL,
            pace_limit_days=PACE,
        ),
        StageRule(
            key="engaging",
            name="Engaging",
            probability=0.4,
            category="best_case",
            dwell_limit_days=DWELL,
            pace_limit_days=PACE,
        ),
        StageRule(key="won", name="Won", aliases=("Closed Won",), kind="won", probability=1, category="closed"),
        StageRule(key="lost", name="Lost", aliases=("Closed Lost",), kind="lost", probability=0, category="omitted"),
    ),
    reasons=B2B_REASONS,
)
