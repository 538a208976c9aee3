"""Each variant differs from ULW-SleepNet in one thing: given weights that undo this, its output is the same."""

import pytest
import torch
from torch import nn

from sleepbench.models.ulw_sleepnet import SeparableConv, ULWSleepNet
from sleepbench.models.ulw_sleepnet_ablations import (
    OtherBlocks,
    ULWDenseConvs,
    ULWFlatten,
    ULWNoSkip,
    ULWUnshared,
)

VARIANTS = (ULWNoSkip, ULWDenseConvs, ULWUnshared, ULWFlatten)


@pytest.fixture
def signals():
    return 30 * torch.randn(4, 3, 3000, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def original(signals):
    """ULW-SleepNet in evaluation mode, with biases and with batch norm's statistics after a few batches."""
    torch.manual_seed(0)
    model = ULWSleepNet(3).train()
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.1)
    with torch.no_grad():
        for _ in range(50):
            model(signals)
    return model.eval()


def copy_blocks(original, blocks):
    """Copy what a variant's blocks have of the original's weights and statistics."""
    for name, block in zip(("block1", "block2", "block3"), blocks, strict=True):
        weights = original.get_submodule(name).state_dict()
        block.load_state_dict({key: weights[key] for key in block.state_dict()})


def copy_classifier(original, classifier):
    for source, target in ((original.dense64, classifier[1]), (original.output, classifier[2])):
        target.load_state_dict(source.state_dict())


def assert_same_output(variant, original, signals):
    with torch.inference_mode():
        torch.testing.assert_close(variant.eval()(signals), original(signals), rtol=1e-4, atol=1e-4)


def test_the_parts_put_together_are_the_original(original, signals):
    together = OtherBlocks(3)
    copy_blocks(original, together.blocks)
    copy_classifier(original, together.classifier)
    assert_same_output(together, original, signals)


def test_without_shortcut(original, signals):
    variant = ULWNoSkip(3)
    copy_blocks(original, variant.blocks)
    copy_classifier(original, variant.classifier)
    for block in (original.block1, original.block2, original.block3):
        nn.init.zeros_(block.skip2.pointwise.weight)
        nn.init.zeros_(block.skip2.pointwise.bias)
    assert_same_output(variant, original, signals)


def test_dense_convolutions(original, signals):
    variant = ULWDenseConvs(3)
    assert not any(isinstance(module, SeparableConv) for module in variant.modules())
    copy_classifier(original, variant.classifier)
    for name, block in zip(("block1", "block2", "block3"), variant.blocks, strict=True):
        for part, module in original.get_submodule(name).named_children():
            if isinstance(module, SeparableConv):
                dense = block.get_submodule(part)
                dense.weight.data = module.pointwise.weight * module.depthwise.weight.transpose(0, 1)
                dense.bias.data = module.pointwise.bias.data
            else:
                block.get_submodule(part).load_state_dict(module.state_dict())
    assert_same_output(variant, original, signals)


def test_weights_not_shared(original, signals):
    variant = ULWUnshared(3)
    copy_classifier(original, variant.classifier)
    for blocks in variant.channels:
        copy_blocks(original, blocks)
    assert_same_output(variant, original, signals)
    nn.init.zeros_(variant.channels[1][0].main1.pointwise.weight)
    with torch.inference_mode():
        assert not torch.allclose(variant(signals), original(signals), atol=1e-2)


def test_without_average_pooling(original, signals):
    variant = ULWFlatten(3)
    copy_blocks(original, variant.blocks)
    hidden, output = variant.classifier[1:]
    hidden.weight.data = original.dense64.weight.data.repeat_interleave(47, dim=1) / 47
    hidden.bias.data = original.dense64.bias.data
    output.load_state_dict(original.output.state_dict())
    assert_same_output(variant, original, signals)


@pytest.mark.parametrize("variant", VARIANTS)
def test_all_else_is_equal(variant):
    def settings(model):
        norms = {(m.eps, m.momentum) for m in model.modules() if isinstance(m, nn.BatchNorm1d)}
        return norms, {m.p for m in model.modules() if isinstance(m, nn.Dropout)}

    torch.manual_seed(0)
    model = variant(4)
    assert settings(model) == settings(ULWSleepNet(4))
    for module in model.modules():
        if isinstance(module, nn.Conv1d | nn.Linear):
            fans = nn.init._calculate_fan_in_and_fan_out(module.weight)
            limit = (6 / sum(fans)) ** 0.5
            assert module.weight.abs().max() <= limit
            assert module.weight.numel() < 500 or module.weight.abs().max() > 0.95 * limit
            assert module.bias is None or not module.bias.any()
