"""Names, sizes and signs of devices, as people write them and drivers say them."""

import pytest
import torch

from nodeflow.devices import asked_for, device_names, farewell, gone, ran_out, size_of
from nodeflow.errors import GraphError


def test_sizes_are_read_as_people_write_them() -> None:
    texts = ["6GB", "6.5g", "800 MB", "6GiB", "6000000000", " 2kB ", "1TB", "6B"]
    assert [6 * 10**9, 6_500_000_000, 8 * 10**8, 6 * 2**30, 6 * 10**9, 2000, 10**12, 6] == [
        size_of(text) for text in texts
    ]


@pytest.mark.parametrize("text", ["", "much", "-1GB", "0", "0.1", "6 GB each", "1e9", "9" * 30, "6XB"])
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(GraphError, match="expected a size, such as"):
        size_of(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [("6", "6GB"), (" 6.5 ", "6.5GB"), ("999", "999GB"), ("8000", "8000MB"), ("1048575", "1048575MB")],
)
def test_a_small_number_without_a_unit_is_asked_for_it(text: str, meant: str) -> None:
    with pytest.raises(GraphError, match=rf'^--vram {text}: \S+ of which unit\?\n    did you mean "{meant}"\?$'):
        size_of(text)
    assert 2**20 == size_of(str(2**20))


def test_devices_are_listed_by_commas_each_once() -> None:
    assert ("cuda:0", "cuda:1") == device_names("cuda, cuda:1,cuda:0,")
    assert () == device_names(" , ")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 8 GiB", int(2.5 * 2**30)),
        ("CUDA out of memory. Tried to allocate 20.00 MiB", 20 * 2**20),
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1152921504606846976 bytes.", 2**60),
        ("out of memory", None),
    ],
)
def test_what_was_asked_for_is_read_from_the_error(text: str, size: int | None) -> None:
    assert size == asked_for(RuntimeError(text))
    assert ran_out(RuntimeError(text))


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: unspecified launch failure\nCUDA kernel errors might be asynchronously reported",
        "CUDA driver error: driver shutting down",
        "CUDA error: an illegal memory access was encountered",
        "Unable to determine the device handle for GPU: GPU is lost. Reboot the system",
    ],
)
def test_a_device_that_is_gone_is_told_from_other_errors(text: str) -> None:
    error = torch.AcceleratorError(text)
    assert gone(error)
    assert "\n    nothing more can be computed there" in farewell(error)
    wrapped = ValueError("a node's own words")
    wrapped.__cause__ = error
    assert gone(wrapped)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        ValueError("the GPU is lost in this picture"),
    ],
)
def test_other_errors_end_no_run(error: Exception) -> None:
    assert not gone(error)
