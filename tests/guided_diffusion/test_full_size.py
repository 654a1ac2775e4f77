"""The published networks at full size, known from their headers: files of 0.1 to 1.1 GB that take no room here."""

from collections.abc import Callable

import pytest
from nodeflow_diffusion.adm_nodes import load_adm, load_classifier
from nodeflow_diffusion.adm_recipes import AdmDenoiser
from nodeflow_diffusion.classifier_recipes import AdmNoisyClassifier

from nodeflow import find_checkpoint
from nodeflow.kinds import kind_of

Write = Callable[..., str]
IMPROVED = "improved diffusion, "
COUNTS = {
    ("64", 1000): 295_904_454,
    ("128", 1000): 421_529_606,
    ("256", 1000): 553_838_086,
    ("256", 0): 552_814_086,
    ("512", 1000): 558_997_638,
    ("upsampler to 256", 1000): 311_795_910,
    ("upsampler to 512", 1000): 308_835_270,
    (f"{IMPROVED}CIFAR-10", 0): 52_546_438,
    (f"{IMPROVED}ImageNet 64", 0): 121_063_942,
    (f"{IMPROVED}ImageNet 64 by class", 1000): 273_049_350,
    (f"{IMPROVED}upsampler to 256", 1000): 279_792_390,
    (f"{IMPROVED}LSUN", 0): 113_676_678,
}
"""Parameters that their publishers' code makes, by family and classes."""
CLASSIFIERS = {64: 65_438_568, 128: 42_568_040, 256: 54_096_360, 512: 54_448_360}


@pytest.mark.parametrize(("family", "classes"), COUNTS)
def test_a_u_net_is_known_by_its_shapes_and_each_tensor_used(family: str, classes: int, sparse: Write) -> None:
    name = sparse(family, classes)
    denoiser = load_adm(name)
    assert isinstance(denoiser, AdmDenoiser)
    assert COUNTS[family, classes] == denoiser.network.bytes // 4
    assert (classes, "upsampler" in family, True) == (denoiser.classes, denoiser.enlarges, denoiser.learned)
    kind = "upsampler" if "upsampler" in family else "u-net"
    assert f"guided-diffusion {kind}" == kind_of(find_checkpoint(name))


@pytest.mark.parametrize("side", CLASSIFIERS)
def test_a_classifier_is_known_by_its_shapes_and_each_tensor_used(side: int, sparse: Write) -> None:
    name = sparse(f"classifier of {side}")
    classifier = load_classifier(name)
    assert isinstance(classifier, AdmNoisyClassifier)
    assert CLASSIFIERS[side] == classifier.network.bytes // 4
    assert (1000, side) == (classifier.classes, classifier.side)
    assert "guided-diffusion classifier" == kind_of(find_checkpoint(name))


TRAINED = {
    "64": ("cosine", 1000, 1.0),
    "256": ("linear", 1000, 1.0),
    f"{IMPROVED}CIFAR-10": ("cosine", 4000, 0.25),
    f"{IMPROVED}ImageNet 64 by class": ("cosine", 4000, 1.0),
    f"{IMPROVED}upsampler to 256": ("linear", 4000, 1.0),
}


@pytest.mark.parametrize("family", TRAINED)
def test_what_shapes_do_not_tell_is_as_they_were_trained(family: str, sparse: Write) -> None:
    denoiser = load_adm(sparse(family))
    assert isinstance(denoiser, AdmDenoiser)
    noise = denoiser.noise
    assert TRAINED[family] == (noise.schedule, noise.steps, noise.per_step)


def test_the_classifiers_of_64_pixels_saw_the_cosine_schedule_as_their_denoiser(sparse: Write) -> None:
    found = [load_classifier(sparse(f"classifier of {side}")) for side in CLASSIFIERS]
    assert ["cosine", "linear", "linear", "linear"] == [
        one.noise.schedule for one in found if isinstance(one, AdmNoisyClassifier)
    ]
