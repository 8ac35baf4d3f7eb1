"""How long ``vlmbench --help`` takes against a bare import of typer and rich.

    python benchmarks/startup.py [--runs 15]

Both are started in turn as whole processes; the ratio is that of the medians. Asked for: at most 2.5.
"""

import argparse
import statistics
import subprocess
import sys
import time


def seconds(arguments: list[str]) -> float:
    """Wall time of one run of the interpreter with `arguments`."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    ours, bare = ["-m", "vlmbench", "--help"], ["-c", "import typer, rich"]
    times = [(seconds(ours), seconds(bare)) for _ in range(runs + 1)][1:]
    help_page, imports = (statistics.median(column) for column in zip(*times, strict=True))
    heavy = [sys.executable, "-c", "import sys, vlmbench.cli.app; print('torch' in sys.modules)"]
    loaded = subprocess.run(heavy, capture_output=True, text=True, check=True).stdout.strip()
    print(f"vlmbench --help       {help_page * 1000:6.0f} ms (median of {runs})")
    print(f"import typer, rich    {imports * 1000:6.0f} ms")
    print(f"ratio                 {help_page / imports:6.2f}    torch imported: {loaded}")


if __name__ == "__main__":
    main()
