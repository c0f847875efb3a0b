"""The transformer is timm's, number for number, and its attention can be looked at."""

import pytest
import timm
import tiny
import torch

from course_utils.common.transformer import VisionTransformer, layer_names


@pytest.mark.parametrize("size", [(20, 20), (16, 28), (40, 24)])
def test_timms_transformer_gives_the_same_tokens(size):
    ours, x = tiny.transformer(), tiny.array(50, 2, 3, *size)
    theirs = timm.models.vision_transformer.VisionTransformer(
        img_size=20,
        patch_size=4,
        embed_dim=24,
        depth=3,
        num_heads=3,
        num_classes=0,
        init_values=1e-5,
        dynamic_img_size=True,
    ).eval()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    assert torch.allclose(ours(x), theirs.forward_features(x), atol=1e-4)


def test_the_names_are_those_of_timms_dinov2():
    with torch.device("meta"):
        ours = VisionTransformer().state_dict()
        theirs = timm.create_model("vit_small_patch14_dinov2", num_classes=0).state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}


def test_every_short_name_leads_to_a_part():
    net = tiny.transformer()
    for path in layer_names(3).values():
        net.get_submodule(path)
    assert list(layer_names(2))[:3] == ["patch_embed", "attn1", "block1"]


def test_the_kernel_that_writes_no_maps_down_agrees():
    net, x = tiny.transformer(), tiny.array(3, 2, 7, 24)
    attn = net.blocks[1].attn
    q, k, v = (part.unflatten(2, (3, -1)).transpose(1, 2) for part in attn.qkv(x).chunk(3, 2))
    fused = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    assert torch.allclose(attn(x), attn.proj(fused.transpose(1, 2).flatten(2)), atol=1e-5)


def test_patches_may_be_missing_and_come_in_any_order():
    net, x = tiny.transformer(), tiny.array(4, 1, 3, 20, 20)
    tokens = net.embed(x)
    order = torch.randperm(26, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(net.encode(tokens[:, order]), net.encode(tokens)[:, order], atol=1e-4)
    assert net.encode(tokens[:, :5]).shape == (1, 5, 24)


@pytest.mark.parametrize("size", [(21, 20), (20, 3), (30, 24)])
def test_sides_that_are_no_multiples_are_refused(size):
    with pytest.raises(ValueError, match=r"sides that are multiples of it, such as \d+ x"):
        tiny.transformer()(torch.zeros(1, 3, *size))


def test_positions_of_the_training_size_are_taken_as_they_are():
    net = tiny.transformer()
    assert net.positions(5, 5) is net.pos_embed
    assert torch.equal(net.positions(3, 7)[:, :1], net.pos_embed[:, :1])
