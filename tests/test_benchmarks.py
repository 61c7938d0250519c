import io
import json
import re
from pathlib import Path

import keras
import numpy as np
import pytest

from benchmarks import contenders, convolutions, machine, numbers, process, report, worker
from benchmarks.__main__ import run
from benchmarks.contenders import KERAS_VIS, OURS
from benchmarks.quick import quick_plan

ROOT = Path(__file__).parent.parent


class InThisProcess:
    """A worker without a process: what `process.Worker` does, quicker to start."""

    def __init__(self, tool):
        self.tool = tool

    def ask(self, do, **request):
        answer = worker.answer(self.tool, json.loads(json.dumps({"do": do} | request)))
        assert "error" not in answer, answer["error"]
        return answer

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmark")
    plan = quick_plan(folder)
    text = run(plan, folder / "results", start=InThisProcess)
    return plan, folder / "results" / machine.folder_of(machine.describe()), text


def test_a_quick_run_writes_records_table_and_plot(quick):
    plan, folder, text = quick
    assert {path.name for path in folder.iterdir()} == {
        f"benchmark.{s}" for s in ("json", "md", "png")
    }
    assert (folder / "benchmark.md").read_text() == text
    content = json.loads((folder / "benchmark.json").read_text())
    assert {"CPU", "cores", "memory"} <= set(content["machine"])
    sections = {record["section"] for record in content["records"]}
    assert sections >= {
        "about",
        "mixed units",
        "one unit",
        "share",
        "peers",
        "robust",
        "growth in maps",
        "workers",
        "heavy",
        "first",
        "panel",
        "large",
    }
    assert all(record["seconds"] > 0 for record in content["records"] if "seconds" in record)
    counts = [r["maps"] for r in content["records"] if r["section"] == "growth in maps"]
    assert sorted(set(counts)) == list(plan.growth_maps)


def test_the_table_names_machine_versions_targets_and_differences(quick):
    text = quick[2]
    assert "CPU" in text and f"keras {keras.__version__}" in text
    assert "GPU: none found" in text or "GPU: " in text
    assert text.count("| met |") + text.count("| **missed** |") == 13
    assert contenders.NOTES[OURS] in text and contenders.NOTES[KERAS_VIS] in text


def test_tools_return_unit_after_weight_after_seed(quick):
    model = keras.models.load_model(quick[0].model)
    work = {"layer": "conv2d_2", "units": [0, 1], "tv_weights": [0.01, 1e3], "seeds": [0, 1]}
    for tool in (OURS, KERAS_VIS):
        images = contenders.TOOLS[tool](model, **work, steps=3)
        assert images.shape == (8, 10, 10, 1)
        assert not any(np.array_equal(images[5], images[other]) for other in (1, 4, 7))
        alone = contenders.TOOLS[tool](
            model, "conv2d_2", units=[1], tv_weights=[0.01], seeds=[1], steps=3
        )
        np.testing.assert_allclose(images[5], alone[0], atol=1)


def test_the_noise_of_the_peers_is_keras_vis_s():
    drawn = contenders.noise([0, 1], (64, 64, 3))
    assert drawn.shape == (2, 64, 64, 3)
    np.testing.assert_allclose(drawn.mean((1, 2, 3)), 127.5, atol=0.5)
    np.testing.assert_allclose(drawn.std((1, 2, 3)), 12.75, atol=0.2)
    assert not np.array_equal(drawn[0], drawn[1])


def test_flops_of_the_convolutions(quick):
    model = keras.models.load_model(quick[0].model)
    timed = convolutions.step_time(model, "conv2d_2", batch=3, repeats=1)
    first, second = 8 * 8 * 9 * 1 * 4, 2 * 2 * 9 * 4 * 4
    assert timed["flops"] == 3 * 4 * (first + second)
    assert timed["seconds"] > 0
    assert convolutions.step_time(model, "conv2d_1", 3, 1)["flops"] == 3 * 4 * first


