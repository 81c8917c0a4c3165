"""The tasks with what their flags mean, as often as that is asked for."""

from __future__ import annotations

from collections.abc import Mapping

from invoke.collection import Collection
from invoke.parser.context import ParserContext


class Tasks(Collection):
    """Tasks. invoke's own collection tells what flags mean at the first time only: it takes the
    help out of a task when it reads its flags.
    """

    def to_contexts(self, ignore_unknown_help: bool | None = None) -> list[ParserContext]:
        """The flags of each task, with their help."""
        held = [(task, dict(task.help)) for task in self.tasks.values()]
        found: list[ParserContext] = super().to_contexts(ignore_unknown_help)
        for task, meanings in held:
            task.help = meanings
        return found


def by_name(collection: Collection) -> Mapping[str, ParserContext]:
    """The flags of each task by its name."""
    return {context.name or "": context for context in collection.to_contexts()}
