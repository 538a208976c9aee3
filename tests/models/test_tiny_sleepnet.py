"""TinySleepNet over a night: one unbroken run is the LSTM's state carried over its pieces."""

import torch

from sleepbench.models.tiny_sleepnet import TinySleepNet


def test_a_whole_night_at_once_is_the_state_carried_over_pieces():
    torch.manual_seed(0)
    model = TinySleepNet(1).eval()
    night = 20 * torch.randn(1, 50, 1, 3000)
    with torch.inference_mode():
        state, pieces = None, []
        for piece in night.split(20, dim=1):  # the last piece is shorter
            features = model.feature_extractor(piece.flatten(0, 1)).unsqueeze(0)
            context, state = model.lstm(features, state)
            pieces.append(model.classifier(context))
        torch.testing.assert_close(model(night), torch.cat(pieces, dim=1), rtol=0, atol=1e-5)


def test_an_epoch_is_scored_from_itself_and_those_before():
    torch.manual_seed(0)
    model = TinySleepNet(1).eval()
    night = 20 * torch.randn(1, 12, 1, 3000)
    changed = night.clone()
    changed[:, 8] *= -1
    with torch.inference_mode():
        difference = (model(changed) - model(night)).abs().amax(dim=(0, 2))
    assert (difference[:8] < 1e-5).all()
    assert (difference[8:] > 1e-5).all()


def test_l2_falls_on_all_convolutions():
    model = TinySleepNet(2)
    shapes = [tuple(model.get_parameter(name).shape) for name in model.l2_parameters()]
    assert shapes == [(128, 2, 50), *[(128, 128, 8)] * 3]
