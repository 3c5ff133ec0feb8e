"""The image is built of what is there, runs as nobody, and is what the chart expects.

There is no container runtime to build it with here: what can be known without one is checked, the rest is not.
`worker/tests/chart/image.rs` holds the libraries of the real programs against its packages.
"""

import fnmatch
import json
import os
import pathlib
import re
import shutil
import subprocess
import tomllib

import pytest

from rendering import CHART, ROOT, containers, of_case, parsed, workloads

WORKSPACE = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]


def instructions():
    """Stages of the Dockerfile, each a list of instruction and rest; lines that go on are joined, comments are gone."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n", " ", text).splitlines()
    stages = []
    for line in filter(str.strip, lines):
        word, rest = line.split(maxsplit=1)
        if word == "FROM":
            stages.append([])
        stages[-1].append((word, " ".join(rest.split())))
    return stages


BUILD, RUN = instructions()


def of(stage, word):
    return [rest for name, rest in stage if name == word]


def packages(stage):
    (line,) = [rest for rest in of(stage, "RUN") if "apt-get install" in rest]
    words = re.search(r"apt-get install (.*?) &&", line)[1].split()
    return [word for word in words if not word.startswith("-")]


def sent(path):
    """The file belongs to what is sent to the builder, by .dockerignore: the last rule that matches decides."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    taken = True
    for rule in rules:
        pattern = rule.removeprefix("!")
        names = [path, *map(str, pathlib.PurePath(path).parents)]
        if pattern.startswith("**/"):
            hit = pattern.removeprefix("**/") in pathlib.PurePath(path).parts
        else:
            hit = any(fnmatch.fnmatchcase(name, pattern) for name in names if name != ".")
        if hit:
            taken = rule.startswith("!")
    return taken


def copied(stage):
    """What a stage takes out of the project."""
    lines = [rest.split() for rest in of(stage, "COPY") if not rest.startswith("--from")]
    return [source for words in lines for source in words[:-1]]


def test_everything_that_is_copied_is_there_and_is_sent():
    for source in copied(BUILD) + copied(RUN):
        assert (ROOT / source).exists(), source
        assert sent(source), f"{source} is left out by .dockerignore"
    assert not sent("target/debug/spool") and not sent("docs/http.md") and not sent("worker/tests/chart/main.rs")
    assert not sent("data/pg/password") and not sent(".git/config")


def test_cargo_finds_the_whole_workspace_in_what_is_copied(tmp_path):
    for source in copied(BUILD):
        for path in [ROOT / source] if (ROOT / source).is_file() else sorted((ROOT / source).rglob("*")):
            name = str(path.relative_to(ROOT))
            if path.is_file() and sent(name):
                (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, tmp_path / name)
    command = ["cargo", "metadata", "--locked", "--offline", "--no-deps", "--format-version", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)["packages"]
    made = {target["name"] for package in listed for target in package["targets"] if "bin" in target["kind"]}
    built = set(re.findall(r"--bin (\S+)", " ".join(of(BUILD, "RUN"))))
    assert built == {"spool", "spool-tui", "spool-record"} and built <= made
    (taken,) = [rest for rest in of(RUN, "COPY") if rest.startswith("--from=build")]
    assert {pathlib.PurePath(word).name for word in taken.split()[1:-1]} == built
    for package in listed:
        for target in package["targets"]:
            assert pathlib.Path(target["src_path"]).exists(), target


def test_nothing_that_is_compiled_reads_a_file_that_is_not_sent():
    for source in copied(BUILD):
        for path in (ROOT / source).rglob("*.rs"):
            if not sent(str(path.relative_to(ROOT))):
                continue
            text = path.read_text().split("#[cfg(test)]\nmod tests {")[0]
            for name in re.findall(r'include(?:_str|_bytes)?!\(\s*"([^"]+)"', text):
                read = (path.parent / name).resolve().relative_to(ROOT)
                assert sent(str(read)), f"{path.relative_to(ROOT)} reads {read}"


def test_builder_and_runner_are_one_release_and_the_toolchain_is_the_projects():
    assert of(BUILD, "FROM") == [f"rust:{WORKSPACE['package']['rust-version']}-bookworm AS build"]
    assert of(RUN, "FROM") == ["debian:bookworm-slim"]


def test_it_runs_as_nobody_without_a_shell_of_its_own():
    (user,) = of(RUN, "USER")
    number = user.split(":")[0]
    assert number.isdecimal() and int(number) > 10000
    assert json.loads(of(RUN, "ENTRYPOINT")[0]) == ["/usr/local/bin/spool"]
    assert json.loads(of(RUN, "CMD")[0]) == ["--help"]
    assert not of(RUN, "HEALTHCHECK"), "the probes of the chart ask"
    for line in of(BUILD, "RUN") + of(RUN, "RUN"):
        assert "curl" not in line and "wget" not in line, "everything comes from packages and Cargo.lock"


def test_it_is_what_the_chart_expects():
    chart = parsed((CHART / "Chart.yaml").read_text())[0]
    (version,) = [rest.removeprefix("VERSION=") for rest in of(RUN, "ARG") if rest.startswith("VERSION=")]
    assert version == chart["appVersion"] == WORKSPACE["package"]["version"]
    ports = {int(port) for line in of(RUN, "EXPOSE") for port in line.split()}
    asked = set()
    for thing in workloads(of_case("default")):
        pod = thing["spec"]["template"]["spec"]
        assert str(pod["securityContext"]["runAsUser"]) == of(RUN, "USER")[0].split(":")[0]
        for container in containers(pod):
            assert "command" not in container, "the image knows what it starts"
            asked |= {port["containerPort"] for port in container.get("ports", [])}
    assert asked == ports


def test_debian_has_the_packages():
    release = pathlib.Path("/etc/os-release")
    if not release.exists() or "bookworm" not in release.read_text() or not shutil.which("apt-cache"):
        pytest.skip("this is not the Debian of the image")
    if not list(pathlib.Path("/var/lib/apt/lists").glob("*Packages*")):
        pytest.skip("there are no package lists here")
    wanted = {*packages(BUILD), *packages(RUN)}
    # One call for all: each reads the lists of the whole system.
    done = subprocess.run(["apt-cache", "show", *sorted(wanted)], capture_output=True, text=True, check=False)
    found = set(re.findall(r"^Package: (\S+)$", done.stdout, flags=re.MULTILINE))
    assert wanted <= found, f"Debian lacks {sorted(wanted - found)}"
