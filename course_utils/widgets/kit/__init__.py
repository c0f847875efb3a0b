"""What explorers are made of.

explorer.py   a function, its controls, its picture, its words
newest.py     of changes that waited for a slow drawing only the newest is drawn
controls.py   sliders, choices, switches
choosers.py   a photo or a class, also one's own
pictures.py   from numbers to a picture, quickly
frames.py     the frames of a run under a slider
positions.py  what is to be seen at other positions of the controls, for pages without a kernel
"""
