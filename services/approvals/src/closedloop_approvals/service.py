"""The slices of approvals."""

from pathlib import Path

from closedloop_approvals.delegations import api as delegations
from closedloop_approvals.figures.rules import ApprovalFigureRules
from closedloop_approvals.policies import api as policies
from closedloop_approvals.policies.rulebook import ApprovalPolicyRules
from closedloop_approvals.requests import api as requests
from closedloop_approvals.requests import figures as request_figures
from closedloop_approvals.requests import reactions as request_reactions
from closedloop_approvals.tasks import api as tasks
from closedloop_approvals.tasks import figures as task_figures
from closedloop_approvals.tasks import reactions as task_reactions
from closedloop_approvals.tasks.rules import TaskRules
from closedloop_approvals.worklist import api as worklist
from closedloop_approvals.worklist import reactions as worklist_reactions
from closedloop_chassis.service import Service, Slice

SERVICE = Service(
    name="approvals",
    package="closedloop.approvals.v1",
    slices=(
        Slice(name="figures", rules=(ApprovalFigureRules,)),
        Slice(name="policies", rpcs=(policies.rpcs,), rules=(ApprovalPolicyRules,)),
        Slice(
            name="requests",
            rpcs=(requests.rpcs,),
            reactions=request_reactions.reactions,
            figures=request_figures.FIGURES,
        ),
        Slice(
            name="tasks",
            rpcs=(tasks.rpcs,),
            reactions=task_reactions.reactions,
            rules=(TaskRules,),
            figures=task_figures.FIGURES,
        ),
        Slice(name="worklist", rpcs=(worklist.rpcs,), reactions=worklist_reactions.reactions),
        Slice(name="delegations", rpcs=(delegations.rpcs,)),
    ),
    migrations=Path(__file__).parent / "migrations",
)
