"""A student's code runs alone, is watched, and is stopped; the user's Ctrl-C stays one."""

import os
import signal
import sys
import threading
import time

import pytest
import torch

from course_utils import exercises, start_here
from course_utils.checking import judging, networks, notebook, onward, running, sources
from course_utils.checking.core import NOT_ATTEMPTED, RIGHT, WRONG, Case, NetworkSpec
from course_utils.checking.sources import EXERCISE, LECTURE, STUDENT, SourceCell

EXERCISE_ = exercises.get("saliency_map")
STEP = exercises.get("ascent_step")
LINES = """def saliency_map(model, x, classes):
    x = x.detach().clone().requires_grad_()
    model(x).gather(1, classes[:, None]).sum().backward()
    return {result}
"""
GOOD = LINES.format(result="x.grad.abs().amax(1)")
IMPORTS = SourceCell("import torch\nfrom course_utils import images, saliency", LECTURE)


def own(source):
    return SourceCell(source, EXERCISE, "saliency_map")


def verdict(*cells, seconds=None):
    pieces = sources.assemble(cells, "saliency_map")
    cases = EXERCISE_.cases(0)
    return judging.judge(EXERCISE_, cases, running.answers(pieces, cases, seconds), pieces)


# ------------------------------------------------------------------ which code counts


def test_uses_a_notebook_variable():
    cells = [
        IMPORTS,
        SourceCell("scale = 2.0", LECTURE),
        own(GOOD.replace("amax(1)", "amax(1)*scale")),
    ]
    found = verdict(*cells)
    assert found.state == WRONG
    assert "the notebook's variable `scale`" in found.reason
    assert "`model`, `x`, `classes`" in found.reason


def test_a_name_that_exists_nowhere():
    found = verdict(IMPORTS, own(GOOD.replace("amax(1)", "amax(1)*scale")))
    assert found.reason.startswith("The name `scale` is not defined (line `return x.grad")


def test_helpers_the_student_added_count():
    helper = SourceCell("scale = 1.0\ndef finish(g):\n    return scale * g.abs().amax(1)", STUDENT)
    assert verdict(IMPORTS, own(LINES.format(result="finish(x.grad)")), helper).state == RIGHT


def test_only_what_is_needed_runs():
    loud = SourceCell("import time\nslow = time.sleep(30)\nother = open('/nowhere')", STUDENT)
    started = time.monotonic()
    assert verdict(IMPORTS, loud, own(GOOD)).state == RIGHT
    assert time.monotonic() - started < 20


def test_imports_in_try_and_magics():
    first = (
        "%matplotlib inline\ntry:\n    import torch as t\nexcept ImportError:\n    raise SystemExit"
    )
    code = LINES.format(result="t.amax(x.grad.abs(), 1)")
    assert verdict(SourceCell(first, LECTURE), own("# mine\n!ls\n" + code)).state == RIGHT


def test_another_exercise_that_is_not_written():
    stub = "def saliency_map(model, x, classes):\n    raise NotImplementedError()"
    code = (
        "def smoothgrad(model, x, classes, noise):\n"
        "    return sum(saliency_map(model, x + n, classes) for n in noise) / len(noise)"
    )
    exercise = exercises.get("smoothgrad")
    for first, state in ((stub, WRONG), (GOOD, RIGHT)):
        cells = [own(first), SourceCell(code, EXERCISE, "smoothgrad")]
        pieces = sources.assemble(cells, "smoothgrad")
        cases = exercise.cases(0)
        found = judging.judge(exercise, cases, running.answers(pieces, cases), pieces)
        assert found.state == state
        assert ("`saliency_map`, which is not written" in found.reason) == (state == WRONG)


def test_stub_and_what_is_left_of_it():
    stub = "def saliency_map(model, x, classes):\n    '''Says.'''\n    # YOUR CODE HERE\n    {}"
    for body in ("raise NotImplementedError()", "pass", "..."):
        assert verdict(own(stub.format(body))).state == NOT_ATTEMPTED
    half = verdict(own(stub.format("y = x\n    raise NotImplementedError()")))
    assert half.state == WRONG
    assert "Delete it" in half.reason
    assert verdict().state == NOT_ATTEMPTED


