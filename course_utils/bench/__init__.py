"""`course bench`: the helpers beside what one would take instead, timed in one interleaved run.

    rows/        what is compared: a module a lecture, a `Row` a helper
    row.py       what a row is, and when two results agree
    rounds.py    interleaved timing
    memory.py    peak memory, each contender in a process of its own
    machine.py   what it ran on
    page.py      docs/benchmarks.md and the figures beside it, benchmarks.json
    run.py       all of it in order

A row to be added: a `Row` in the module of `rows/` that has the lecture's name; a new module gets
its line in `rows.MODULES`, a new library its line in `peers.txt`.

Other people's libraries are imported where they are called, and only there: they are installed in
`.venv-bench` (see peers.txt), which `course.py` makes.
"""
