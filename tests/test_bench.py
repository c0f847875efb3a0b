"""`course bench`: its machinery, with contenders made of nothing."""

import ast
import json
import sys
from importlib.metadata import distributions
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from course_utils import images, models
from course_utils.bench import costs, machine, memory, page, rounds, rows, run
from course_utils.bench.memory import Memory
from course_utils.bench.row import Contender, Finding, Row, equal, largest_difference
from course_utils.bench.rows import adversarial, ascent, cam, last_layer, occlusion, saliency, scene
from course_utils.commands import cli
from course_utils.common import paths

ABOUT = {
    "date": "2026-01-02 03:04 UTC", "quick": False, "cpu": "Abacus 9000", "cores": 2, "physical": 1,
    "threads": 2, "memory": 8e9, "system": "Linux x86_64", "python": "3.11.2", "busy": 3,
    "versions": {"torch": "2.15.0"},
}  # fmt: skip


def installed(package):
    """Whether a distribution is there, whatever its modules are called."""
    return any(True for _ in distributions(name=package))


def prepared(value):
    """What a contender prepares: a call that returns a value."""
    return lambda scene: lambda: value


def a_row(name="rain", theirs=1.0, unsupported="", agrees=None):
    """A row of three contenders that do nothing."""
    return Row(
        name,
        f"The {name}",
        lambda: None,
        (
            Contender("the course", prepared(np.ones(3))),
            Contender("abacus", prepared(np.full(3, theirs)), "numpy"),
            Contender("floor: nothing", prepared(None), floor=True),
        ),
        agrees or (lambda s, found: {"abacus": equal(found["the course"], found["abacus"], 1e-4)}),
        unsupported=lambda: unsupported,
    )


@pytest.fixture(autouse=True)
def _no_processes(monkeypatch):
    """No child processes for memory, and no second of waiting for how busy the machine is."""
    monkeypatch.setattr(
        run.measure, "__defaults__", (False, lambda row, name: Memory(600_000_000, 580_000_000))
    )
    monkeypatch.setattr(run.machine, "describe", lambda *_: ABOUT)


# --- Timing ------------------------------------------------------------------------------------


def test_contenders_take_turns():
    seen = []
    calls = {name: lambda name=name: seen.append(name) for name in "abc"}
    rounds.interleave(calls, 3)
    assert "".join(seen) == "abcabcabc"


def test_each_call_is_timed_by_itself():
    now = [0.0]

    def work(seconds):
        now[0] += seconds

    calls = {"a": lambda: work(2), "b": lambda: work(3)}
    taken = rounds.interleave(calls, 2, clock=lambda: now[0])
    assert taken == {"a": [2, 2], "b": [3, 3]}


def test_rounds_fill_the_time_within_limits():
    assert rounds.count(rounds.SECONDS / 10) == 10
    assert rounds.count(1e9) == rounds.FEWEST
    assert rounds.count(0.0) == rounds.MOST
    assert rounds.count(1e-3, quick=True) == rounds.QUICK


def test_the_first_round_counts():
    now, seen = [0.0], []

    def work():
        seen.append(1)
        now[0] += rounds.SECONDS / 8

    assert len(rounds.enough({"a": work}, clock=lambda: now[0])["a"]) == len(seen) == 8


def test_spread_is_the_median_and_the_middle_half():
    assert rounds.spread([5, 1, 2, 4, 3]) == rounds.Spread(3, 2, 4)
    assert rounds.spread([7]) == rounds.Spread(7, 7, 7)


def test_ratios_are_taken_within_a_round():
    """A minute twice as slow changes the seconds of both, and the ratio of neither."""
    taken = {"ours": [1.0, 2.0, 1.0], "theirs": [3.0, 6.0, 3.0]}
    found = rounds.ratios(taken, "ours")
    assert found["theirs"] == rounds.Spread(3, 3, 3)
    assert found["ours"] == rounds.Spread(1, 1, 1)


# --- Agreement ---------------------------------------------------------------------------------


