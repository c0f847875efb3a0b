"""How an answer is judged.

    core.py         what an exercise is: cases, known mistakes, verdicts
    reading.py      a notebook file: its lecture and its cells
    scopes.py       what a statement binds, changes and reads
    sources.py      from a notebook's cells to the code that one function needs
    running.py      a student's function on the cases: alone, watched, stopped in time
    networks.py     networks for cases, from a specification
    photos.py       a photo of the course and SqueezeNet, as a case
    comparing.py    equal within a tolerance?
    judging.py      from outcomes to a verdict
    explaining.py   words about an answer that ends in an exception
    lines.py        what a function's own lines show of why
    describing.py   true words about a wrong result that is no known mistake
    relating.py     how wrong numbers are related to the right ones
    wording.py      plurals, lists of words, which calls are right
    drawing.py      target, yours and difference as pictures
    history.py      the cells that have run in this kernel
    notebook.py     `check` and `yours_or_ours` as a notebook uses them
    handin.py       `course check` and `course submit`

What is asked, and which mistakes are known, stands in `exercises`: a module a lecture.
"""
