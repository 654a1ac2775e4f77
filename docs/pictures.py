"""Makes the picture beside each graph anew: `make pictures`. What the README shows is what the graphs give."""

import shutil
import sys
import tempfile
from pathlib import Path

from nodeflow.client import Worker
from nodeflow.document import read

ROOT = Path(__file__).parents[1]


def main(names: list[str]) -> None:
    """Runs graphs/*.json, or those that are named, and copies the first picture of each beside it."""
    graphs = [path for path in sorted((ROOT / "graphs").glob("*.json")) if not names or path.stem in names]
    with Worker() as worker, tempfile.TemporaryDirectory() as out:
        for graph in graphs:
            for event in worker.run(read(graph), name=graph.stem, folder=graph.parent, out=Path(out), cache=False):
                if event["event"] == "failed":
                    sys.exit(f"{graph.name}: {event['node']}: {event['message']}")
                if event["event"] == "delivered" and event["output"] == next(iter(read(graph).outputs)):
                    shutil.copyfile(event["paths"][0], graph.with_suffix(".png"))
                    print(graph.with_suffix(".png").relative_to(ROOT))


if __name__ == "__main__":
    main(sys.argv[1:])
