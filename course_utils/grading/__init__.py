"""Grading submitted notebooks: the student's code in a sandbox, the judgement outside of it.

    trusted/      the judge's side: `submission` reads a notebook, `sandbox` starts a worker,
                  `judge` draws the inputs, compares the answers and writes the result
    sandboxed/    the worker's side: `worker` runs a student's code, `wire` carries arrays

`docs/grading.md` describes the interfaces.
"""