def test_solved_in_another_cell():
    stub = "def saliency_map(model, x, classes):\n    raise NotImplementedError()"
    assert verdict(own(stub), SourceCell(GOOD)).state == RIGHT
    wrong = SourceCell("def saliency_map(model, x, classes):\n    return x")
    assert verdict(own(GOOD), wrong).state == RIGHT


def test_syntax_error():
    found = verdict(own("def saliency_map(model, x, classes)\n    return x"))
    assert found.state == WRONG
    assert "not valid Python in the line `def saliency_map(model, x, classes)`" in found.reason


@pytest.mark.parametrize(
    "call",
    [
        "saliency.saliency_map(model, x, classes)",
        "__import__('course_utils.saliency', fromlist=['x']).saliency_map(model, x, classes)",
    ],
)
def test_course_functions_are_closed(call):
    found = verdict(IMPORTS, own(f"def saliency_map(model, x, classes):\n    return {call}"))
    assert "course's own `saliency.saliency_map`" in found.reason


def test_imports_inside_the_function_are_closed_too():
    code = (
        "def saliency_map(model, x, classes):\n    import course_utils.saliency as s\n"
        "    from course_utils.saliency import saliency_map as f\n    return f(model, x, classes)"
    )
    assert "course's own `saliency.saliency_map`" in verdict(own(code)).reason


@pytest.mark.parametrize(
    "lines",
    [
        "return layers.activations(model, x, layer)",
        "from course_utils.layers import forward_until as f\n    return f(model, x, layer)[layer]",
        "import course_utils.layers as l\n    return l.activations(model, x, layer)",
    ],
)
def test_what_solves_an_exercise_outright_is_closed_in_that_exercise_alone(lines):
    imports = SourceCell("from course_utils import layers", LECTURE)
    solved = SourceCell(
        f"def capture_layer(model, x, layer):\n    {lines}", EXERCISE, "capture_layer"
    )
    pieces = sources.assemble([imports, solved], "capture_layer")
    exercise = exercises.get("capture_layer")
    cases = exercise.cases(0)
    found = judging.judge(exercise, cases, running.answers(pieces, cases), pieces)
    assert "course's own `layers." in found.reason
    allowed = own(
        "def saliency_map(model, x, classes):\n    return layers.activations(model, x, 'a')"
    )
    assert "layer='a' is not one of the layers" in verdict(imports, allowed).reason


# ------------------------------------------------------------------ watched


def test_namespace_networks_and_random_numbers_are_left_alone(capfd):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    loud = "import sys\n" + GOOD.replace(
        "x = x", "print('hello')\n    sys.stderr.write('!')\n    x = x"
    )
    before = set(globals())
    assert verdict(own(loud)).state == RIGHT
    assert torch.equal(torch.rand(1), expected)
    assert torch.is_grad_enabled()
    assert set(globals()) == before
    assert "course_utils.saliency" in sys.modules
    assert capfd.readouterr() == ("", "")


def test_run_reports_what_was_printed_and_left():
    spec = NetworkSpec(seed=1)

    def careless(model, x):
        print("here")
        model.features.conv1.weight.data.add_(1)
        return {"a": [x.sum(), (1, "b")], "f": careless}

    outcome = running.run(careless, Case({"model": spec, "x": torch.ones(1, 3, 4, 4)}))
    assert outcome.printed == "here\n"
    assert outcome.traces == (("weights", "model"),)
    assert outcome.value["a"][1] == [1, "b"]
    assert outcome.value["f"].kind == "function"
    fresh = networks.build(spec).features.conv1.weight
    assert torch.equal(fresh, networks.build(spec).features.conv1.weight)


@pytest.mark.parametrize("name", networks.TINY)
def test_a_network_is_made_of_pytorchs_layers_and_draws_no_global_random_numbers(name):
    before = torch.get_rng_state()
    model = networks.build(NetworkSpec(name, 3))
    assert torch.equal(torch.get_rng_state(), before)
    layers = [type(part) for part in model.modules() if not list(part.children())]
    assert {layer.__module__.partition(".")[0] for layer in layers} == {"torch"}
    assert {torch.nn.Conv2d, torch.nn.Linear} < set(layers)
    assert all(w.isfinite().all() and w.abs().max() < 9 for w in model.parameters())


