"""Sliders, choices and switches that run a network only when they are let go of."""

from collections.abc import Mapping, Sequence

import ipywidgets

WIDTH = "21rem"
_LABEL = {"description_width": "7rem"}


def slider(
    low: float,
    high: float,
    value: float | None = None,
    step: float | None = None,
    live: bool = False,
    label: str = "",
) -> ipywidgets.Widget:
    """A slider; of whole numbers if all its numbers are.

    Args:
        low, high: its ends.
        value: where it starts; `low` by default.
        step: 1 for whole numbers, a hundredth of the range for others.
        live: redraw while it is dragged. Only for controls that need no pass of a network.
        label: its name on the screen; the argument's name by default.

    Raises:
        ValueError: `value` outside `low` to `high`, or ends the wrong way round.
    """
    value = low if value is None else value
    if not low <= value <= high or low == high:
        raise ValueError(f"low={low}, value={value}, high={high}; accepted: low <= value <= high")
    given = [n for n in (low, high, value, step) if n is not None]
    whole = all(isinstance(n, int) for n in given)
    kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
    return kind(
        value=value,
        min=low,
        max=high,
        step=step or (1 if whole else (high - low) / 100),
        continuous_update=live,
        description=label,
        style=_LABEL,
        layout=ipywidgets.Layout(width=WIDTH),
    )


def stops(
    options: Sequence[float], value: object = None, live: bool = False, label: str = ""
) -> ipywidgets.SelectionSlider:
    """A slider over a few numbers.

    Args:
        options: where it can stand, from left to right.
        value: where it starts; the first by default.
        live: redraw while it is dragged. Only where a redrawing is quick.
        label: its name on the screen; the argument's name by default.
    """
    return ipywidgets.SelectionSlider(
        options=[(f"{option:g}", option) for option in options],
        value=options[0] if value is None else value,
        continuous_update=live,
        description=label,
        style=_LABEL,
        layout=ipywidgets.Layout(width=WIDTH),
    )


def choice(
    options: Sequence | Mapping[str, object], value: object = None, label: str = ""
) -> ipywidgets.Dropdown:
    """A list to choose from.

    Args:
        options: the values, or name -> value.
        value: the one it starts with; the first by default.
        label: its name on the screen; the argument's name by default.
    """
    pairs = list(options.items()) if isinstance(options, Mapping) else list(options)
    made = ipywidgets.Dropdown(
        options=pairs, description=label, style=_LABEL, layout=ipywidgets.Layout(width=WIDTH)
    )
    if value is not None:
        made.value = value
    return made


def switch(value: bool = False, label: str = "") -> ipywidgets.Checkbox:
    """Something that is on or off."""
    return ipywidgets.Checkbox(
        value=value, description=label, indent=False, layout=ipywidgets.Layout(width=WIDTH)
    )


def control(name: str, given: object) -> ipywidgets.Widget:
    """A control from what stands for it in `explore`, named after its argument.

    Args:
        name: the argument's name.
        given: a control; (low, high) or (low, high, value) of a slider; a list or a dictionary of
            choices; True or False.

    Raises:
        TypeError: anything else.
    """
    made = _made(given)
    if made is None:
        raise TypeError(
            f"{name}: got {type(given).__name__}; accepted: a control (slider, choice, switch), "
            "(low, high, value), a list or dictionary of choices, True or False"
        )
    if not getattr(made, "description", "-"):
        made.description = name.replace("_", " ")
    return made


def _made(given: object) -> ipywidgets.Widget | None:
    if isinstance(given, ipywidgets.Widget):
        return given if given.has_trait("value") else None
    if isinstance(given, bool):
        return switch(given)
    if isinstance(given, tuple) and len(given) in (2, 3, 4):
        return slider(*given)
    return choice(given) if isinstance(given, list | Mapping) else None
