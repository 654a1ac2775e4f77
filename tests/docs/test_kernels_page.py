"""docs/kernels.md: what it shows is what runs, and every operation stands there with its signature."""

import doctest
import inspect
from pathlib import Path

import pytest

from nodeflow import kernels
from nodeflow.choices import MODES
from nodeflow.cli.kernels import kernels as command
from nodeflow.kernels.dispatch import AHEAD

PAGE = Path(__file__).parents[2] / "docs/kernels.md"
TEXT = PAGE.read_text("utf-8")


def test_what_the_page_shows_is_what_python_says() -> None:
    blocks = [block.split("```")[0] for block in TEXT.split("```python\n")[1:]]
    examples = doctest.DocTestParser().get_doctest("".join(blocks), {}, PAGE.name, str(PAGE), 0)
    assert 10 < len(examples.examples)
    said: list[str] = []
    doctest.DocTestRunner(verbose=False).run(examples, out=said.append)
    assert "" == "".join(said)


@pytest.mark.parametrize("name", kernels.OPERATIONS)
def test_every_operation_stands_there_with_its_exact_signature(name: str) -> None:
    signature = inspect.signature(getattr(kernels, name))
    bare = [part.replace(annotation=part.empty) for part in signature.parameters.values()]
    told = str(signature.replace(parameters=bare, return_annotation=signature.empty)).replace("'", '"')
    assert f"| `{name}{told}` |" in TEXT


def test_rules_and_switches_are_those_of_the_code() -> None:
    assert f"{AHEAD} " in " ".join(TEXT.split())
    assert all(f"`{mode}`" in TEXT for mode in MODES)
    assert f"`nodeflow {command.__name__}`" in TEXT
