import sys
from pathlib import Path

import pytest

PLUGINS = Path(__file__).parent.parent / "plugins_for_tests"
sys.path.append(str(PLUGINS))


@pytest.fixture
def calls():
    """How often each test node ran."""
    import plain_nodes

    plain_nodes.CALLS.clear()
    return plain_nodes.CALLS
