"""How alike the answers of two students are: fingerprints of their code, compared pair by pair.

Alike is not copied. What comes out of this is something to look at.

Reference: Schleimer, Wilkerson & Aiken, "Winnowing: Local Algorithms for Document Fingerprinting",
2003.
"""

import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

GRAM, WINDOW = 7, 2
"""Parts of an outline that make a fingerprint; fingerprints of which the smallest is kept. Whatever
two answers share that is `GRAM + WINDOW - 1` parts long is found."""
MOST = 300
"""Fingerprints of one answer that are kept."""
SHARE, FEWEST = 0.5, 8
"""A pair is worth a look from this share of the shorter answer, and so many fingerprints, on."""
_COMMON = 0.1  # of the class, or four: what more have in common says nothing


@dataclass(frozen=True)
class Pair:
    """Two answers to one exercise that are worth a look.

    Attributes:
        exercise: its name.
        one, other: the students.
        share: of the fingerprints of the one with fewer, how many the other has too, 0 to 1.
    """

    exercise: str
    one: str
    other: str
    share: float


def fingerprints(outlines: Iterable[list[str]]) -> list[int]:
    """The fingerprints of some code, from its outlines (`outline.outlines`); at most `MOST`."""
    found: set[int] = set()
    for parts in outlines:
        plain = [
            re.sub(r"^v\d+$", "v", part) for part in parts
        ]  # one more variable shifts them all
        grams = [" ".join(plain[i : i + GRAM]) for i in range(len(plain) - GRAM + 1)]
        marks = [zlib.crc32(gram.encode("utf-8", "replace")) for gram in grams]
        windows = range(max(1, len(marks) - WINDOW + 1)) if marks else ()
        found.update(min(marks[i : i + WINDOW]) for i in windows)
    return sorted(found)[:MOST]


def pairs(
    exercise: str, answers: Mapping[str, Iterable[int]], known: Iterable[int] = ()
) -> list[Pair]:
    """The pairs of students whose answers to an exercise are worth a look, the most alike first.

    What the course's own code has too, and what many have, does not count.

    Args:
        exercise: its name.
        answers: student -> fingerprints.
        known: fingerprints of the course's own code.
    """
    known, holders = set(known), defaultdict(set)
    for student, marks in answers.items():
        for mark in set(marks) - known:
            holders[mark].add(student)
    most = max(4, _COMMON * len(answers))
    rare = {mark: who for mark, who in holders.items() if len(who) <= most}
    sizes = Counter(student for who in rare.values() for student in who)
    shared = Counter(pair for who in rare.values() for pair in combinations(sorted(who), 2))
    found = [
        Pair(exercise, one, other, round(number / min(sizes[one], sizes[other]), 2))
        for (one, other), number in shared.items()
        if number >= FEWEST
    ]
    return sorted((p for p in found if p.share >= SHARE), key=lambda p: (-p.share, p.one, p.other))
