"""Helpers of the course on seeing what convolutional networks see.

One module per lecture holds the technique taught there; `models`, `images` and `layers` lie below
all of them, `show`, `widgets`, `exercises` and `grading` above.
"""
