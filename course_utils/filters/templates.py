"""A filter as a template that is laid over a picture."""

from torch import Tensor
from torch.nn import functional as F


def response_map(image: Tensor, template: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    """How well a template fits everywhere: R_ij = sum_cuv w_cuv x_c,(i s + u - p),(j s + v - p).

    A cross-correlation, as a convolution layer computes it before its bias; x is 0 outside the
    image.

    Args:
        image: x, (C,H,W).
        template: w, (C,k,l).
        stride: s, pixels from one place to the next.
        padding: p, rows and columns of zeros around the image.

    Returns:
        (h,w), h = floor((H + 2p - k) / s) + 1, positive where the image looks like the template and
        negative where it looks like its negative.

    Raises:
        ValueError: channels that differ, a template larger than the padded image, a stride under 1,
            or a negative padding.
    """
    if image.ndim != 3 or template.ndim != 3 or len(image) != len(template):
        shapes = f"{tuple(image.shape)} and {tuple(template.shape)}"
        raise ValueError(f"image, template: shapes {shapes}; accepted: (C,H,W) and (C,k,l), same C")
    if stride < 1 or padding < 0:
        raise ValueError(f"stride={stride}, padding={padding}; accepted: 1 or more, 0 or more")
    room = [n + 2 * padding - k for n, k in zip(image.shape[1:], template.shape[1:], strict=True)]
    if min(room) < 0:
        size, shape = tuple(template.shape[1:]), tuple(image.shape[1:])
        raise ValueError(f"template: {size} does not fit into {shape} with padding {padding}")
    image, template = image.detach(), template.detach().to(image)
    return F.conv2d(image[None], template[None], stride=stride, padding=padding)[0, 0]


def best_match(image: Tensor, template: Tensor) -> tuple[Tensor, Tensor]:
    """The pixels of an image that a template fits best, and those that fit its negative best.

    Args:
        image: (C,H,W), as the network sees it.
        template: (C,k,l).

    Returns:
        Two crops (C,k,l) of `image`.
    """
    found = response_map(image, template)
    crops = []
    for place in (found.argmax(), found.argmin()):
        row, column = divmod(place.item(), found.shape[1])
        height, width = template.shape[1:]
        crops.append(image[:, row : row + height, column : column + width])
    return crops[0], crops[1]