def test_agreement_is_relative_to_the_largest_value():
    assert largest_difference([0.0, 10.0], [0.0, 10.1]) == pytest.approx(0.01)
    assert largest_difference(torch.zeros(2), torch.zeros(2)) == 0
    assert largest_difference(torch.zeros(2), torch.ones(2)) == 1
    assert largest_difference(torch.ones(1, 2, 2), np.ones((2, 2))) == 0  # axes of length one


@pytest.mark.parametrize("theirs", [[1.0, float("nan")], [1.0, float("inf")], [1.0, 1.0, 1.0]])
def test_no_number_and_another_shape_never_agree(theirs):
    finding = equal([1.0, 1.0], theirs, limit=1e9)
    assert not finding.agrees
    assert "DISAGREES" in finding.text


def test_bfloat16_is_measured_by_likeness():
    exact = torch.rand(1, 9, 9)
    assert saliency.like(exact, exact * 1.001).agrees
    assert not saliency.like(exact, torch.rand(1, 9, 9)).agrees
    assert not saliency.like(exact, exact * float("nan")).agrees


def test_an_attack_on_another_layout_is_judged_by_the_loss_it_reaches():
    scene = adversarial.eight()
    ours = (scene.pixels + 8 / 255 * torch.randn_like(scene.pixels).sign()).clamp(0, 1)
    turned = ours.clone()
    turned[..., :2] = scene.pixels[..., :2]  # 1 % of the values: the same loss, near enough
    given = {"the course": ours, "peer, network as downloaded": turned}
    assert adversarial.as_strong(scene, given)["peer, network as downloaded"].agrees
    given["peer, network of the course"] = turned
    assert not adversarial.as_strong(scene, given)["peer, network of the course"].agrees
    for weaker in (scene.pixels, (2 * ours - scene.pixels)):
        given["peer, network as downloaded"] = weaker
        found = adversarial.as_strong(scene, given)["peer, network as downloaded"]
        assert not found.agrees
        assert "DISAGREES: loss" in found.text


def test_a_map_is_as_good_if_it_is_as_trustworthy():
    x = np.random.default_rng(0).normal(size=(60, 2)) * [1, 5]
    good, bad = x * 3, np.random.default_rng(1).normal(size=(60, 2))
    found = last_layer.as_trustworthy(x, {"the course": good, "peer": x})
    assert all(finding.agrees for finding in found.values())
    found = last_layer.as_trustworthy(x, {"the course": bad, "peer": good})
    assert not found["peer"].agrees
    assert "DISAGREES" in found["peer"].text


# --- A row -------------------------------------------------------------------------------------


def test_measuring_a_row_gives_plain_figures():
    found = run.measure(a_row(), quick=True)
    assert json.loads(json.dumps(found)) == found
    assert found["rounds"] == rounds.QUICK
    ours, theirs, floor = found["contenders"]
    assert ours["ratio"] == [1, 1, 1]
    assert theirs["version"] == f"numpy {np.__version__}"
    assert (theirs["agrees"], theirs["agreement"]) == (True, "identical")
    assert (floor["floor"], floor["agreement"]) == (True, "")
    assert theirs["peak"] - theirs["before"] == 20_000_000


def test_a_result_nobody_compared_counts_as_disagreeing():
    found = run.measure(a_row(agrees=lambda *_: {}), quick=True)
    assert [one["agrees"] for one in found["contenders"]] == [True, False, True]


def test_a_first_contender_may_be_judged_too():
    bad = {"the course": Finding("DISAGREES", False), "abacus": Finding("", True)}
    found = run.measure(a_row(agrees=lambda *_: bad), quick=True)
    assert not found["contenders"][0]["agrees"]


def test_rows_have_names_of_their_own_and_comparable_contenders():
    every = rows.every()
    assert len({row.name for row in every}) == len(every) >= 5
    for row in every:
        names = [one.name for one in row.contenders]
        assert len(set(names)) == len(names) >= 2
        assert not row.contenders[0].floor
        assert any(one.package for one in row.contenders)


def test_an_unknown_row_is_told_what_there_is():
    with pytest.raises(ValueError, match="Did you mean 'saliency'"):
        rows.find("salincy")


