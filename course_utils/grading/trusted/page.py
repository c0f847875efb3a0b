"""A page of a report: its frame, its looks in light, dark and on a telephone, its tables.

It needs no script and asks for nothing: a policy in it forbids both.
"""

import html
from collections.abc import Collection, Iterable, Sequence

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1a1a1a; --faint: #555; --line: #d9d9e0;
  --soft: #f4f4f7; --link: #0b57a4; --right: #00734f; --wrong: #b04500; --blank: #0b57a4; }
@media (prefers-color-scheme: dark) { :root { --paper: #16171b; --ink: #e7e7ea; --faint: #b0b0ba;
  --line: #3a3b44; --soft: #212229; --link: #8ec1ff; --right: #5fd0a5; --wrong: #ff9d5c;
  --blank: #8ec1ff; } }
body { font: 16px/1.5 system-ui, "Noto Sans CJK SC", "Microsoft YaHei", sans-serif; margin: 0;
  color: var(--ink); background: var(--paper); overflow-wrap: anywhere; }
main { max-width: 56rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.25rem; margin-top: 2.5rem; }
h3 { font-size: 1rem; margin: .6rem 0; } p { margin: .5rem 0; } a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.wide { overflow-x: auto; margin: 1rem 0; } table { border-collapse: collapse; }
th, td { padding: .3rem 1rem .3rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); overflow-wrap: normal; }
td.n, th.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
section { border-left: 4px solid var(--faint); padding: .1rem 1rem; margin: 1rem 0; }
section.right { border-color: var(--right); } section.right strong { color: var(--right); }
section.wrong { border-color: var(--wrong); } section.wrong strong { color: var(--wrong); }
section.not-attempted { border-color: var(--blank); }
figure { margin: 1rem 0; } figcaption { color: var(--faint); font-size: .9rem; }
img { max-width: 100%; background: #fff; border-radius: .3rem; }
code, pre { font-size: .9em; background: var(--soft); border-radius: .25rem; padding: .05em .25em; }
pre { padding: .5rem; overflow-x: auto; white-space: pre-wrap; }
@media (max-width: 40rem) { th, td { padding-right: .5rem; } section { padding: .1rem .7rem; } }
@media print { :root { --paper: #fff; --ink: #000; } }
"""


def whole(title: str, parts: Iterable[str]) -> str:
    """A page of these parts.

    Args:
        title: text.
        parts: HTML.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body><main>\n"
        + "\n".join(parts)
        + "\n</main></body></html>\n"
    )


def table(
    name: str, head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Collection[int] = ()
) -> str:
    """A table that scrolls by itself where the screen is narrow, also by keys.

    Args:
        name: text, for screen readers.
        head: the columns' names, text.
        rows: their cells, HTML.
        numbers: the columns that are set to the right.
    """
    kinds = [' class="n"' if column in numbers else "" for column in range(len(head))]
    names = zip(kinds, map(html.escape, head), strict=True)
    lines = ["".join(f'<th scope="col"{kind}>{said}</th>' for kind, said in names)]
    for row in rows:
        lines.append("".join(f"<td{k}>{c}</td>" for k, c in zip(kinds, row, strict=True)))
    said = html.escape(name, quote=True)
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{said}">'
        f"<table><tr>{'</tr><tr>'.join(lines)}</tr></table></div>"
    )
