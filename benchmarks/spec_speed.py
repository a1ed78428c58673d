"""How long a spec takes from text to checked definitions and to verified IR.

Run: `python benchmarks/spec_speed.py` from the repository root (half a minute). Times are CPU seconds of this process
after start-up (imports done, a small spec checked), the best of all rounds. A written spec is one network with a layer
per line; a library spec is three lines that import. Goals: 500 lines < 0.3 s, 10 000 lines < 8 s and linear,
ResNet-152 of the library to verified IR < 3 s.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import pstats
import time
from collections.abc import Callable
from pathlib import Path

from hapir.registry import make_context
from hapir.spec import build_module, load_spec_text

FOLDER = Path()
LIBRARY = ("lenet5", "resnet18", "mobilenet_v2", "googlenet", "densenet121", "resnet152")


def written(lines: int) -> str:
    """A spec of so many lines: convolutions, batch norms, rectifiers and residual sums, one per line."""
    text = ["hap 1", "network big(image: f32[1, 16, 16, 16]) -> f32[1, 16, 16, 16] {"]
    last = block = "image"
    for i in range(lines - 4):
        match i % 4:
            case 0:
                block, name = last, f"c{i}"
                value = f"conv2d({last}, channels = 16, kernel = 3, stride = 1, padding = 1, bias = false)"
            case 1:
                name, value = f"n{i}", f"batch_norm({last})"
            case 2:
                name, value = f"r{i}", f"relu({last})"
            case _:
                name, value = f"s{i}", f"add({last}, {block})"
        text.append(f"    {name} = {value}")
        last = name
    return "\n".join([*text, f"    return {last}", "}", ""])


def check(text: str) -> None:
    """Parse and check."""
    load_spec_text(text, "spec.hap", FOLDER)


def build(text: str) -> None:
    """Parse, check, build the module and verify it."""
    build_module(load_spec_text(text, "spec.hap", FOLDER), None, make_context(), weights=False).verify()


def best(action: Callable[[str], None], text: str, rounds: int) -> float:
    """The least CPU time of so many rounds, in seconds."""
    times: list[float] = []
    for _ in range(rounds):
        start = time.process_time()
        action(text)
        times.append(time.process_time() - start)
    return min(times)


def imported(network: str) -> str:
    """A spec with a schedule of a library network."""
    return f'hap 1\nimport "networks/{network}.hap"\nschedule s of {network} {{ }}\n'


def main() -> None:
    """Print the table, or where the time of one case goes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3, help="rounds per case; the best counts")
    parser.add_argument("--profile", metavar="LINES|NETWORK", help="show where the time of one case goes")
    options = parser.parse_args()
    gc.set_threshold(100_000)  # as `hapir` sets it
    build(imported("lenet5"))
    if options.profile:
        text = written(int(options.profile)) if options.profile.isdigit() else imported(options.profile)
        with cProfile.Profile() as profile:
            build(text)
        pstats.Stats(profile).sort_stats("cumulative").print_stats(30)
        return
    print(f"{'spec':32} {'parse and check':>16} {'and verified IR':>16}")
    checked: dict[int, float] = {}
    for lines in (500, 1000, 10_000):
        text = written(lines)
        checked[lines] = best(check, text, options.rounds)
        print(f"{f'{lines} lines':32} {checked[lines]:14.3f} s {best(build, text, options.rounds):14.3f} s")
    for network in LIBRARY:
        text = imported(network)
        times = (best(action, text, options.rounds) for action in (check, build))
        print(f"{network:32} " + " ".join(f"{seconds:14.3f} s" for seconds in times))
    print(f"10 000 lines take {checked[10_000] / checked[1000]:.1f} times as long as 1000 lines")


if __name__ == "__main__":
    main()
