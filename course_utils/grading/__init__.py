"""Grading submitted notebooks: the student's code in a sandbox, the judgement outside of it.

`submission` reads a notebook, `sandbox` starts a `worker` that alone runs its code, `wire` carries
arrays between the two, and `judge` draws the inputs, compares the answers and writes the result.
`docs/grading.md` describes the interfaces.
"""
