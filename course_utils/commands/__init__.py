"""The command `course`, and what its verbs need.

cli.py        the verbs
lab.py        JupyterLab on the student's notebooks
advice.py     which cell makes a name that is missing
slides.py     a lecture as a talk
deck.py       its slides: rules that cut a notebook for speaking
ready.py      what a deck opens with
report.py     how its slides look, measured in a browser
runs.py       a notebook is run once and kept until it changes
student.py    copies in work/ that are never overwritten
build.py      from one source to two notebooks
suite.py      the steps of `course test`
offline.py    a command with the network cut off
pins.py       constraints.txt
jupyter/      Jupyter's settings and extensions
"""

import sys

# jsonschema, which Jupyter imports, would compile a grammar of international addresses: as long as
# all the rest of a start. Without the package it leaves those addresses unchecked; nothing has any.
sys.modules.setdefault("rfc3987_syntax", None)
