"""What integrations is made of."""

from __future__ import annotations

from pathlib import Path

from closedloop_chassis.service import Service, Slice
from closedloop_integrations.behaviours import api as behaviours_api
from closedloop_integrations.behaviours import reactions as behaviours
from closedloop_integrations.conversations import api as conversations_api
from closedloop_integrations.conversations import reactions as conversations
from closedloop_integrations.conversations.rules import ConversationRules
from closedloop_integrations.copies import reactions as copies
from closedloop_integrations.deliveries import api as deliveries_api
from closedloop_integrations.deliveries import figures as delivery_figures
from closedloop_integrations.deliveries import reactions as deliveries
from closedloop_integrations.deliveries.rules import DeliveryRules
from closedloop_integrations.deliveries.templates import TemplateRules
from closedloop_integrations.diagnoses import api as diagnoses_api
from closedloop_integrations.diagnoses.rules import DiagnosisRules
from closedloop_integrations.economics import catalogue as economics_catalogue
from closedloop_integrations.economics import people as economics_api
from closedloop_integrations.economics import reactions as economics
from closedloop_integrations.economics.rules import EconomicsRules
from closedloop_integrations.erp import importing as erp_api
from closedloop_integrations.erp import reactions as erp
from closedloop_integrations.erp.rules import ErpRules
from closedloop_integrations.feeds import FeedRules
from closedloop_integrations.figures.rules import IntegrationFigureRules
from closedloop_integrations.mail import api as mail_api
from closedloop_integrations.mail import reactions as mail
from closedloop_integrations.mail.rules import MailRules
from closedloop_integrations.notices import accuracy as notices_api
from closedloop_integrations.notices import figures as notice_figures
from closedloop_integrations.notices import reactions as notices
from closedloop_integrations.notices.rules import ProcurementRules
from closedloop_integrations.sources import api as sources_api
from closedloop_integrations.sources import reactions as sources
from closedloop_integrations.sources.rules import SourceRules
from closedloop_integrations.tickets import api as tickets_api
from closedloop_integrations.tickets import reactions as tickets
from closedloop_integrations.webhooks import api as webhooks_api
from closedloop_integrations.webhooks import reactions as webhooks
from closedloop_integrations.webhooks.rules import WebhookRules

SERVICE = Service(
    name="integrations",
    package="closedloop.integrations.v1",
    slices=(
        # First, so that what others look up is there.
        Slice("copies", reactions=copies.reactions),
        Slice("figures", rules=(IntegrationFigureRules,)),
        Slice("sources", (sources_api.rpcs,), sources.reactions, (SourceRules,)),
        Slice("notices", (notices_api.rpcs,), notices.reactions, (ProcurementRules,), notice_figures.FIGURES),
        Slice(
            "deliveries",
            (deliveries_api.rpcs,),
            deliveries.reactions,
            (DeliveryRules, TemplateRules),
            delivery_figures.FIGURES,
        ),
        Slice("mail", (mail_api.rpcs,), mail.reactions, (MailRules,)),
        Slice("erp", (erp_api.rpcs,), erp.reactions, (ErpRules,)),
        Slice(
            "economics",
            (economics_api.rpcs,),
            economics.reactions,
            (EconomicsRules,),
            economics_catalogue.FIGURES,
        ),
        Slice("tickets", (tickets_api.rpcs,), tickets.reactions, (FeedRules,)),
        Slice("behaviours", (behaviours_api.rpcs,), behaviours.reactions),
        Slice("conversations", (conversations_api.rpcs,), conversations.reactions, (ConversationRules,)),
        Slice("diagnoses", (diagnoses_api.rpcs,), rules=(DiagnosisRules,)),
        # Last: what happened is owed to subscribers when everything else has heard of it.
        Slice("webhooks", (webhooks_api.rpcs,), webhooks.reactions, (WebhookRules,)),
    ),
    migrations=Path(__file__).parent / "migrations",
)
