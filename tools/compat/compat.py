"""Runs end-to-end tests on several versions of Envoy and writes the result into docs/compatibility.md. `make compat` calls it.

If a registration fails on an Envoy, all its tests run with `certificate: { source: forwarded }`, which an Envoy before 1.38 needs.
"""

import argparse
import os
import re
import subprocess
from collections import Counter
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/compatibility.md"
BEGIN, END = "<!-- written by make compat -->\n", "<!-- end -->\n"

# What depends on the version of Envoy: how it hands requests and certificates to the filter, and its TLS.
TESTS = ["journeys::", "shadow::"] + [
    f"traps::{module}::"
    for module in
    ["bodies", "certificates", "connections", "forward", "handshakes", "headers", "paths", "revocation", "withheld"]
]
JOURNEY = "journeys::a_third_party_registers_gets_a_token_retrieves_updates_and_deletes"
RESULT = re.compile(r"^test (\S+) \.\.\. (ok|FAILED)$", re.MULTILINE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, required=True, help="the program of the end-to-end tests")
    parser.add_argument("envoy", type=Path, nargs="+")
    arguments = parser.parse_args()
    results = {}
    for envoy in arguments.envoy:
        results[version(envoy)] = run_all(arguments.program, envoy.resolve())
        write(table(dict(sorted(results.items()))))


def write(text: str) -> None:
    print(text, flush=True)
    before, rest = DOCUMENT.read_text().split(BEGIN)
    DOCUMENT.write_text(before + BEGIN + "\n" + text + "\n" + END + rest.split(END)[1])


def version(envoy: Path) -> str:
    said = subprocess.run([envoy, "--version"], check=True, capture_output=True, text=True).stdout
    return re.search(r"/(\d+\.\d+\.\d+)/", said)[1]


def run_all(program: Path, envoy: Path) -> dict[str, str]:
    """`passed`, `forwarded` or `failed` for each test."""
    variables, passes = {}, "passed"
    if not all(run(program, envoy, ["--exact", JOURNEY], {}).values()):
        variables, passes = {"DCR_TEST_CERTIFICATE": "forwarded"}, "forwarded"
    outcomes = run(program, envoy, TESTS, variables)
    return {test: passes if passed else "failed" for test, passed in sorted(outcomes.items())}


def run(program: Path, envoy: Path, tests: list[str], variables: dict[str, str]) -> dict[str, bool]:
    print(f"{envoy} {variables}", flush=True)
    environment = {**os.environ, **variables, "ENVOY": str(envoy)}
    output = subprocess.run([program, *tests], env=environment, stdout=subprocess.PIPE, text=True).stdout
    outcomes = {test: outcome == "ok" for test, outcome in RESULT.findall(output)}
    counted = re.search(r"^test result: .* (\d+) passed; (\d+) failed", output, re.MULTILINE)
    if not counted or Counter(outcomes.values()) != Counter({True: int(counted[1]), False: int(counted[2])}):
        raise SystemExit(f"the tests did not end as they should:\n{output}")
    if False in outcomes.values():
        print(output, flush=True)
    return outcomes


def table(results: dict[str, dict[str, str]]) -> str:
    modules = sorted({module(test) for outcomes in results.values() for test in outcomes})
    lines = ["| tests | " + " | ".join(results) + " |", "|---|" + "---|" * len(results)]
    for name in modules:
        cells = [cell([outcome for test, outcome in outcomes.items() if module(test) == name]) for outcomes in results.values()]
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    lines.append("")
    for of, outcomes in results.items():
        lines += [f"- {of} fails `{test}`." for test, outcome in outcomes.items() if outcome == "failed"]
    return "\n".join(lines).rstrip("\n") + "\n"


def module(test: str) -> str:
    return test.rsplit("::", 1)[0]


def cell(outcomes: list[str]) -> str:
    count = Counter(outcomes)
    said = {"passed": "{} pass", "forwarded": "{} with `forwarded`", "failed": "**{} fail**"}
    return ", ".join(text.format(count[outcome]) for outcome, text in said.items() if count[outcome])


if __name__ == "__main__":
    main()
