"""What leaves the chart for others is committed, so that tests of the program can read it without Helm.

`charts/spool/ci/expected/<case>` holds the settings, the command lines with their environment, and what the autoscaler
asks. `make fix` writes these files anew; the diff is what a reviewer reads.
"""

import json
import os

import pytest

from rendering import CASES, CHART, config_text, containers, of_case, queries, workloads

EXPECTED = CHART / "ci" / "expected"


def processes(objects):
    """Every command line of a release with its environment."""
    found = {}
    for thing in workloads(objects):
        pod = thing["spec"]["template"]["spec"]
        for container in containers(pod):
            env = {variable["name"]: variable["value"] for variable in container["env"]}
            found[f"{thing['metadata']['name']}/{container['name']}"] = {"args": container["args"], "env": env}
    return found


def files(case):
    """What the folder of a case holds."""
    objects = of_case(case)
    texts = {"config.toml": config_text(objects).rstrip("\n") + "\n"}
    texts["processes.json"] = json.dumps(processes(objects), indent=2, sort_keys=True) + "\n"
    for pool, query in queries(objects).items():
        texts[f"{pool}.sql"] = query + "\n"
    return texts


@pytest.mark.parametrize("case", CASES)
def test_the_committed_files_are_what_is_rendered(case):
    folder = EXPECTED / case
    wanted = files(case)
    if os.environ.get("CHART_WRITE") == "1":
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
        for name, text in wanted.items():
            (folder / name).write_text(text)
    there = {path.name: path.read_text() for path in folder.iterdir()} if folder.is_dir() else {}
    assert there == wanted, "what is rendered has changed: `make fix` writes the files anew, then read the diff"


def test_no_folder_is_left_of_a_case_that_is_gone():
    assert sorted(path.name for path in EXPECTED.iterdir()) == CASES