def test_lists_and_dictionaries_of_tensors_are_copied_and_watched():
    given = {"maps": {"a": torch.ones(2)}, "some": [torch.ones(2)]}

    def doubles(maps, some):
        maps["a"] *= 2
        some[0] *= 2
        return maps["a"] + some[0]

    found = running.run(doubles, Case(given))
    assert found.value.tolist() == [4, 4]
    assert found.traces == (("input", "maps"), ("input", "some"))
    assert given["maps"]["a"].tolist() == given["some"][0].tolist() == [1, 1]

    def adds(maps, some):
        maps["b"] = some[0]
        return torch.zeros(1)

    assert running.run(adds, Case(given)).traces == (("input", "maps"),)
    assert running.run(lambda maps, some: maps["a"] + some[0], Case(given)).traces == ()


# ------------------------------------------------------------------ stopped


ENDLESS = {
    "loops": "while True:\n        pass",
    "sleeps": "import time\n    time.sleep(60)",
    "swallows": "while True:\n        try:\n            pass\n"
    "        except BaseException:\n            break\n    return x[:, 0]",
}


@pytest.mark.parametrize("how", ENDLESS)
def test_function_that_never_returns(how):
    started = time.monotonic()
    found = verdict(own(f"def saliency_map(model, x, classes):\n    {ENDLESS[how]}"), seconds=0.5)
    assert found.state == WRONG
    assert "had not returned after 0.5 seconds" in found.reason
    assert time.monotonic() - started < 30
    time.sleep(0.7)  # no interruption comes late
    assert signal.getsignal(signal.SIGINT) is not None


def test_module_level_loop_is_stopped():
    cells = [
        SourceCell("a = [0 for _ in iter(int, 1)]"),
        own(GOOD.replace("amax(1)", "amax(1) + a")),
    ]
    assert "had not returned" in verdict(*cells, seconds=0.5).reason


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_the_users_interrupt_stays_one():
    cases = EXERCISE_.cases(0)
    pieces = sources.assemble(
        [own(f"def saliency_map(a, b, c):\n    {ENDLESS['sleeps']}")], "saliency_map"
    )
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    before = signal.getsignal(signal.SIGINT)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        running.answers(pieces, cases, seconds=30)
    assert signal.getsignal(signal.SIGINT) is before


def test_stopped_in_a_thread_too():
    found = []
    code = f"def saliency_map(model, x, classes):\n    {ENDLESS['loops']}"
    thread = threading.Thread(target=lambda: found.append(verdict(own(code), seconds=0.5)))
    thread.start()
    thread.join(30)
    assert "had not returned" in found[0].reason


def test_limit_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("COURSE_CHECK_SECONDS", "3.5")
    assert running.seconds_allowed() == 3.5
    monkeypatch.setenv("COURSE_CHECK_SECONDS", "soon")
    with pytest.raises(ValueError, match="COURSE_CHECK_SECONDS='soon'"):
        running.seconds_allowed()


# ------------------------------------------------------------------ check outside a notebook


def test_check_prints(capsys):
    def capture_layer(model, x, layer):
        return start_here.capture_layer(model, x, layer)[:1]

    assert exercises.check("capture_layer", capture_layer) is None
    assert "capture_layer: wrong, because: Only the first image" in capsys.readouterr().out


def test_course_functions_are_refused(capsys):
    exercises.check("capture_layer", start_here.capture_layer)
    assert "This is the course's own `capture_layer`" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "words"), [(None, "without brackets"), (len, "graded is the function")]
)
def test_things_that_are_no_answer(given, words):
    assert words in notebook.examine(EXERCISE_, given).verdict.reason


def _double(model):
    model.double()


def _swap(model):
    model.features.relu1 = torch.nn.ReLU()


def _in_place(model):
    model.features.relu1.inplace = True


def _forward(model):
    model.features.relu1.forward = torch.relu


def _unfreeze(model):
    model.requires_grad_()


def _damage(model):
    model.features.conv1.weight.data[0] = 0


def _remove(model):
    del model.head.fc


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_double, "weights of `model` in another precision"),
        (_swap, "other layers in `model`"),
        (_in_place, "other layers in `model`"),
        (_remove, "other layers in `model`"),
        (_forward, "another `forward` in `model`"),
        (_unfreeze, "weights of `model` asking for gradients"),
        (_damage, "changes the weights of `model`"),
        (torch.nn.Module.train, "another mode"),
    ],
)
def test_a_network_that_is_not_as_it_was_is_told(change, words):
    def saliency_map(model, x, classes):
        found = EXERCISE_.reference(model, x, classes)
        change(model)
        return found

    cases = EXERCISE_.cases(0)
    outcomes = [running.run(saliency_map, case) for case in cases]
    found = judging.judge(EXERCISE_, cases, outcomes)
    assert found.state == WRONG
    assert words in found.reason


