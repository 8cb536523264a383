"""``python -m benchmarks [NAME …]``: run them, or those named, and print one JSON line each."""

import importlib
import pkgutil
import sys

import msgspec

import benchmarks


def main(wanted: list[str]) -> None:
    """
    Raises:
        SystemExit: If one of *wanted* is no benchmark.
    """
    modules = [
        importlib.import_module(f"{benchmarks.__name__}.{found.name}")
        for found in pkgutil.iter_modules(benchmarks.__path__)
        if found.name != "__main__"
    ]
    runs = {module.__name__.rpartition(".")[2]: module.run for module in modules if hasattr(module, "run")}
    if unknown := set(wanted) - set(runs):
        raise SystemExit(f"no such benchmark: {', '.join(sorted(unknown))}; there are: {', '.join(runs)}")
    for name, run in runs.items():
        if not wanted or name in wanted:
            print(msgspec.json.encode(run()).decode(), flush=True)


main(sys.argv[1:])
