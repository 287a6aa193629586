"""Everyday use of comfy-script, run as a program of its own: it changes asyncio for its whole process."""

import json
import sys
from pathlib import Path

from comfy_script.runtime import Workflow, load, queue  # pyright: ignore[reportMissingImports]

told = json.loads(sys.stdin.read())
space: dict = {}
load(told["url"], vars=space, watch=True)
queue.watch_display(False)


def draw(seed: int, steps: int):
    """A picture of a text."""
    model, clip, vae = space["CheckpointLoaderSimple"]("tiny")
    wanted = space["CLIPTextEncode"]("a red star", clip)
    avoided = space["CLIPTextEncode"]("", clip)
    canvas = space["EmptyLatentImage"](64, 64, 1)
    latent = space["KSampler"](model, seed, steps, 4.0, "euler", "normal", wanted, avoided, canvas, 1.0)
    return space["SaveImage"](space["VAEDecode"](latent, vae), "script")


with Workflow() as drawing:
    drawn = draw(told["seed"], 4)
progress = []
drawing.task.add_progress_callback(lambda told: progress.append([told.value, told.max]))
drawing.task.wait_result(drawn)[0].save(Path(told["folder"]) / "drawn.png")

with Workflow() as using:
    picture, _ = space["LoadImage"](told["uploaded"])
    used = space["SaveImage"](picture, "used")
using.task.wait_result(used)[0].save(Path(told["folder"]) / "used.png")

with Workflow() as endless:
    draw(told["seed"] + 1, 9000)
endless.task.add_progress_callback(lambda _: queue.cancel_current())
endless.task.wait()
sys.stdout.write(json.dumps({"progress": progress}) + "\n")
sys.stdout.flush()
sys.exit(0)
