"""Helpers of the course on seeing what convolutional networks see.

One module, or one folder, per lecture holds the technique taught there, under the lecture's own
name. `models`, `images` and `layers` lie below all of them, `show` above.

    common/      what several lectures share
    exercises/   what is asked, and which mistakes are known: a module a lecture
    checking/    how an answer is judged
    widgets/     the explorers: a module a lecture
    grading/     submitted notebooks, graded in a sandbox
    bench/       the helpers beside what one would take instead
    commands/    the command `course`
"""
