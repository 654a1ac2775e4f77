"""Networks of guided diffusion held in 8 bits."""

from collections.abc import Callable

import pytest
import torch
from nodeflow_diffusion.adm_nodes import load_adm
from nodeflow_diffusion.execution import Execution
from nodeflow_diffusion.recipes import run_as

Write = Callable[..., str]


@pytest.mark.parametrize("classes", [0, 5])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_it_takes_is_known_before_it_is_built_and_embeddings_stay(
    file: Write, precision: str, classes: int
) -> None:
    whole = load_adm(file("64", classes=classes))
    plain, eight = (
        run_as(whole, Execution(precision, storage=storage)).network  # type: ignore[arg-type, attr-defined]
        for storage in ("same", "fp8")
    )
    module = eight.build("cpu")
    assert eight.size == sum(value.nbytes for value in module.state_dict().values())
    assert eight.size == sum(value.nbytes for value in eight.lay_out().state_dict().values())
    assert eight.size < 0.6 * plain.size
    if classes:
        assert torch.equal(plain.build("cpu").labels.weight, module.labels.weight)
