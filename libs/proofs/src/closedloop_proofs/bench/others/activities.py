"""What most Python teams would write instead: LogActivity as a FastAPI endpoint with SQLAlchemy 2's async ORM.

Runs in .venv-bench under uvicorn (uvloop, httptools, one worker on the server's core). No token, no audit entry, no event,
no idempotency, no metrics, no trace: it checks the body, looks the deal up, writes the activity and notes the contact.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ForeignKey
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# As many connections as a service of ours has.
engine = create_async_engine(os.environ["DATABASE_URL"], pool_size=16, max_overflow=0)
sessions = async_sessionmaker(engine, expire_on_commit=False)
Moment = TIMESTAMP(timezone=True)


class Base(DeclarativeBase):
    pass


class Opportunity(Base):
    __tablename__ = "opportunity"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    account_id: Mapped[uuid.UUID]
    owner_id: Mapped[str]
    last_activity_at: Mapped[datetime | None] = mapped_column(Moment)


class Activity(Base):
    __tablename__ = "activity"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    kind: Mapped[str]
    opportunity_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("opportunity.id"), index=True)
    account_id: Mapped[uuid.UUID] = mapped_column(index=True)
    owner_id: Mapped[str] = mapped_column(index=True)
    subject: Mapped[str]
    start_time: Mapped[datetime] = mapped_column(Moment)
    content: Mapped[str]
    attitude_before: Mapped[str]
    attitude_after: Mapped[str]
    next_step: Mapped[str]


class ActivityIn(BaseModel):
    kind: str = Field(max_length=40)
    opportunity_id: uuid.UUID
    subject: str = Field(max_length=200)
    start_time: datetime
    content: str = Field(max_length=20000)
    attitude_before: str = Field(max_length=40)
    attitude_after: str = Field(max_length=40)
    next_step: str = Field(max_length=1000)


class ActivityOut(ActivityIn):
    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    account_id: uuid.UUID
    owner_id: str


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield


app = FastAPI(lifespan=lifespan)


@app.post("/activities")
async def log_activity(told: ActivityIn) -> ActivityOut:
    async with sessions() as session:
        deal = await session.get(Opportunity, told.opportunity_id)
        if deal is None:
            raise HTTPException(404, "no such opportunity")
        activity = Activity(**told.model_dump(), account_id=deal.account_id, owner_id=deal.owner_id)
        session.add(activity)
        if deal.last_activity_at is None or deal.last_activity_at < told.start_time:
            deal.last_activity_at = told.start_time
        await session.commit()
        return ActivityOut.model_validate(activity)
