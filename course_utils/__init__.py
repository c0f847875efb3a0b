"""Helpers of the course on seeing what convolutional networks see.

One module, or one folder, per lecture holds the technique taught there, under the lecture's own
name. What else there is:

    images.py    photos, paintings and cut-outs as tensors
    models.py    the zoo: networks, preprocessing, labels
    layers.py    layers by name, and what their units see
    show.py      figures in one style
    common/      what several lectures share
    exercises/   what is asked, and which mistakes are known: a module a lecture
    checking/    how an answer is judged
    widgets/     the explorers: a module a lecture
    grading/     submitted notebooks, graded in a sandbox
    bench/       the helpers beside what one would take instead
    commands/    the command `course`

`docs/architecture.md` draws what imports what.
"""