def test_other_libraries_are_not_imported_with_the_rows():
    """At the head of a module only the course and what it depends on: .venv has no more."""
    own = {"course_utils", "matplotlib", "numpy", "psutil", "torch", "torchvision"}
    for file in (paths.root() / "course_utils" / "bench").rglob("*.py"):
        body = ast.parse(file.read_text(encoding="utf-8")).body
        names = {n.module for n in body if isinstance(n, ast.ImportFrom)}
        names |= {alias.name for n in body if isinstance(n, ast.Import) for alias in n.names}
        foreign = {name.partition(".")[0] for name in names} - own - sys.stdlib_module_names
        assert not foreign, f"{file.name} imports {foreign} at its head"


# --- The page ----------------------------------------------------------------------------------


def figures(seconds=0.5):
    found = run.measure(a_row(), quick=True)
    found["contenders"][0]["seconds"] = seconds
    return found | {"took": 90}


def test_durations_have_three_digits():
    said = [page.duration(s) for s in (0.00123, 0.0152, 0.34, 0.9999, 3.456)]
    assert said == ["1.23 ms", "15.2 ms", "340 ms", "1.00 s", "3.46 s"]
    assert page.ratio(1.416, 1.38, 1.4712) == "1.42 (1.38–1.47)"
    assert page.ratio(146.2, 140.0, 150.0) == "146.2 (140.0–150.0)"
    assert page.memory(655_000_000, 607_000_000) == "655 MB (+48)"


def test_the_page_shows_every_contender_the_machine_and_the_cost():
    results = page.merge(page.EMPTY, "now", ABOUT, "rain", figures())
    said = page.render(results, [a_row()])
    for line in ("| the course | 500 ms | 1 | 600 MB (+20) | – |", "*floor: nothing*"):
        assert line in said
    for word in ("Abacus 9000", "2026-01-02", "torch 2.15.0", "about 2 minutes", "3 % busy"):
        assert word in said
    assert "provisional" not in said
    busy = page.merge(page.EMPTY, "now", ABOUT | {"busy": 60}, "rain", figures())
    assert "provisional" in page.render(busy, [a_row()])
    assert f"abacus [numpy {np.__version__}]" in said


def test_a_disagreement_is_seen_on_the_page():
    said = page.section(a_row(), run.measure(a_row(theirs=2.0), quick=True), "A")
    assert "DISAGREES: 1 off, 1e-04 allowed |" in said


def test_measuring_one_row_keeps_the_others_with_their_run():
    every, old = [a_row("rain"), a_row("sun")], ABOUT | {"cpu": "Slide rule"}
    results = page.merge(page.EMPTY, "old", old, "rain", figures())
    results = page.merge(results, "old", old, "sun", figures())
    results = page.merge(results, "new", ABOUT, "sun", figures())
    said = page.render(results, every)
    assert "`rain`, 3 rounds, run A" in said
    assert "`sun`, 3 rounds, run B" in said
    assert "Slide rule" in said
    results = page.merge(results, "new", ABOUT, "rain", figures())
    assert "Slide rule" not in page.render(results, every)  # nothing is left of that run


def test_the_summary_names_the_fastest_other():
    (line,) = page.summary([a_row()], {"rain": figures()}).splitlines()[2:]
    assert line.startswith("| The rain | 500 ms | ")
    assert "(abacus) |" in line


def test_damaged_figures_are_not_overwritten(tmp_path):
    (tmp_path / "benchmarks.json").write_text('{"rows": ')
    with pytest.raises(ValueError, match="damaged"):
        run.bench([a_row()], [a_row()], tmp_path)
    assert (tmp_path / "benchmarks.json").read_text() == '{"rows": '


def test_the_published_page_is_made_from_its_figures():
    folder = paths.root() / "docs"
    said = page.whole(folder, page.load(folder), rows.every())
    # After a change of its words: `course bench --page`.
    assert (folder / "benchmarks.md").read_text(encoding="utf-8") == said


# --- A whole run -------------------------------------------------------------------------------


@pytest.fixture
def few_rounds(monkeypatch):
    monkeypatch.setattr(rounds, "MOST", 2)
    monkeypatch.setattr(rounds, "FEWEST", 2)


