"""What every kernel answered in every run: a database made from run directories, and questions to
it.

Stored (`models`): a run of one machine consists of sheets, one per kernel. A sheet is everything
that the kernel answered in that run: a list of entries, one per experiment and variant, each with
its outcome, which is a status, a reason and facts. Equal sheets are stored once, and so are equal
outcomes.

Asked (`query`): a line is one fact of one cell through time. Consecutive runs of a kernel with the
same sheet are a stretch; consecutive stretches with the same answer to this question are a span of
the line. `fold` puts lines of variants that have the same spans on every kernel into one group.
"""
