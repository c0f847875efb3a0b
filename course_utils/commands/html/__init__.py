"""The course as static pages, which need neither a server nor a network.

executing.py   the students' notebooks, run, with the pictures that each cell read
pictures.py    the pictures of outputs as files, with the credits that belong beside them
pages.py       a notebook as a page, or as a deck
site.py        all pages, the index, the glossary, what the search looks through
template/      what the pages are made of: HTML, CSS, a little JavaScript
"""
