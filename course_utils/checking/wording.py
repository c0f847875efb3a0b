"""Small words: plurals, lists, which calls are right, and sentences without their marks."""

import re
from collections.abc import Sequence

_COUNT = r"an?|the|single|one|two|three|four|five|\d+|batch|of|images?|photos?|maps?|and"
_ONLY_A_COUNT = re.compile(rf"(({_COUNT})\b[ ,]*)+")
_BEGINNINGS = {
    *("Your", "Every", "Each", "In", "Of", "The", "It", "Less", "All", "Only", "For", "You"),
    *("Inside", "On", "Right", "Do", "Where", "There", "Wrong", "Two", "A", "One", "That"),
}


def plural(word: str) -> str:
    """Of an English noun: rows, classes."""
    return word + ("es" if word.endswith(("s", "x", "ch")) else "s")


def counted(number: int, word: str) -> str:
    """So many of something: 1 row, 3 rows."""
    return f"{number} {word if number == 1 else plural(word)}"


def many(noun: str) -> bool:
    """Whether a noun is a plural already: "weights", but not "loss" or "number of steps"."""
    first = noun.split()[0]
    return first.endswith("s") and not first.endswith("ss")


def is_(noun: str) -> str:
    """The verb that goes with it."""
    return "are" if many(noun) else "is"


def has(noun: str) -> str:
    """The verb that goes with it."""
    return "have" if many(noun) else "has"


def listed(words: Sequence[str]) -> str:
    """One, two and three."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def lower(sentence: str) -> str:
    """A sentence that goes on after a colon or a comma."""
    first = re.match(r"\w*", sentence)[0]
    return sentence[:1].lower() + sentence[1:] if first in _BEGINNINGS else sentence


def only_a_count(note: str) -> bool:
    """Whether the note of a case says no more than how many images there are."""
    return _ONLY_A_COUNT.fullmatch(note.strip()) is not None


def calls(notes: Sequence[str], right: Sequence[int], these: Sequence[int]) -> str:
    """On which calls it is right and on which what follows is true; empty where on all.

    Args:
        notes: of all cases.
        right: the numbers of the cases that are right.
        these: the numbers of those of which something is going to be said.
    """
    if not right and len(these) in (0, len(notes)):
        return ""
    fine, wrong = (list(dict.fromkeys(notes[i] for i in some)) for some in (right, these))
    if not all(fine) or not all(wrong) or set(fine) & set(wrong):
        return f"Right in {len(right)} of {len(notes)} calls; in the others: " if right else ""
    place = "on " + listed([f"on {note}" for note in wrong]).removeprefix("on ")
    if not right:
        return place[:1].upper() + place[1:] + ": "
    return f"Right {listed([f'on {note}' for note in fine])}; {place}: "


def unmarked(sentence: str) -> str:
    """A sentence without the stars of its *emphasis*; those in `code` stay."""
    parts = re.split(r"(`[^`]*`)", sentence)
    return "".join(
        p if p[:1] == "`" else re.sub(r"(?<!\w)\*(\w[^*]*)\*(?!\w)", r"\1", p) for p in parts
    )
