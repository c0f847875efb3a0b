"""What several lectures and rooms share.

batches.py      large batches in chunks that fit
composites.py   cut-out objects on photos, with their masks
decoding.py     a file as a picture, or what it is instead
errors.py       messages that suggest near spellings
gate.py         what a network, images and outputs must be like
lectures.py     the lectures by name
optimise.py     one loop for everything that descends or climbs, and its rules
paths.py        where the course's files are
scores.py       the scores of chosen classes
stopping.py     a stop keeps what was found, and ends the cell
timing.py       how long a call takes
writing.py      files written whole or not at all
"""
