"""Renders the chart with the oldest Helm it is written for, and finds things in what comes out.

Everything works without a cluster. Standard output of Helm is the only truth: nothing here knows the templates.
"""

import functools
import json
import os
import pathlib
import subprocess

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "spool"
CASES = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*-values.yaml"))
QUEUES = ["ingest", "control", "mux", "preview", "webhook"]
RELEASE = "demo"
NAMESPACE = "media"
# What offline rendering takes the cluster for; validation then goes through every version the chart supports.
KUBERNETES = "1.32.0"

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Refused(Exception):
    """Helm did not render; the message is what a person reads."""


def helm(*arguments, values=None):
    """Runs Helm and returns its output."""
    command = [os.environ["HELM"], *arguments]
    if values is not None:
        command += ["--values", "-"]
    done = subprocess.run(
        command, input=json.dumps(values) if values is not None else None, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise Refused(done.stderr + done.stdout)
    return done.stdout


def parsed(text):
    """Every object of a stream of YAML."""
    return [document for document in yaml.load_all(text, Loader=_Loader) if document]


def values_of(case):
    """The values of a case."""
    return yaml.load((CHART / "ci" / f"{case}-values.yaml").read_text(), Loader=_Loader)


@functools.cache
def of_case(case):
    """The objects of a case; do not change them."""
    return of_values(values_of(case))


def of_values(values):
    """The objects of any values."""
    return parsed(helm("template", RELEASE, str(CHART), "--namespace", NAMESPACE, "--kube-version", KUBERNETES, values=values))


def label(thing):
    """How a message names an object."""
    return f"{thing['kind']}/{thing['metadata']['name']}"


def by_kind(objects, *kinds):
    """Those of some kinds."""
    return [thing for thing in objects if thing["kind"] in kinds]


def named(objects, kind, name):
    """The one of this kind whose name ends like this."""
    found = [thing for thing in by_kind(objects, kind) if thing["metadata"]["name"].endswith(name)]
    assert len(found) == 1, f"{kind} {name}: {[label(thing) for thing in found]}"
    return found[0]


def workloads(objects):
    """Everything that makes pods."""
    return by_kind(objects, "Deployment", "StatefulSet", "Job")


def containers(pod):
    """Every container of a pod's spec, those that start first included."""
    return pod.get("initContainers", []) + pod["containers"]


def config_text(objects):
    """The config.toml of a release."""
    return named(objects, "ConfigMap", "-config")["data"]["config.toml"]


def queries(objects):
    """What the autoscaler asks, by pool."""
    found = {}
    for thing in by_kind(objects, "ScaledObject"):
        (trigger,) = thing["spec"]["triggers"]
        found[thing["metadata"]["labels"]["spool/pool"]] = trigger["metadata"]["query"]
    return found
