"""Explorers in a kernel, which gets the messages that a page would send."""

import ast
import time

import pytest
from jupyter_client.manager import start_new_kernel

EXPLORERS = """
import time, torch
from course_utils import widgets
drawn = []
def drawing(**values):
    drawn.append(tuple(values.values()))
    return {"grey": torch.zeros(3, 4, 4)}, str(values)
def slowly(a, b, c):
    time.sleep(1)
    if a == 9:
        raise ValueError("nine")
    return drawing(a=a, b=b, c=c)
slow = widgets.explore(slowly, a=(0, 9), b=(0, 9), c=(0, 9))
quick = widgets.explore(drawing, x=(0, 9))
"""


class Kernel:
    """A kernel with two explorers."""

    def __init__(self):
        self.manager, self.client = start_new_kernel(kernel_name="python3", startup_timeout=300)
        self.value("0", EXPLORERS)
        made = "{**slow.controls, **quick.controls}.items()"
        self.models = self.value(f"{{name: one.model_id for name, one in {made}}}")

    def value(self, asked, code=""):
        """What an expression is after some code; neither is begun while a message is answered."""
        expressions = {"asked": asked}
        reply = self.client.execute_interactive(code, user_expressions=expressions, timeout=300)
        assert reply["content"]["status"] == "ok", reply["content"]
        return ast.literal_eval(reply["content"]["user_expressions"]["asked"]["data"]["text/plain"])

    def move(self, *moves):
        """As a page does: a message for each control and value."""
        for name, value in moves:
            data = {"method": "update", "state": {"value": value}, "buffer_paths": []}
            content = {"comm_id": self.models[name], "data": data}
            self.client.shell_channel.send(self.client.session.msg("comm_msg", content))

    def wait(self, condition):
        """Until it is true in the kernel."""
        end = time.monotonic() + 60
        while not self.value(condition):
            assert time.monotonic() < end, condition
            time.sleep(0.1)

    def drawn(self):
        """What has been drawn since this was asked last."""
        return self.value("[drawn.pop(0) for _ in drawn[:]]")


@pytest.fixture(scope="module")
def running():
    kernel = Kernel()
    yield kernel
    kernel.client.stop_channels()
    kernel.manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel(running):
    """The kernel, with all controls at 0 and nothing waiting."""
    reset = "for one in (*slow.controls.values(), quick.controls['x']): one.value = 0"
    running.value("0", f"{reset}\ntime.sleep(0.3)")
    running.drawn()
    return running


def test_of_changes_during_a_slow_drawing_the_newest_is_drawn_and_not_each(kernel):
    kernel.move(("a", 1), *((name, value) for value in (2, 3, 4) for name in "abc"))
    kernel.wait("slow.text == str(slow.values) and slow.values['c'] == 4")
    drawn = kernel.drawn()
    assert drawn[0] == (1, 0, 0)
    assert drawn[-1] == (4, 4, 4)
    # Two, or three where the machine is so busy that a message came late; there were ten changes.
    assert len(drawn) <= 3
    assert kernel.value("'course-busy' in slow.box._dom_classes") is False


def test_what_is_quick_is_drawn_for_every_change(kernel):
    kernel.move(*(("x", value) for value in range(1, 8)))
    kernel.wait("quick.controls['x'].value == 7")
    assert kernel.drawn() == [(value,) for value in range(1, 8)]


def test_what_code_sets_is_drawn_before_the_next_line(kernel):
    kernel.move(("a", 1))
    set_and_ask = "slow.controls['b'].value = 5\nsaid = slow.text\nslow.controls['c'].value = 6"
    assert "'b': 5, 'c': 0" in kernel.value("said", set_and_ask)
    assert kernel.drawn() == [(1, 0, 0), (1, 5, 0), (1, 5, 6)]


def test_an_error_that_waited_is_said_and_gone_after_the_next_drawing(kernel):
    kernel.move(("b", 1), ("a", 9), ("c", 2))
    kernel.wait("'nine' in slow.alarm.value")
    kernel.move(("a", 3))
    kernel.wait("slow.text == str(slow.values) and slow.values['a'] == 3")
    assert kernel.value("slow.alarm.value, slow.error") == ("", None)
    assert kernel.drawn() == [(0, 1, 0), (3, 1, 2)]


def test_a_thread_may_move_a_control(kernel):
    """Whatever the kernel answers meanwhile: a thread has no messages of its own."""
    kernel.value(
        "0",
        """
import threading
def put(change):
    thread = threading.Thread(target=setattr, args=(slow.controls["c"], "value", 7))
    thread.start()
    thread.join()
quick.controls["x"].observe(put, "value")
""",
    )
    kernel.move(("x", 3))
    kernel.wait("quick.controls['x'].value == 3")
    kernel.value("0", "quick.controls['x'].unobserve(put, 'value')")
    assert kernel.drawn() == [(3,), (0, 0, 7)]
    assert kernel.value("slow.text == str(slow.values)")