def test_a_network_that_was_put_back_is_no_fault():
    def saliency_map(model, x, classes):
        kept = model.features.relu1
        model.double().train().requires_grad_()
        model.features.relu1 = torch.nn.ReLU()
        found = EXERCISE_.reference(model, x.double(), classes)
        model.features.relu1 = kept
        model.float().eval().requires_grad_(False)
        return found.float()

    cases = EXERCISE_.cases(0)
    outcomes = [running.run(saliency_map, case) for case in cases]
    assert judging.judge(EXERCISE_, cases, outcomes).state == RIGHT


@pytest.mark.parametrize("how", [lambda t: t.numpy(), lambda t: t.double(), lambda t: t])
def test_the_notebook_goes_on_with_tensors_like_its_own(how):
    def saliency_map(model, x, classes):
        """Mine."""
        return how(EXERCISE_.reference(model, x, classes))

    kept = exercises.yours_or_ours("saliency_map", saliency_map)
    assert (kept.__name__, kept.__doc__) == ("saliency_map", "Mine.")
    given = [running.made(value) for value in EXERCISE_.cases(0)[0].args.values()]
    found = kept(*given)
    assert found.dtype == torch.float32
    assert torch.allclose(found, EXERCISE_.reference(*given))
    parts = onward.as_torch(lambda x: [(how(torch.ones(2)), 3)])(torch.ones(1))
    assert parts[0][0].dtype == torch.float32
    assert parts[0][1] == 3


def test_the_notebook_may_name_arguments_and_leave_defaults_out():
    exec("def total_variation(picture, power):\n    return (picture * power).sum()", space := {})
    plain = exercises.get("total_variation").reference
    found = onward.called_like(space["total_variation"], plain)
    assert found(torch.ones(2)) == found(x=torch.ones(2), beta=2.0) == 4
    assert found.__name__ == "total_variation"
    assert onward.called_like(plain, plain) is plain


def test_a_step_that_hangs_on_its_graph_can_be_taken_twice():
    def ascent_step(model, x, classes, rate, weight):
        x = x.clone().requires_grad_()
        (model(x)[range(len(x)), classes].sum() - weight * (x**2).sum()).backward()
        return x + rate * x.grad

    step = exercises.yours_or_ours("ascent_step", ascent_step)
    model, x, *rest = (running.made(v) for v in STEP.cases(0)[0].args.values())
    twice = step(model, step(model, x, *rest), *rest)
    assert torch.allclose(twice, STEP.reference(model, STEP.reference(model, x, *rest), *rest))


def test_yours_or_ours(capsys):
    space = {}
    exec(GOOD, space)
    mine = space["saliency_map"]
    assert exercises.yours_or_ours("saliency_map", mine) is mine

    def saliency_map(model, x, classes):
        raise NotImplementedError()

    assert exercises.yours_or_ours("saliency_map", saliency_map) is EXERCISE_.reference
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("From here on: your saliency_map")
    assert said[1].startswith("From here on: the course's own saliency_map")


@pytest.mark.parametrize(
    ("name", "value"), [("COURSE_FIGURES", "slides"), ("COURSE_POSITIONS", "1")]
)
def test_on_slides_and_pages_nobody_is_told_whose_function_goes_on(
    name, value, monkeypatch, capsys
):
    monkeypatch.setenv(name, value)
    exercises.yours_or_ours("saliency_map", lambda model, x, classes: None)
    assert capsys.readouterr().out == ""


def test_points_under_nbgrader(monkeypatch, capfd):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    space = {}
    exec(GOOD.replace("x = x", "from tqdm import tqdm\n    list(tqdm(range(9)))\n    x = x"), space)
    assert exercises.check("saliency_map", space["saliency_map"]) == 1.0
    assert exercises.check("saliency_map", lambda m, x, c: x) == 0.0
    assert capfd.readouterr().err == ""


def test_torchs_settings_are_as_they_were_after_a_call():
    def sets(x):
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.manual_seed(5)
        return x

    state = torch.get_rng_state()
    assert running.run(sets, Case({"x": torch.ones(2)})).fault is None
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), state)
