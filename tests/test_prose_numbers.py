"""Numbers in a lecture's text: which are claims, and which are backed by an output."""

import prose_numbers
import pytest


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("rises from .42 to 0.76, by 38 %, to −1.38", [".42", "0.76", "38 %", "−1.38"]),
        ("10% of 1,234.5 and 225 photos in 2016", ["10%", "1,234.5"]),
        ("`0.5`, $x = 0.3$, $$\\n0.2\\n$$ and <code>0.1</code>", []),
        ("arXiv:1602.07360 and version 1.2.3, [a](b/0.5)", []),
        ("## Papers\\n- 0.5 MB", []),
    ],
)
def test_claims_are_decimals_and_percentages_of_the_prose(markdown, expected):
    assert prose_numbers.claims(markdown.replace("\\n", "\n")) == expected


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("queries: [2, 5, 94]", ["[2, 5, 94]"]),
        ("reached: ['a', 'b'] {'c': 1}", ["['a', 'b']", "{'c': 1}"]),
        ("difference 3.814697265625e-06", ["3.814697265625"]),
        ("(4, 3, 224, 224) -> tokens, [CLS] and 0.1 to 3.8e-06; [1]", []),
    ],
)
def test_what_python_writes_is_told_from_what_is_said(output, expected):
    assert prose_numbers.raw(output) == expected


@pytest.mark.parametrize(
    ("claim", "output", "backed"),
    [
        (".41", "0.408", True),
        (".41", "0.42", False),
        ("38 %", "0.375 of 1", True),
        ("38 %", "0.394", False),
        ("−1.38", "-1.382", True),
        ("0.35", "35%", True),
        ("1,234.5", "1234.47", True),
        (".5", "1e-7", False),
    ],
)
def test_a_claim_is_a_number_rounded(claim, output, backed):
    assert prose_numbers.is_backed(claim, prose_numbers.values(output)) == backed


def test_a_claim_is_backed_by_its_own_section_and_the_summary_by_all():
    cells = [
        ("markdown", "## One", ""),
        ("code", "f(0.05)", "0.408"),
        ("markdown", "It is .41, at 5 %.", ""),
        ("markdown", "## Two", ""),
        ("markdown", "Again .41, and .77 elsewhere.", ""),
        ("markdown", "## What we saw\n\n.41 and .99", ""),
    ]
    assert prose_numbers.unbacked(cells, ()) == ["cell 4: .41", "cell 4: .77", "cell 5: .99"]
    assert prose_numbers.unbacked(cells, (".77", ".99")) == ["cell 4: .41"]
