"""Runs a script's checks one after the other, and ends with the line that `cargo xtask interop` reads."""

import argparse
import sys
import traceback


CHECKS = []


def check(function):
    """Marks a check: a function that takes what the script's `api` gives."""
    CHECKS.append(function)
    return function


def run(description, api, model):
    """Runs all that are marked with `api(url, model)`; `model` is the default of `--model`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--url", required=True)
    parser.add_argument("--model", default=model)
    arguments = parser.parse_args()
    report(api(arguments.url, arguments.model))


def report(opened):
    """Runs all that are marked with `opened`, and ends the process."""
    failed = 0
    for function in CHECKS:
        name = function.__name__.replace("_", " ")
        try:
            function(opened)
            print(f"ok      {name}", flush=True)
        except Exception:
            failed += 1
            print(f"FAILED  {name}", flush=True)
            traceback.print_exc()
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