@pytest.mark.usefixtures("few_rounds")
def test_a_run_writes_both_files(tmp_path, capsys):
    every = [a_row("rain"), a_row("sun")]
    assert run.bench(every, every, tmp_path) == []
    assert set(page.load(tmp_path)["rows"]) == {"rain", "sun"}
    assert "### The sun" in (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    said = capsys.readouterr().out
    assert "rain, sun: about 2 min" in said
    assert "s for this row" in said


@pytest.mark.usefixtures("few_rounds")
def test_a_quick_run_prints_and_writes_nothing(tmp_path, capsys):
    assert run.bench([a_row()], [a_row()], tmp_path, quick=True) == []
    assert "| the course |" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("few_rounds")
def test_disagreement_is_reported_written_and_does_not_stop_the_run(tmp_path):
    every = [a_row("rain", theirs=2.0), a_row("sun")]
    wrong = run.bench(every, every, tmp_path)
    assert wrong == ["rain: abacus: DISAGREES: 1 off, 1e-04 allowed"]
    assert set(page.load(tmp_path)["rows"]) == {"rain", "sun"}


@pytest.mark.usefixtures("few_rounds")
def test_a_failing_library_is_named_and_the_old_figures_stay(tmp_path):
    run.bench([a_row("rain")], [a_row("rain")], tmp_path)
    before = page.load(tmp_path)["rows"]["rain"]

    def broken(*_):
        raise RuntimeError("no such operator")

    every = [a_row("rain", agrees=broken), a_row("sun")]
    wrong = run.bench(every, every, tmp_path)
    assert wrong == ["rain: RuntimeError: no such operator"]
    assert page.load(tmp_path)["rows"]["rain"] == before
    assert "sun" in page.load(tmp_path)["rows"]


@pytest.mark.usefixtures("few_rounds")
def test_a_row_the_processor_cannot_run_says_so(tmp_path, capsys):
    dry = [a_row(unsupported="it is too dry")]
    assert run.bench(dry, dry, tmp_path) == []
    assert "left out, it is too dry" in capsys.readouterr().out
    assert "`rain`: not measured, it is too dry." in (tmp_path / "benchmarks.md").read_text("utf-8")


def test_the_verb_hands_over_to_the_environment_of_the_benchmarks(monkeypatch):
    seen = []
    monkeypatch.setattr(
        cli.subprocess, "run", lambda c: seen.append(c) or SimpleNamespace(returncode=4)
    )
    result = CliRunner().invoke(cli.app, ["bench", "--rows", "saliency", "--quick"])
    assert result.exit_code == 4
    course = str(paths.root() / "course.py")
    assert seen == [[sys.executable, course, "bench", "--rows", "saliency", "--quick"]]


@pytest.mark.usefixtures("few_rounds")
def test_the_page_alone_measures_nothing(tmp_path):
    run.bench([a_row()], [a_row()], tmp_path)
    (tmp_path / "benchmarks.md").unlink()
    before = (tmp_path / "benchmarks.json").read_text()
    assert run.bench([], [a_row()], tmp_path) == []
    assert "### The rain" in (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert (tmp_path / "benchmarks.json").read_text() == before


@pytest.mark.parametrize(("wrong", "code"), [([], 0), (["rain: DISAGREES"], 1)])
def test_the_verb_fails_where_results_disagree(monkeypatch, wrong, code):
    seen = []
    monkeypatch.setattr(cli.sys, "prefix", str(paths.root() / ".venv-bench"))
    monkeypatch.setattr(
        run, "bench", lambda chosen, *_: seen.extend(row.name for row in chosen) or wrong
    )
    result = CliRunner().invoke(cli.app, ["bench", "--rows", "saliency, tsne"])
    assert result.exit_code == code
    assert seen == ["saliency", "tsne"]
    assert result.stderr == ("rain: DISAGREES\n" if wrong else "")
    assert CliRunner().invoke(cli.app, ["bench", "--rows", "x"]).exit_code == 1


def test_the_page_is_written_where_the_other_libraries_are_not(monkeypatch):
    seen = []
    monkeypatch.setattr(run, "bench", lambda chosen, *_: seen.append(chosen) or [])
    assert CliRunner().invoke(cli.app, ["bench", "--page"]).exit_code == 0
    assert seen == [[]]


# --- The machine and its memory ----------------------------------------------------------------


def test_the_machine_is_described(monkeypatch):
    monkeypatch.undo()
    found = machine.describe("today", True, ["torch", "numpy"])
    assert found["cpu"]
    assert found["cores"] >= 1
    assert list(found["versions"]) == ["numpy", "torch"]
    assert 0 <= found["busy"] <= 100


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak covers the whole life")
def test_the_peak_is_that_of_the_call(monkeypatch):
    """64 MB that are freed before the end count; what came and went before does not."""
    megabytes = 64

    def prepare(_):
        bytearray(4 * megabytes * 2**20)  # gone before the call
        return lambda: len(np.ones(megabytes * 2**17))

    row = a_row()
    row = Row(row.name, row.title, row.scene, (Contender("one", prepare),), row.compare)
    monkeypatch.setattr(memory.rows, "find", lambda name: row)
    found = memory.observe("rain", "one")
    assert found.peak - found.before == pytest.approx(megabytes * 2**20, rel=0.1)


def test_a_failing_process_is_named(monkeypatch):
    done = SimpleNamespace(returncode=1, stdout="", stderr="Traceback\nImportError: no captum\n")
    monkeypatch.setattr(memory.subprocess, "run", lambda *_, **__: done)
    with pytest.raises(RuntimeError, match="ImportError: no captum"):
        memory.measure("saliency", "captum")


# --- The rows' own pieces ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def photo():
    return scene.photo()


def test_the_network_as_downloaded_is_the_same_network(photo):
    module = scene.as_downloaded(photo.model)
    weight = module.features[0].weight
    assert weight.is_contiguous()
    assert weight.requires_grad
    assert any(getattr(part, "inplace", False) for part in module.modules())
    with torch.no_grad():
        torch.testing.assert_close(module(photo.x), photo.model(photo.x), rtol=1e-3, atol=1e-3)
    first = next(photo.model.parameters())
    assert not first.requires_grad
    assert not any(getattr(part, "inplace", False) for part in photo.model.modules())


def test_the_floor_runs_exactly_the_passes_it_names(photo):
    listening = saliency.Listening(photo.model)
    heard = scene.Scene(listening, photo.x, photo.target)
    gradients = scene.both_passes(heard, 20)()
    assert sum(map(len, listening.seen)) == sum(map(len, gradients)) == 20
    listening.seen.clear()
    scene.forward_passes(heard, 7, 3)()
    assert [len(some) for some in listening.seen] == [3, 3, 1]


def test_the_occlusion_has_as_many_positions_as_it_says():
    side = (224 - occlusion.WINDOW) // occlusion.STRIDE + 1
    assert side**2 == occlusion.POSITIONS


@pytest.mark.skipif(find_spec("captum") is None, reason="captum is in .venv-bench only")
def test_captum_is_called_so_that_it_computes_the_same(photo, monkeypatch):
    monkeypatch.setattr(saliency, "SAMPLES", 3)
    row = rows.find("saliency")
    results = {c.name: c.prepare(photo)() for c in row.contenders if not c.floor}
    assert all(finding.agrees for finding in row.compare(photo, results).values())
    found = saliency.same_for_the_same_noise(photo, {})
    assert all(finding.agrees for finding in found.values()), found


@pytest.mark.parametrize("name", ["guided_backprop", "grad_cam", "cam"])
def test_maps_of_other_libraries_are_asked_for_so_that_they_are_the_same(name):
    row = rows.find(name)
    missing = [c.package for c in row.contenders if c.package and not installed(c.package)]
    if missing:
        pytest.skip(f"{', '.join(sorted(set(missing)))}: in .venv-bench only")
    shared = row.scene()
    results = {c.name: c.prepare(shared)() for c in row.contenders if not c.floor}
    found = row.compare(shared, results)
    assert set(found) == set(results) - {"the course"}
    assert all(finding.agrees for finding in found.values()), found


def test_a_map_from_0_to_1_keeps_its_order():
    assert cam.from_0_to_1([[[3.0, 1.0], [2.0, 5.0]]]).tolist() == [[0.5, 0.0], [0.25, 1.0]]


def test_painted_pictures_are_judged_by_how_often_they_are_recognised():
    good, bad = (ascent.Quality(n, 0.3, 0.01) for n in (4, 3))
    assert ascent.finding(good, bad).agrees
    assert ascent.finding(good, good).agrees
    assert "DISAGREES: 4 recognised" in ascent.finding(bad, good).text


def test_photos_pass_as_pictures_of_their_class_and_grey_does_not():
    wanted = ascent.Wanted(models.load("squeezenet1_1", "cpu"), ("giant panda", "koala"))
    photos = wanted.model.crop_pixels([images.photo(name) for name in ("panda", "koala")])
    found = ascent.quality(wanted, photos)
    assert found.sure == 2
    assert found.other > 0.7
    grey = ascent.quality(wanted, torch.full_like(photos, 0.5))
    assert (grey.sure, grey.fine) == (0, 0.0)


def test_both_paint_as_many_pictures_of_the_same_size(monkeypatch):
    monkeypatch.setattr(ascent, "STEPS", 1)
    row = rows.find("class_visualisation")
    missing = [c.package for c in row.contenders if c.package and not installed(c.package)]
    if missing:
        pytest.skip(f"{missing[0]}: in .venv-bench only")
    shared = row.scene()
    results = {c.name: c.prepare(shared)() for c in row.contenders if not c.floor}
    assert {tuple(r.shape) for r in results.values()} == {(4, 3, ascent.SIDE, ascent.SIDE)}
    assert set(row.compare(shared, results)) == set(results)


def test_layers_are_found_in_both_networks(photo):
    inner = scene.as_downloaded(photo.model)
    ours, theirs = (cam.part(m, photo, cam.LAYER) for m in (photo.model, inner))
    assert ours is photo.model.get_submodule(f"module.{photo.model.layers[cam.LAYER]}")
    assert theirs is inner.get_submodule(photo.model.layers[cam.LAYER])


def test_bfloat16_changes_the_map_a_little(photo, monkeypatch):
    monkeypatch.setattr(saliency, "SAMPLES", 2)
    call = saliency.course_smoothgrad(photo)
    exact, reduced = call(), saliency.in_bfloat16(call)()
    assert np.corrcoef(exact.flatten(), reduced.flatten())[0, 1] > 0.95
    assert largest_difference(exact, reduced) > 1e-4


# --- How costs grow ----------------------------------------------------------------------------


CURVE = {"name": "Rain", "axis": "drops", "points": [1, 2, 4], "seconds": [0.5, 2.0, 8.0]}


def test_a_curve_is_measured_point_by_point_with_its_own_clock():
    now, called = [0.0], []

    def prepare(value):
        def call():
            called.append(value)
            now[0] += value**2

        return call

    curve = costs.Curve("Rain", "drops", (1, 2, 4), prepare, clock=lambda: now[0])
    (found,) = costs.measure([curve])
    assert found["seconds"] == [1, 4, 16]
    assert called == [1] * 4 + [2] * 4 + [4] * 4  # three rounds after one that warms up
    assert page.exponent(found["points"], found["seconds"]) == pytest.approx(2)


def test_a_curve_that_is_measured_again_takes_its_old_place(monkeypatch):
    made = [costs.Curve(n, "drops", (1, 2), lambda value: lambda: None) for n in ("Rain", "Snow")]
    monkeypatch.setattr(costs, "curves", lambda: made)
    old = [CURVE, CURVE | {"name": "Snow"}]
    (found,) = costs.run(made[:1], old)
    assert [one["points"] for one in found["curves"]] == [[1, 2], [1, 2, 4]]
    assert found["about"] == ABOUT | {"threads": 1}


def test_every_curve_has_a_call_for_its_first_point():
    for curve in costs.curves():
        assert callable(curve.prepare(curve.points[0]))
        assert list(curve.points) == sorted(set(curve.points))


def test_occlusion_covers_as_many_positions_as_the_page_says(squeezenet):
    for prepare, value, expected in (
        (costs.by_positions, 169, 169),
        (costs.by_positions, 625, 625),
        (lambda side: costs.occluded(0, side), 128, 49),
    ):
        assert prepare(value)().shape[:2].numel() == expected


def test_the_page_shows_curves_and_the_seconds_of_the_tests(tmp_path):
    times = {
        **{"about": "2026-01-02, Abacus 9000", "steps": {"ruff": 1.4, "notebooks": 600.0}},
        "notebooks": {"notebooks/00_start.ipynb": 11.2, "solutions/00_start.ipynb": 14.8},
    }
    page.save_costs(tmp_path, [], curves=[CURVE], about=ABOUT)
    page.save_costs(tmp_path, [], times=times)
    said = (tmp_path / "benchmarks.md").read_text()
    for words in (
        *("| Rain, by drops | 1: 500 ms, 2: 2.00 s, 4: 8.00 s | 2.00 |", "Abacus 9000"),
        *("| 00_start | 11 | 15 |", "| notebooks | 600 |", "| the whole, minutes | 10.0 |"),
    ):
        assert words in said
    page.save(tmp_path, page.EMPTY, [])  # another row measured: the sections stay
    assert "| Rain, by drops" in (tmp_path / "benchmarks.md").read_text()


def test_a_new_run_of_the_tests_stands_beside_the_two_before():
    known = {}
    for minute in range(1, 5):
        run = {"about": f"run at {minute}", "steps": {"ruff": 60.0 * minute, "new": 1.0}}
        run |= {"notebooks": {"notebooks/00.ipynb": 2.0 * minute}}
        known |= page.take_in(known, run)
    assert [run["about"] for run in known["earlier"]] == ["run at 3", "run at 2"]
    assert all("notebooks" not in run for run in known["earlier"])
    assert page.notebook_seconds(known) == (1, {"notebooks/00.ipynb": 8.0})
    del known["earlier"][1]["steps"]["new"]
    lines = page.step_lines([known["times"], *known["earlier"]])
    assert lines[0] == ["ruff", "240", "180", "120"]
    assert lines[1] == ["new", "1", "1", "–"]
    assert lines[-1] == ["the whole, minutes", "4.0", "3.0", "2.0"]


def test_a_run_that_tells_of_no_notebook_leaves_what_is_known_of_them():
    """The order of the notebooks in the next run comes from here: the longest first."""
    known = page.take_in({}, {"about": "a", "steps": {}, "notebooks": {"notebooks/00.ipynb": 2.0}})
    known |= page.take_in(known, {"about": "b", "steps": {}, "notebooks": {}})
    assert page.notebook_seconds(known) == (2, {"notebooks/00.ipynb": 2.0})
    assert page.notebook_seconds({}) == (1, {})


def test_the_picture_of_the_curves_is_the_same_each_time(tmp_path):
    for name in ("one.svg", "other.svg"):
        costs.draw([CURVE] * 8, tmp_path / name)
    assert (tmp_path / "one.svg").read_text() == (tmp_path / "other.svg").read_text()
    assert "Rain" in (tmp_path / "one.svg").read_text()


def test_the_seconds_of_the_tests_are_taken_in_from_a_file(tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    monkeypatch.setattr(paths, "root", lambda: tmp_path)
    missing = CliRunner().invoke(cli.app, ["costs", "--times", str(tmp_path / "none.json")])
    assert missing.exit_code == 1
    unknown = CliRunner().invoke(cli.app, ["costs", "--only", "snow"])
    assert "Occlusion at 224 pixels" in unknown.stderr
    file = tmp_path / "times.json"
    file.write_text(json.dumps({"about": "today", "steps": {"ruff": 2.0}, "notebooks": {}}))
    done = CliRunner().invoke(cli.app, ["costs", "--times", str(file)])
    assert done.exit_code == 0, done.output
    assert "| ruff | 2 |" in (tmp_path / "docs" / "benchmarks.md").read_text()
