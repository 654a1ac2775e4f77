"""Seeds: drawn anew, and what each run does with them."""

from nodeflow_editor import seeds
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QMenu

from nodeflow.document import Document, NodeEntry, Wire
from nodeflow.edits import RenameNode
from nodeflow.spec import Port
from nodeflow.types import PortType
from tests.editor.test_values import CATALOG, ValueHand, hand, popup, window  # noqa: F401 # fixtures


def test_the_die_draws_a_new_seed(hand: ValueHand) -> None:  # noqa: F811
    hand.click(hand.mark("seed"))
    first = hand.inputs("all")["seed"]
    hand.click(hand.mark("seed"))
    assert first != hand.inputs("all")["seed"]
    assert 0 <= first < 2**32


def test_a_seeds_menu_says_what_each_run_does_with_it(hand: ValueHand) -> None:  # noqa: F811
    hand.click(hand.value("seed"), button=Qt.MouseButton.RightButton)
    menu = popup(QMenu)
    chosen = {action.text(): action for action in menu.actions()}
    assert chosen[seeds.TITLES["fixed"]].isChecked()
    chosen[seeds.TITLES["next"]].trigger()
    menu.close()
    assert {"all.seed": "next"} == hand.model.graph.view["seeds"]
    hand.model.do(RenameNode("all", "everything"), "Rename")
    assert {"everything.seed": "next"} == hand.model.graph.view["seeds"]


def test_the_sign_of_a_seed_is_painted(hand: ValueHand) -> None:  # noqa: F811
    def shot() -> bytes:
        QGuiApplication.processEvents()
        image = hand.view.grab().toImage()  # named: its bits live no longer than it does
        return bytes(image.constBits())

    before = shot()
    hand.model.do(seeds.kept(hand.model.graph, [("all", "seed")], "random"), "Random")
    assert before != shot()
    hand.model.undo.undo()
    assert before == shot()


def test_seeds_go_on_before_a_run() -> None:
    nodes = {"a": NodeEntry("t.all", 3, {"seed": 5}), "b": NodeEntry("t.all", 3), "c": NodeEntry("t.all", 3),
             "wired": NodeEntry("t.all", 3, {"seed": Wire("a")})}  # fmt: skip
    inner = Document(nodes={"x": NodeEntry("t.all", 3)}, view={"seeds": {"x.seed": "next"}})
    kept = {"a.seed": "next", "b.seed": "random", "wired.seed": "random", "gone.seed": "next", "c.seed": "odd"}
    graph = Document(nodes=nodes, graphs={"g": inner}, view={"seeds": kept})
    edit = seeds.next_seeds(graph, CATALOG.get, lambda low, high: 77)
    assert edit is not None
    after = edit.change(graph)
    found = {node: after.nodes[node].inputs.get("seed") for node in after.nodes}
    assert {"a": 6, "b": 77, "c": None, "wired": Wire("a")} == found
    assert 1 == after.graphs["g"].nodes["x"].inputs["seed"]
    assert seeds.next_seeds(Document(nodes=nodes), CATALOG.get) is None
    assert seeds.next_seeds(Document(nodes=nodes, view={"seeds": [1]}), CATALOG.get) is None


def test_the_seed_after_the_last_is_the_first_and_limits_hold() -> None:
    small = Port("seed", PortType("int", limits=(("minimum", 3), ("maximum", 9))), widget="seed")
    assert 3 == seeds.following(9, small)
    assert 0 == seeds.following(2**53 - 1)
    assert all(3 <= seeds.drawn(small) <= 9 for _ in range(50))
    assert len({seeds.drawn() for _ in range(50)}) > 40


def test_many_runs_each_have_their_seed_and_one_edit_leads_to_the_last() -> None:
    graph = Document(nodes={"a": NodeEntry("t.all", 3, {"seed": 5})}, view={"seeds": {"a.seed": "next"}})
    documents, edit = seeds.seeded(graph, 3, CATALOG.get)
    assert [6, 7, 8] == [document.nodes["a"].inputs["seed"] for document in documents]
    assert edit is not None
    assert documents[-1] == edit.change(graph)
    plain = Document(nodes=graph.nodes)
    assert ([plain, plain], None) == seeds.seeded(plain, 2, CATALOG.get)
