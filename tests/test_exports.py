"""The public names: sorted, complete, and each importable."""

import nodeflow


def test_exported_names_are_sorted_and_exist() -> None:
    assert sorted(nodeflow.__all__, key=lambda name: (not name.isupper(), name)) == list(nodeflow.__all__)
    assert [] == [name for name in nodeflow.__all__ if getattr(nodeflow, name, None) is None]


def test_every_public_name_is_where_it_is_said_to_be() -> None:
    assert set(nodeflow._HOME_OF) == set(nodeflow.__all__)


def test_no_public_name_is_also_a_submodule() -> None:
    # Importing nodeflow.x would bind the module over the name for everybody who imports later.
    assert set() == set(nodeflow.__all__) & set(nodeflow._HOMES)


def test_every_public_name_has_a_docstring() -> None:
    plain = {"QUIET", "Seed", "hook", "__version__"}
    assert [] == [name for name in nodeflow.__all__ if name not in plain and not getattr(nodeflow, name).__doc__]
