"""The tables of the history.

Most nights a kernel answers exactly what it answered the night before, so a run only points at
sheets, and sheets at outcomes, each stored once. A night of 4,000 cells on 100 kernels without a
change is then 101 new rows, and a question about a fact reads the few different sheets instead of a
million cells.

The key of a sheet and of an outcome is the digest of its content: every machine writes the same
row, so recording never has to ask the database for a number.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA = 2
"""Version of these tables; a database of another version is re-created from the run directories."""

Digest = String(32)


class Base(DeclarativeBase):
    """The tables' common registry."""


class About(Base):
    """One row: which version of the tables this database holds."""

    __tablename__ = "about"

    schema: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class Run(Base):
    """One run of one machine. `number` orders the runs of a machine; `started` is UTC without a
    zone, because SQLite keeps none.
    """

    __tablename__ = "run"
    __table_args__ = (UniqueConstraint("machine", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    machine: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    number: Mapped[int] = mapped_column(BigInteger)
    started: Mapped[datetime]
    cells: Mapped[int]


class Kernel(Base):
    """One build. Its `id` holds a digest of files of the user's; `name` is its name in its first
    run.
    """

    __tablename__ = "kernel"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    series: Mapped[str] = mapped_column(Text)
    release: Mapped[str] = mapped_column(Text)
    flavour: Mapped[str] = mapped_column(Text)
    version: Mapped[str] = mapped_column(Text)


class Sheet(Base):
    """Everything that one kernel answered in a run; runs with the same answers share it."""

    __tablename__ = "sheet"

    digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    kernel: Mapped[str] = mapped_column(ForeignKey(Kernel.id))


class RunSheet(Base):
    """Which sheets a run consists of."""

    __tablename__ = "run_sheet"
    __table_args__ = (Index("run_sheet_by_sheet", "sheet", "run"),)

    run: Mapped[int] = mapped_column(ForeignKey(Run.id, ondelete="CASCADE"), primary_key=True)
    sheet: Mapped[str] = mapped_column(ForeignKey(Sheet.digest), primary_key=True)


class Outcome(Base):
    """How a cell of an experiment ended.

    `reason` is kept except for `error`, where it is about the tool and differs each time.
    """

    __tablename__ = "outcome"
    __table_args__ = (Index("outcome_by_experiment", "experiment"),)

    digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    experiment: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)


class Entry(Base):
    """One line of a sheet: the outcome of one variant.

    `variant` reads `frontend=legacy,scope=user`.
    """

    __tablename__ = "entry"
    __table_args__ = (Index("entry_by_outcome", "outcome"),)

    sheet: Mapped[str] = mapped_column(ForeignKey(Sheet.digest, ondelete="CASCADE"), primary_key=True)
    experiment: Mapped[str] = mapped_column(Text, primary_key=True)
    variant: Mapped[str] = mapped_column(Text, primary_key=True)
    outcome: Mapped[str] = mapped_column(ForeignKey(Outcome.digest))


class Fact(Base):
    """One fact of an outcome; `value` is JSON."""

    __tablename__ = "fact"
    __table_args__ = (Index("fact_by_name", "name"),)

    outcome: Mapped[str] = mapped_column(ForeignKey(Outcome.digest, ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[str] = mapped_column(Text)
