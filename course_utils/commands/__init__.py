"""The command `course`, and what its verbs need.

cli.py        the verbs
lab.py        JupyterLab on the student's notebooks
advice.py     which cell makes a name that is missing
slides.py     a lecture as a talk
student.py    copies in work/ that are never overwritten
build.py      from one source to two notebooks
suite.py      the steps of `course test`
offline.py    a command with the network cut off
pins.py       constraints.txt
jupyter/      Jupyter's settings and extensions
"""
