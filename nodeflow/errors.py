"""What can go wrong, as a tree.

NodeflowError
├── GraphError     the file is wrong: every problem at once, each with its place and cure
├── PluginError    an extension is wrong
├── ModelError     a checkpoint is wrong
└── RunError       a node failed: carries node, port and cause
└── WorkerDied the process that ran the node is gone (signal, exit, memory)

Cancelled          a BaseException, so that a node's `except Exception` cannot swallow a cancel
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass

MESSAGE = 10_000
"""Characters of a foreign error's message that are told: it may quote all that a file holds."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault: where it is, what was found and expected, and how to mend it."""

    message: str
    cure: str = ""
    node: str | None = None
    port: str | None = None
    file: str | None = None

    @property
    def place(self) -> str:
        """`graphs/cat.json: node "decode", input "latent"`, as far as it is known."""
        inner = [f'node "{self.node}"' if self.node is not None else "", f'input "{self.port}"' if self.port else ""]
        where = ", ".join(part for part in inner if part)
        return ": ".join(part for part in (self.file or "", where) if part)

    def __str__(self) -> str:
        line = f"{self.place}: {self.message}" if self.place else self.message
        return f"{line}\n    {self.cure}" if self.cure else line

    def as_json(self) -> dict[str, str | None]:
        return {
            "message": self.message,
            "cure": self.cure,
            "node": self.node,
            "port": self.port,
            "file": self.file,
        }


class NodeflowError(Exception):
    """Everything nodeflow raises on purpose."""


class GraphError(NodeflowError):
    """The graph file is wrong. `problems` holds all faults found, in the file's order."""

    def __init__(self, problems: Problem | Sequence[Problem]) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class PluginError(NodeflowError):
    """An extension is wrong: it fails to import, or registers something that is no node."""


class ModelError(NodeflowError):
    """A checkpoint is wrong: absent, damaged, of another architecture, or pickled."""


class RunError(NodeflowError):
    """A node failed. `node` and `port` say where, `cause` what it raised."""

    def __init__(self, node: str, message: str, *, port: str | None = None, cause: BaseException | None = None) -> None:
        self.node, self.port, self.message, self.cause = node, port, message, cause
        place = f'node "{node}"' + (f', input "{port}"' if port else "")
        super().__init__(f"{place}: {message}" if node else message)


class WorkerDied(RunError):
    """The process that ran the node ended: a crash, a signal, `os._exit`, or no memory.

    `node` is empty if none was running; `printed` has the last lines that the process printed.
    """

    def __init__(self, node: str, message: str, *, printed: str = "") -> None:
        super().__init__(node, message)
        self.printed = printed


class Cancelled(BaseException):
    """Raised inside a node at its next step after somebody asked the run to stop."""


def a_or_an(noun: str) -> str:
    """The noun behind its article: "a node", "an output". One in u is sounded as "union", "uint8" and "U-Net" are."""
    return f"{'an' if noun.lower().startswith(('a', 'e', 'i', 'o')) else 'a'} {noun}"


def told(error: BaseException) -> str:
    """What an error says, and its kind where that says more."""
    kind = type(error).__name__
    try:
        text = str(error).strip()[:MESSAGE]
    except Exception:  # a node may raise anything, an error that cannot be printed as well
        text = ""
    if not text:
        return kind
    return text if isinstance(error, NodeflowError | ValueError | OSError) else f"{kind}: {text}"


def let_go(error: BaseException | None) -> None:
    """Forgets what the failed calls held: an error in a circle with its frames would keep models and pictures alive."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
