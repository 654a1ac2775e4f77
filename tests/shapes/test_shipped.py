"""The weights that loaders name by themselves."""

from nodeflow_nn.weights import read_header
from nodeflow_shapes.shipped import AUTOENCODER, DENOISER, TEXT

from nodeflow import find_weights


def test_the_weights_that_loaders_name_go_together() -> None:
    autoencoder, denoiser, text = (read_header(find_weights(name)) for name in (AUTOENCODER, DENOISER, TEXT))
    assert autoencoder.provenance["space"] == denoiser.provenance["space"]
    assert denoiser.config["context_width"] == text.config["width"]
    assert denoiser.config["pooled_width"] == text.config["pooled_width"]
    for told in ("graph", "pictures"):
        assert denoiser.provenance[told] == text.provenance[told]
