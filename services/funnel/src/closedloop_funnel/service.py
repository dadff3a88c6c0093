"""The funnel service: its slices, put together."""

from __future__ import annotations

from pathlib import Path

from closedloop_chassis.service import Service, Slice
from closedloop_funnel.abilities import api as abilities
from closedloop_funnel.abilities.rules import AbilityRules
from closedloop_funnel.actions import api as actions
from closedloop_funnel.actions.rules import UnitRules
from closedloop_funnel.activities import amending, days, listing
from closedloop_funnel.activities import api as activities
from closedloop_funnel.activities import importing as activity_imports
from closedloop_funnel.activities.rules import ActivityRules, VisitRules
from closedloop_funnel.advice import api as advice
from closedloop_funnel.advice import making as advice_making
from closedloop_funnel.advice.rules import AdviceRules
from closedloop_funnel.attachments import api as attachments
from closedloop_funnel.attachments.rules import AttachmentRules
from closedloop_funnel.boards import api as boards
from closedloop_funnel.boards import figures as board_figures
from closedloop_funnel.boards.rules import BoardRules
from closedloop_funnel.breakers import api as breakers
from closedloop_funnel.breakers import reactions as breaker_reactions
from closedloop_funnel.breakers.rules import BreakerRules
from closedloop_funnel.certifications import api as certifications
from closedloop_funnel.certifications.rules import CertificationRules
from closedloop_funnel.clearance import reactions as clearance
from closedloop_funnel.contracts import api as contracts
from closedloop_funnel.contracts import transferring as contract_transfers
from closedloop_funnel.contracts.rules import ContractRules
from closedloop_funnel.copies import reactions as copies
from closedloop_funnel.custom_fields.rules import FunnelFieldRules
from closedloop_funnel.diagnosis import api as diagnosis
from closedloop_funnel.diagnosis import reactions as diagnosis_reactions
from closedloop_funnel.diagnosis.rules import DiagnosisRules
from closedloop_funnel.drills import api as drills
from closedloop_funnel.drills.rules import DrillRules
from closedloop_funnel.effects import api as effects
from closedloop_funnel.effects import reactions as effect_reactions
from closedloop_funnel.effects.rules import EffectRules
from closedloop_funnel.experiments import api as experiments
from closedloop_funnel.experiments import reactions as experiment_reactions
from closedloop_funnel.experiments.rules import ExperimentRules
from closedloop_funnel.figures.rules import FunnelFigureRules
from closedloop_funnel.knowledge import api as knowledge
from closedloop_funnel.knowledge import importing as knowledge_imports
from closedloop_funnel.knowledge.rules import KnowledgeRules
from closedloop_funnel.lessons import api as lessons
from closedloop_funnel.lessons import offering as lesson_offers
from closedloop_funnel.lessons.rules import LessonRules
from closedloop_funnel.management import api as management
from closedloop_funnel.management import reactions as management_reactions
from closedloop_funnel.management.rules import ManagementRules
from closedloop_funnel.measures.rules import MeasureRules
from closedloop_funnel.mentoring import api as mentoring
from closedloop_funnel.mentoring.rules import MentoringRules
from closedloop_funnel.newcomers import api as newcomers
from closedloop_funnel.newcomers import reactions as newcomer_reactions
from closedloop_funnel.newcomers.rules import NewcomerRules
from closedloop_funnel.opportunities import api as opportunities
from closedloop_funnel.opportunities import importing, overrides, steps, transferring
from closedloop_funnel.opportunities import reactions as opportunity_reactions
from closedloop_funnel.opportunities.rules import OpportunityRules
from closedloop_funnel.performance import api as performance
from closedloop_funnel.performance import figures as performance_figures
from closedloop_funnel.performance import reactions as performance_reactions
from closedloop_funnel.performance import win_rates
from closedloop_funnel.performance.rules import PerformanceRules
from closedloop_funnel.personal import reactions as personal
from closedloop_funnel.personal.rules import FunnelPersonalRules
from closedloop_funnel.pilots import api as pilots
from closedloop_funnel.pilots import reactions as pilot_reactions
from closedloop_funnel.pilots.rules import PilotRules
from closedloop_funnel.pipelines import api as pipelines
from closedloop_funnel.pipelines.rules import PipelineRules
from closedloop_funnel.points import api as points
from closedloop_funnel.points import reactions as point_reactions
from closedloop_funnel.points.rules import PointsRules
from closedloop_funnel.practices import adoption as practice_adoption
from closedloop_funnel.practices import api as practices
from closedloop_funnel.practices import mining as practice_mining
from closedloop_funnel.practices.rules import PracticeRules
from closedloop_funnel.proposals import api as proposals
from closedloop_funnel.quotes import api as quotes
from closedloop_funnel.quotes import reactions as quote_reactions
from closedloop_funnel.quotes.rules import QuoteRules
from closedloop_funnel.reviews import api as reviews
from closedloop_funnel.reviews import reactions as review_reactions
from closedloop_funnel.reviews.rules import ReviewRules
from closedloop_funnel.revisits import api as revisits
from closedloop_funnel.revisits.rules import RevisitRules
from closedloop_funnel.snapshots import api as snapshots
from closedloop_funnel.snapshots import reactions as snapshot_reactions
from closedloop_funnel.snapshots.rules import SnapshotRules
from closedloop_funnel.surveys import api as surveys
from closedloop_funnel.surveys import reactions as survey_reactions
from closedloop_funnel.surveys.rules import SurveyRules
from closedloop_funnel.talk import api as talk
from closedloop_funnel.talk import reactions as talk_reactions
from closedloop_funnel.talk.rules import TalkRules
from closedloop_funnel.trainings import api as trainings
from closedloop_funnel.trainings import effect as training_effects
from closedloop_funnel.trainings.rules import TrainingRules
from closedloop_funnel.truth import api as truth
from closedloop_funnel.truth import reactions as truth_reactions
from closedloop_funnel.truth.rules import TruthRules
from closedloop_funnel.warnings import api as warnings
from closedloop_funnel.warnings import reactions as warning_reactions
from closedloop_funnel.warnings.rules import WarningRules
from closedloop_funnel.watch import api as watch
from closedloop_funnel.watch import reactions as watch_reactions
from closedloop_funnel.watch.rules import WatchRules

