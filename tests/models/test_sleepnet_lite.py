import torch

from sleepbench.models.sleepnet_lite import SleepNetLite


def test_each_half_of_the_split_has_filters_of_both_scales_in_turn():
    scales = torch.cat((torch.arange(64), 100 + torch.arange(64)))[None, :, None]
    first, second = SleepNetLite(1).shuffle(scales).chunk(2, dim=1)
    assert first.flatten().tolist() == [n + scale for n in range(32) for scale in (0, 100)]
    assert second.flatten().tolist() == [n + scale for n in range(32, 64) for scale in (0, 100)]
