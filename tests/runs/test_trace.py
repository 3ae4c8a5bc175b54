from napari_hypermol.runs.trace import append_row, read_trace


def places(folder):
    return [(row["position"], row["sweep"]) for row in read_trace(folder)]


def test_rows_come_back_in_order(tmp_path):
    assert read_trace(tmp_path) == []
    append_row(tmp_path, {"position": 1, "sweep": 1.0, "stage": "mean", "noise": 2.5})
    append_row(tmp_path, {"position": 2, "sweep": 1.0, "stage": "states 1"})
    first, second = read_trace(tmp_path)
    assert first["noise"] == 2.5
    assert second["stage"] == "states 1"


def test_resumed_sweeps_take_the_place_of_those_after_the_snapshot(tmp_path):
    for position, sweep in [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (2, 1), (2, 2)]:
        append_row(tmp_path, {"position": position, "sweep": sweep})
    assert places(tmp_path) == [(1, 1), (1, 2), (2, 1), (2, 2)]


def test_a_line_half_written_is_passed_over(tmp_path):
    append_row(tmp_path, {"position": 1, "sweep": 1})
    with (tmp_path / "trace.jsonl").open("a") as file:
        file.write('{"position": 1, "sw')
    assert places(tmp_path) == [(1, 1)]
    with (tmp_path / "trace.jsonl").open("a") as file:
        file.write("\n")
    append_row(tmp_path, {"position": 1, "sweep": 2})
    assert places(tmp_path) == [(1, 1), (1, 2)]
