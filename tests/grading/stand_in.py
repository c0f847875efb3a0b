"""Takes the place of the marker process: answers at once, and ends as it is told to.

What a student's name says happens: "kills ..." ends the process, "hangs ..." never answers,
"raises ..." is an error, "no sandbox ..." is refused. What kills only once leaves a file behind.
"""

import json
import os
import sys
import time
from pathlib import Path


def answer(handed, seed):
    student = handed["student"]
    once = Path(os.environ["STAND_IN"], student.replace(" ", "-"))
    if student.startswith("kills") and not (" once" in student and once.exists()):
        once.touch()
        os.kill(os.getpid(), 9)
    if student.startswith("hangs"):
        time.sleep(600)
    if student.startswith("raises"):
        return {"error": "ZeroDivisionError: division by zero"}
    if student.startswith("no sandbox"):
        return {"refused": "a worker did not start"}
    shared = {"student": student, "notebook": handed["notebook"], "sha256": None, "lecture": "06"}
    shared |= {"state": "graded", "reason": "", "points": 1, "max_points": 3, "exercises": []}
    return {"result": shared | {"seed": seed, "printed": f"{os.getpid()}"}}


if __name__ == "__main__":
    if os.environ.get("STAND_IN_BROKEN"):
        raise SystemExit("no module named torch")
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        time.sleep(float(os.environ.get("STAND_IN_SECONDS", 0)))
        print(json.dumps(answer(order["handed"], order["seed"])), flush=True)
