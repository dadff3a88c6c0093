"""The customers service, put together."""

from __future__ import annotations

from pathlib import Path

from closedloop_chassis.service import Service, Slice
from closedloop_customers.accounts import api as accounts_api
from closedloop_customers.accounts import reactions as accounts_reactions
from closedloop_customers.accounts.rules import AccountRules
from closedloop_customers.assignment import reactions as assignment_reactions
from closedloop_customers.assignment import sellers as assignment_api
from closedloop_customers.assignment.rules import AssignmentRules
from closedloop_customers.business_actions import BusinessActionRules
from closedloop_customers.chain import api as chain_api
from closedloop_customers.chain import brief as brief_api
from closedloop_customers.chain import reactions as chain_reactions
from closedloop_customers.chain.rules import BriefRules, ChainRules, ConcernRules, SolutionRules
from closedloop_customers.codes import CodeRules
from closedloop_customers.contacts import api as contacts_api
from closedloop_customers.contacts import reactions as contacts_reactions
from closedloop_customers.contacts.rules import ContactRules
from closedloop_customers.custom_fields import FieldRules
from closedloop_customers.figures.rules import CustomerFigureRules
from closedloop_customers.freshness import QualityRules
from closedloop_customers.grades import api as grades_api
from closedloop_customers.grades import reactions as grades_reactions
from closedloop_customers.grades.rules import GradeRules
from closedloop_customers.health import api as health_api
from closedloop_customers.health import reactions as health_reactions
from closedloop_customers.health.rules import HealthRules
from closedloop_customers.identifiers import MatchingRules
from closedloop_customers.identity import api as identity_api
from closedloop_customers.identity import reactions as identity_reactions
from closedloop_customers.identity.rules import IdentityRules
from closedloop_customers.interactions import api as interactions_api
from closedloop_customers.interactions import reactions as interactions_reactions
from closedloop_customers.interactions.rules import InteractionRules
from closedloop_customers.leads import api as leads_api
from closedloop_customers.leads import figures as lead_figures
from closedloop_customers.leads import reactions as leads_reactions
from closedloop_customers.leads.rules import CloseReasonRules, LeadRules, ResponseRules, WebhookRules
from closedloop_customers.parameters import api as parameters_api
from closedloop_customers.parameters.rules import ParameterRules
from closedloop_customers.personal import api as personal_api
from closedloop_customers.personal import reactions as personal_reactions
from closedloop_customers.personal.rules import PersonalDataRules
from closedloop_customers.playbooks import api as playbooks_api
from closedloop_customers.playbooks.rules import PlaybookRules
from closedloop_customers.points import api as points_api
from closedloop_customers.points import reactions as points_reactions
from closedloop_customers.points.rules import PointRules
from closedloop_customers.potential import api as potential_api
from closedloop_customers.potential import reactions as potential_reactions
from closedloop_customers.potential.rules import PotentialRules
from closedloop_customers.products import reactions as products_reactions
from closedloop_customers.quality import api as quality_api
from closedloop_customers.quality import figures as quality_figures
from closedloop_customers.quality import reactions as quality_reactions
from closedloop_customers.reminders import api as reminders_api
from closedloop_customers.reminders import reactions as reminders_reactions
from closedloop_customers.reminders.rules import ReminderRules
from closedloop_customers.sheets import SheetRules
from closedloop_customers.suggestions import api as suggestions_api
from closedloop_customers.suggestions import reactions as suggestions_reactions
from closedloop_customers.suggestions.rules import SuggestionRules
from closedloop_customers.territories import api as territories_api
from closedloop_customers.territories import reactions as territories_reactions
from closedloop_customers.territories.rules import TerritoryRules
from closedloop_customers.wake_ups import api as wake_ups_api
from closedloop_customers.wake_ups import reactions as wake_ups_reactions
from closedloop_customers.wake_ups.rules import WakeUpRules

SERVICE = Service(
    name="customers",
    package="closedloop.customers.v1",
    migrations=Path(__file__).parent / "migrations",
    # In this order they hear one event: what one keeps the next may look at.
    slices=(
        Slice("products", reactions=products_reactions.reactions),
        Slice("figures", rules=(CustomerFigureRules,)),
        Slice(
            "accounts",
            rpcs=(accounts_api.rpcs,),
            reactions=accounts_reactions.reactions,
            rules=(AccountRules, BusinessActionRules, CodeRules, FieldRules, MatchingRules, SheetRules),
        ),
        Slice("contacts", rpcs=(contacts_api.rpcs,), reactions=contacts_reactions.reactions, rules=(ContactRules,)),
        Slice(
            "assignment",
            rpcs=(assignment_api.rpcs,),
            reactions=assignment_reactions.reactions,
            rules=(AssignmentRules,),
        ),
        Slice(
            "leads",
            rpcs=(leads_api.rpcs,),
            reactions=leads_reactions.reactions,
            rules=(LeadRules, ResponseRules, CloseReasonRules, WebhookRules),
            figures=lead_figures.FIGURES,
        ),
        Slice(
            "interactions",
            rpcs=(interactions_api.rpcs,),
            reactions=interactions_reactions.reactions,
            rules=(InteractionRules,),
        ),
        Slice("reminders", rpcs=(reminders_api.rpcs,), reactions=reminders_reactions.reactions, rules=(ReminderRules,)),
        Slice("playbooks", rpcs=(playbooks_api.rpcs,), rules=(PlaybookRules,)),
        Slice("wake_ups", rpcs=(wake_ups_api.rpcs,), reactions=wake_ups_reactions.reactions, rules=(WakeUpRules,)),
        Slice(
            "suggestions",
            rpcs=(suggestions_api.rpcs,),
            reactions=suggestions_reactions.reactions,
            rules=(SuggestionRules,),
        ),
        Slice(
            "potential", rpcs=(potential_api.rpcs,), reactions=potential_reactions.reactions, rules=(PotentialRules,)
        ),
        Slice("health", rpcs=(health_api.rpcs,), reactions=health_reactions.reactions, rules=(HealthRules,)),
        Slice(
            "chain",
            rpcs=(chain_api.rpcs, brief_api.rpcs),
            reactions=chain_reactions.reactions,
            rules=(ChainRules, ConcernRules, SolutionRules, BriefRules),
        ),
        Slice("parameters", rpcs=(parameters_api.rpcs,), rules=(ParameterRules,)),
        Slice("points", rpcs=(points_api.rpcs,), reactions=points_reactions.reactions, rules=(PointRules,)),
        Slice(
            "territories",
            rpcs=(territories_api.rpcs,),
            reactions=territories_reactions.reactions,
            rules=(TerritoryRules,),
        ),
        Slice(
            "quality",
            rpcs=(quality_api.rpcs,),
            reactions=quality_reactions.reactions,
            rules=(QualityRules,),
            figures=quality_figures.FIGURES,
        ),
        Slice("grades", rpcs=(grades_api.rpcs,), reactions=grades_reactions.reactions, rules=(GradeRules,)),
        Slice(
            "personal", rpcs=(personal_api.rpcs,), reactions=personal_reactions.reactions, rules=(PersonalDataRules,)
        ),
        Slice("identity", rpcs=(identity_api.rpcs,), reactions=identity_reactions.reactions, rules=(IdentityRules,)),
    ),
)
