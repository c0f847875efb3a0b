"""Lecture 14: a texture from noise, by sample, depth and statistic, step by step."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor

from course_utils import texture
from course_utils.common.optimise import Result
from course_utils.models import Network
from course_utils.widgets.kit.controls import choice, slider
from course_utils.widgets.kit.explorer import Explorer, explore, remember

STATISTICS = {"Gram matrix": texture.gram, "covariance": texture.covariance}
SIDE, STEPS = 96, 20


def texture_explorer(network: Network, samples: Sequence[str] = ()) -> Explorer:
    """A sample, and what becomes of noise, for a choice of layers and what they compare.

    Args:
        network: one of `texture.LAYERS`.
        samples: names from `texture.SAMPLES`; all of them by default.

    Returns:
        The explorer. The step only redraws; every other control runs 20 steps.

    Raises:
        ValueError: a network without a list of layers.
    """
    if network.name not in texture.LAYERS:
        raise ValueError(f"network: {network.name}; accepted: {', '.join(texture.LAYERS)}")
    names = texture.LAYERS[network.name]
    made = remember(partial(run, network))

    def draw(
        sample: str, deepest: str, compared: str, octaves: int, step: int
    ) -> tuple[dict[str, Tensor], str]:
        result = made(sample, deepest, compared, octaves)
        frame = result.steps.index(min(result.steps, key=lambda s: abs(s - step)))
        shown = {
            "sample": texture.SAMPLES[sample].pixels(SIDE),
            f"step {result.steps[frame]}": result.frames[frame, 0] / 255,
        }
        return shown, describe(result, frame, sample, deepest, compared)

    return explore(
        draw,
        cannot=(
            "Where things stand: the statistics are taken over the whole picture, and that is "
            "intended."
        ),
        sample=choice(list(samples or texture.SAMPLES)),
        deepest=choice(names, names[-1], label="deepest layer"),
        compared=choice(list(STATISTICS)),
        octaves=slider(1, 3, 1, label="sizes compared"),
        step=slider(0, STEPS, STEPS, live=True),
    )


def run(network: Network, sample: str, deepest: str, compared: str, octaves: int) -> Result:
    """Twenty steps from noise with all layers up to the deepest."""
    names = texture.LAYERS[network.name]
    return texture.synthesise(
        network,
        texture.SAMPLES[sample].pixels(SIDE),
        SIDE,
        names[: names.index(deepest) + 1],
        STEPS,
        statistic=STATISTICS[compared],
        octaves=octaves,
        keep=STEPS + 1,
        progress=None,
    )


def describe(result: Result, frame: int, sample: str, deepest: str, compared: str) -> str:
    """The step in words: how far the statistics are from the sample's."""
    loss, first = result.losses[result.steps[frame]], result.losses[0]
    return (
        f"{sample}, layers up to {deepest}, {compared}: after {result.steps[frame]} steps the loss "
        f"is {loss:.3g}, {loss / first:.2%} of that of the noise."
    )