SERVICE = Service(
    name="funnel",
    package="closedloop.funnel.v1",
    slices=(
        Slice("copies", reactions=copies.reactions),
        Slice("figures", rules=(FunnelFigureRules,)),
        Slice("personal", reactions=personal.reactions, rules=(FunnelPersonalRules,)),
        Slice("custom_fields", rules=(FunnelFieldRules,)),
        Slice("pipelines", rpcs=(pipelines.rpcs,), rules=(PipelineRules,)),
        Slice("attachments", rpcs=(attachments.rpcs,), rules=(AttachmentRules,)),
        Slice("actions", rpcs=(actions.rpcs,), rules=(UnitRules,)),
        Slice(
            "opportunities",
            rpcs=(opportunities.rpcs, steps.rpcs, overrides.rpcs, importing.rpcs, transferring.rpcs),
            reactions=opportunity_reactions.reactions,
            rules=(OpportunityRules,),
        ),
        Slice(
            "activities",
            rpcs=(activities.rpcs, amending.rpcs, days.rpcs, listing.rpcs, activity_imports.rpcs),
            rules=(ActivityRules, VisitRules),
        ),
        Slice("truth", rpcs=(truth.rpcs,), reactions=truth_reactions.reactions, rules=(TruthRules,)),
        Slice("talk", rpcs=(talk.rpcs,), reactions=talk_reactions.reactions, rules=(TalkRules,)),
        Slice("proposals", rpcs=(proposals.rpcs,)),
        Slice(
            "performance",
            rpcs=(performance.rpcs, win_rates.rpcs),
            reactions=performance_reactions.reactions,
            rules=(PerformanceRules,),
            figures=performance_figures.FIGURES,
        ),
        Slice("points", rpcs=(points.rpcs,), reactions=point_reactions.reactions, rules=(PointsRules,)),
        Slice("breakers", rpcs=(breakers.rpcs,), reactions=breaker_reactions.reactions, rules=(BreakerRules,)),
        Slice("reviews", rpcs=(reviews.rpcs,), reactions=review_reactions.reactions, rules=(ReviewRules,)),
        Slice("surveys", rpcs=(surveys.rpcs,), reactions=survey_reactions.reactions, rules=(SurveyRules,)),
        Slice("effects", rpcs=(effects.rpcs,), reactions=effect_reactions.reactions, rules=(EffectRules,)),
        Slice("newcomers", rpcs=(newcomers.rpcs,), reactions=newcomer_reactions.reactions, rules=(NewcomerRules,)),
        Slice("revisits", rpcs=(revisits.rpcs,), rules=(RevisitRules,)),
        # Before the quotes: a version is decided first, then earlier ones go out of use.
        Slice("clearance", reactions=clearance.reactions),
        Slice("quotes", rpcs=(quotes.rpcs,), reactions=quote_reactions.reactions, rules=(QuoteRules,)),
        Slice("contracts", rpcs=(contracts.rpcs, contract_transfers.rpcs), rules=(ContractRules,)),
        Slice("boards", rpcs=(boards.rpcs,), rules=(BoardRules,), figures=board_figures.FIGURES),
        Slice("diagnosis", rpcs=(diagnosis.rpcs,), reactions=diagnosis_reactions.reactions, rules=(DiagnosisRules,)),
        Slice("knowledge", rpcs=(knowledge.rpcs, knowledge_imports.rpcs), rules=(KnowledgeRules,)),
        Slice("lessons", rpcs=(lessons.rpcs,), reactions=lesson_offers.reactions, rules=(LessonRules,)),
        Slice("advice", rpcs=(advice.rpcs,), reactions=advice_making.reactions, rules=(AdviceRules,)),
        Slice("mentoring", rpcs=(mentoring.rpcs,), rules=(MentoringRules,)),
        Slice("drills", rpcs=(drills.rpcs,), rules=(DrillRules,)),
        Slice("trainings", rpcs=(trainings.rpcs, training_effects.rpcs), rules=(TrainingRules,)),
        Slice("practices", rpcs=(practices.rpcs, practice_mining.rpcs, practice_adoption.rpcs), rules=(PracticeRules,)),
        Slice("certifications", rpcs=(certifications.rpcs,), rules=(CertificationRules,)),
        Slice("measures", rules=(MeasureRules,)),
        Slice(
            "management", rpcs=(management.rpcs,), reactions=management_reactions.reactions, rules=(ManagementRules,)
        ),
        Slice(
            "experiments",
            rpcs=(experiments.rpcs,),
            reactions=experiment_reactions.reactions,
            rules=(ExperimentRules,),
        ),
        Slice("pilots", rpcs=(pilots.rpcs,), reactions=pilot_reactions.reactions, rules=(PilotRules,)),
        Slice("abilities", rpcs=(abilities.rpcs,), rules=(AbilityRules,)),
        Slice("warnings", rpcs=(warnings.rpcs,), reactions=warning_reactions.reactions, rules=(WarningRules,)),
        Slice("watch", rpcs=(watch.rpcs,), reactions=watch_reactions.reactions, rules=(WatchRules,)),
        Slice("snapshots", rpcs=(snapshots.rpcs,), reactions=snapshot_reactions.reactions, rules=(SnapshotRules,)),
    ),
    migrations=Path(__file__).parent / "migrations",
)