def test_the_input_gradient_of_a_convolution_is_the_real_one(quick):
    conv = keras.models.load_model(quick[0].model).get_layer("conv2d_2")
    x = np.random.default_rng(0).random((2, 4, 4, 4)).astype("float32")
    y, gradient = convolutions.forward_and_back(conv, x.shape)(x)
    np.testing.assert_allclose(y, keras.ops.conv(x, conv.kernel), rtol=1e-4, atol=1e-5)
    nudge = np.random.default_rng(1).random(x.shape).astype("float32")
    moved, _ = convolutions.forward_and_back(conv, x.shape)(x + nudge)
    np.testing.assert_allclose(np.sum(y * (moved - y)), np.sum(gradient * nudge), rtol=1e-3)


def record(section, tool, **values):
    return {"section": section, "tool": tool} | values


def test_our_rate_is_divided_by_keras_vis_s_of_the_same_round():
    rounds = {OURS: [(16, 2.0), (16, 4.0)], KERAS_VIS: [(2, 1.0), (2, 0.5)]}
    records = [
        record("mixed units", tool, layer="a", maps=maps, seconds=seconds)
        for tool, values in rounds.items()
        for maps, seconds in values
    ]
    assert numbers.over_keras_vis(records, "mixed units") == {"a": (4.0, 1.0)}


def test_each_machine_has_a_folder_of_its_own():
    named = machine.folder_of({"CPU": "AMD EPYC (family 26, model 2)", "cores": "2"})
    assert named == "amd-epyc-family-26-model-2-2-cores"


def test_the_best_other_is_chosen_in_each_round():
    values = {OURS: (1.0, 2.0), KERAS_VIS: (4.0, 4.0), "xplique": (8.0, 2.0)}
    records = [
        record("peers", tool, model="n", layer="a", maps=8, seconds=seconds)
        for tool, rounds in values.items()
        for seconds in rounds
    ]
    assert numbers.over_best_other(records) == {("n", "a"): [4.0, 1.0]}


def test_the_panel_counts_each_process_once():
    seconds = [(0, 1.0), (0, 2.0), (0, 9.0), (1, 5.0)]
    records = [
        record("panel", OURS, state="warm", round=index, finished=value) for index, value in seconds
    ]
    assert numbers.panel_seconds(records, OURS, "warm", "finished") == [2.0, 5.0]


def test_a_target_is_judged_by_its_median():
    assert numbers.Target("", 10, (9.0, 11.0, 12.0)).is_met
    assert not numbers.Target("", 10, (9.0, 9.5, 12.0)).is_met
    assert numbers.Target("", 0.3, (0.1, 0.3, 9.0), at_least=False).is_met
    assert numbers.spread([3, 1, 20]) == "3 (1 to 20)"


def test_a_worker_answers_line_by_line():
    answers = io.StringIO()
    worker.serve(
        ['{"do": "a"}\n', '{"do": "b"}\n'], answers, lambda request: {"did": request["do"]}
    )
    assert answers.getvalue() == '{"did": "a"}\n{"did": "b"}\n'


def test_a_worker_process_names_its_error_and_its_end():
    with process.Worker(KERAS_VIS) as started:
        with pytest.raises(RuntimeError, match="(?s)keras-vis failed at nothing.*KeyError"):
            started.ask("nothing")
        started.process.kill()
        with pytest.raises(RuntimeError, match="its process ended"):
            started.ask("about")


def test_a_peer_without_its_environment_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(process, "ROOT", tmp_path)
    with pytest.raises(FileNotFoundError, match="no environment for xplique: run `make bench`"):
        process.Worker("xplique")


@pytest.mark.parametrize("tool", process.PEERS)
def test_a_peer_s_list_holds_names_and_versions_only(tool):
    lines = (ROOT / "benchmarks" / f"peers-{tool}.txt").read_text().splitlines()
    assert all(re.fullmatch(r"#.*|[\w.-]+==[\w.+]+", line) for line in lines)
    assert any(line.startswith(f"{tool}==") for line in lines)
    assert tool in contenders.TOOLS and tool in contenders.NOTES


def test_a_table_is_markdown():
    assert report.table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
