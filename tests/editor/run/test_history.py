"""Pictures that runs delivered, from one session to the next."""

import json
from pathlib import Path

import pytest
from nodeflow_editor.run.history import History
from nodeflow_editor.run.thumbnails import thumbnail
from PySide6.QtGui import QImage


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "history"


def picture(folder, name="cat.png", width=600, height=300, form=QImage.Format.Format_RGB32):
    image = QImage(width, height, form)
    image.fill(0x80336699)
    assert image.save(str(folder / name))
    return str(folder / name)


def test_it_is_there_in_the_next_session_with_its_graph(folder, tmp_path):
    added = History(folder).add("Cat", "image", [picture(tmp_path)], "the graph")
    again = History(folder)
    assert [added] == list(again.pictures())
    assert ("Cat", "image", Path(added.paths[0])) == (added.title, added.output, added.path)
    assert "the graph" == again.graph_of(added)


def test_the_newest_comes_first_and_the_oldest_go(folder, tmp_path):
    history = History(folder, most=3)
    for number in range(5):
        history.add(f"{number}", "image", [picture(tmp_path, f"{number}.png")], f"graph {number // 2}")
    assert ["4", "3", "2"] == [found.title for found in history.pictures()]
    assert ["4", "3", "2"] == [found.title for found in History(folder).pictures()]
    assert {"graph 1", "graph 2"} == {path.read_text() for path in (folder / "graphs").iterdir()}
    assert (tmp_path / "0.png").exists()


def test_a_picture_that_is_gone_still_has_its_looks_and_its_graph(folder, tmp_path):
    history = History(folder, thumbnail=thumbnail)
    found = history.add("Cat", "image", [picture(tmp_path)], "g")
    (tmp_path / "cat.png").unlink()
    again = History(folder)
    assert (None, "g") == (found.path, again.graph_of(found))
    small = QImage.fromData(again.thumbnail(found))
    assert (256, 128) == (small.width(), small.height())


def test_the_same_files_again_are_one_picture(folder, tmp_path):
    history = History(folder)
    for name in ("a", "b", "a"):
        history.add(name, "image", [picture(tmp_path, f"{name}.png")], "g")
    for found in (history, History(folder)):
        assert ["a", "b"] == [each.title for each in found.pictures()]
        assert ["g", "g"] == [found.graph_of(each) for each in found.pictures()]


def test_what_is_no_picture_is_not_remembered(folder, tmp_path):
    assert History(folder).add("Table", "losses", [str(tmp_path / "losses.csv")], "g") is None
    assert [] == list(History(folder).pictures())


def test_entries_are_taken_out_and_their_files_with_them(folder, tmp_path):
    history = History(folder, thumbnail=thumbnail)
    one, two = (history.add(str(at), "image", [picture(tmp_path, f"{at}.png")], "g") for at in range(2))
    history.remove([one])
    assert "g" == History(folder).graph_of(two)
    history.clear()
    assert [] == [path for path in folder.rglob("*") if path.is_file()]


WHOLE = {"title": "x", "output": "y", "paths": ["z.png"], "time": 1, "graph": "abc"}
DAMAGED = ({"time": 1e300}, {"time": -1}, {"time": "x"}, {"title": 5}, {"output": None}, {"paths": "ab"}, {"graph": 3})


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", '{"title": "x"}', '{"paths": 3}', '{"paths": [], "graph": "../../x", "time": 1}',
        "[" * 100_000, *(json.dumps(WHOLE | part) for part in DAMAGED),
    ],
)  # fmt: skip
def test_damaged_entries_are_passed_over(folder, tmp_path, text):
    good = History(folder).add("Cat", "image", [picture(tmp_path)], "g")
    (folder / "0.json").write_text(text)
    assert [good] == list(History(folder).pictures())


def test_a_name_in_an_entry_leads_nowhere_else(folder, tmp_path):
    good = History(folder).add("Cat", "image", [picture(tmp_path)], "g")
    data = json.loads((folder / f"{good.id}.json").read_text())
    (folder / f"{good.id}.json").write_text(json.dumps({**data, "id": "../../elsewhere"}))
    assert [good.id] == [found.id for found in History(folder).pictures()]


def test_a_graph_that_another_editor_uses_as_well_stays(folder, tmp_path):
    one, other = History(folder), History(folder)
    mine = one.add("a", "image", [str(tmp_path / "a.png")], "the graph")
    theirs = other.add("b", "image", [str(tmp_path / "b.png")], "the graph")
    one.remove([mine])
    assert "the graph" == other.graph_of(theirs)
    other.remove([theirs])
    assert [] == list((folder / "graphs").iterdir())


def test_pictures_are_found_by_words_of_their_names_and_of_their_graphs(folder, tmp_path):
    history = History(folder)
    for name, prompt in (("a", "a red circle"), ("b", "ein Käse"), ("c", "a red square")):
        graph = json.dumps({"nodes": {"text": {"prompt": prompt}}})
        history.add(f"Title {name}", "image", [str(tmp_path / f"{name}-0f3a.png")], graph)

    def found(text):
        ids = history.found(text)
        return "".join(picture.title[-1] for picture in reversed(history.pictures()) if picture.id in ids)

    looked_for = ("red", "RED circle", "KÄSE", "title", "c-0f3a square", "image 0f3a", "blue", "circle square", " ")
    assert ["ac", "a", "b", "abc", "c", "abc", "", "", "abc"] == [found(text) for text in looked_for]


def test_where_nothing_can_be_written_it_remembers_for_the_session(tmp_path):
    (tmp_path / "taken").write_text("a file")
    history = History(tmp_path / "taken" / "history", thumbnail=thumbnail)
    found = history.add("Cat", "image", [picture(tmp_path)], "g")
    assert ((found,), "g") == (history.pictures(), history.graph_of(found))


def test_thumbnails_of_any_shape_and_of_what_is_none(tmp_path):
    wide = picture(tmp_path, "wide.png", 4_000, 1)
    clear = picture(tmp_path, "clear.png", 20, 10, QImage.Format.Format_ARGB32)
    assert (256, 1) == (lambda image: (image.width(), image.height()))(QImage.fromData(thumbnail(Path(wide), 256)))
    assert QImage.fromData(thumbnail(Path(clear), 256)).hasAlphaChannel()
    (tmp_path / "text.png").write_text("no picture")
    assert [None, None] == [thumbnail(tmp_path / name, 256) for name in ("text.png", "gone.png")]
