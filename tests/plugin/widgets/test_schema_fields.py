import pytest
from pydantic import BaseModel, Field

from napari_hypermol.plugin.widgets.schema_fields import (
    UNSET,
    FlagField,
    LineField,
    TableField,
    text_of,
    value_of,
)
from napari_hypermol.runs.schema import keys_of

pytestmark = pytest.mark.qt


class RowRecipe(BaseModel):
    width: float = Field(description="How wide [Å]")
    count: int = Field(default=4, description="How many")


class AllRecipe(BaseModel):
    number: float = 2.5
    words: str | None = None
    rows: list[RowRecipe] = []
    flag: bool = True


KEYS = {key.name: key for key in keys_of(AllRecipe)}


@pytest.mark.parametrize(
    "value", [3, 2.5, -1e-7, "auto", [0.0, 0.0, 1.0], [[1, 0], [0, 1]], 1234567.25]
)
def test_what_a_line_shows_is_what_it_means(value):
    assert value_of(text_of(value)) == value


def test_text_that_is_no_value_stays_text():
    assert value_of("{a") == "{a"
    assert value_of("1, {") == "1, {"


def test_lines_take_what_is_typed(qtbot):
    field = LineField(KEYS["number"], is_text=False)
    qtbot.addWidget(field)
    assert field.line.placeholderText() == "2.5"
    assert field.value() is UNSET
    with qtbot.waitSignal(field.edited):
        qtbot.keyClicks(field.line, "7")
    assert field.value() == 7
    with qtbot.assertNotEmitted(field.edited):
        field.put(0.125)
    assert field.value() == 0.125
    assert field.line.text() == "0.125"
    field.line.clear()
    assert field.value() is UNSET


def test_text_is_not_made_into_a_number(qtbot):
    field = LineField(KEYS["words"], is_text=True)
    qtbot.addWidget(field)
    qtbot.keyClicks(field.line, "007")
    assert field.value() == "007"


def test_problems_stand_below(qtbot):
    field = LineField(KEYS["number"], is_text=False)
    qtbot.addWidget(field)
    field.show_problems({(): "expected a number"})
    assert (field.problem.text(), field.problem.isHidden()) == ("expected a number", False)
    field.show_problems({(1, "width"): "too much"})
    assert field.problem.text() == "row 2, width: too much"
    field.show_problems({})
    assert field.problem.isHidden()


def test_flags(qtbot):
    field = FlagField(KEYS["flag"])
    qtbot.addWidget(field)
    assert field.value() is True
    field.put("perhaps")
    assert field.value() == "perhaps"  # kept, for the check to complain of
    with qtbot.waitSignal(field.edited):
        field._box.native.click()
    assert isinstance(field.value(), bool)


def test_rows(qtbot):
    field = TableField(KEYS["rows"], KEYS["rows"].choices[0])
    qtbot.addWidget(field)
    assert field.table.horizontalHeaderItem(0).text() == "width [Å]"
    field.put([{"width": 20, "odd": 1}, {"width": 12.5, "count": 9}])
    assert field.value() == [{"width": 20, "odd": 1}, {"width": 12.5, "count": 9}]
    with qtbot.waitSignal(field.edited):
        field.add_button.click()
    assert field.value()[2] == {"width": 12.5, "count": 9}  # like the one before
    with qtbot.waitSignal(field.edited):
        field.table.item(2, 0).setText("8")
    assert field.value()[2]["width"] == 8
    field.table.setCurrentCell(0, 0)
    field.remove_button.click()
    assert [row["width"] for row in field.value()] == [12.5, 8]
    field.put("nonsense")
    assert field.value() == "nonsense"
