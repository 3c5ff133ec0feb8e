"""What is rendered is what Kubernetes and KEDA take, in every version the chart supports and with both engines of Helm."""

import json
import re
import tarfile

import helm_python
import jsonschema
import kubernetes_validate
import pytest

import rendering
from rendering import CASES, CHART, label, of_case

# The lower bound of Chart.yaml, two in between, the newest with a schema.
VERSIONS = ["1.27", "1.29", "1.32", "1.37"]
KEDA = json.loads((CHART / "ci" / "schemas" / "keda.json").read_text())


@pytest.mark.parametrize("case", CASES)
def test_helm_finds_nothing_to_complain_about(case):
    values = rendering.values_of(case)
    rendering.helm("lint", "--strict", str(CHART), values=values)
    report = helm_python.chart.lint(str(CHART), values, strict=True, kube_version="v1.37.0")
    assert not report["errors"] and all(message["severity"] < 2 for message in report["messages"]), report


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", CASES)
def test_every_object_meets_the_schema_of_kubernetes(case, version):
    for thing in of_case(case):
        if thing["apiVersion"] != "keda.sh/v1alpha1":
            kubernetes_validate.validate(thing, version, strict=True)


def test_an_object_with_a_word_that_kubernetes_does_not_know_is_found():
    thing = json.loads(json.dumps(rendering.named(of_case("default"), "Deployment", "-serve")))
    thing["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    for version in VERSIONS:
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(thing, version, strict=True)


@pytest.mark.parametrize("case", CASES)
def test_every_custom_object_meets_a_strict_schema(case):
    for thing in of_case(case):
        if "." in thing["apiVersion"] and not thing["apiVersion"].split("/")[0].endswith(".k8s.io"):
            schema = KEDA["definitions"].get(thing["kind"])
            assert schema, f"{label(thing)} has no schema in ci/schemas"
            jsonschema.validate(thing, {**schema, "definitions": KEDA["definitions"]})


def test_the_schema_of_custom_objects_is_strict():
    thing = json.loads(json.dumps(rendering.named(of_case("keda-postgresql"), "ScaledObject", "-io")))
    schema = {**KEDA["definitions"]["ScaledObject"], "definitions": KEDA["definitions"]}

    def refused(change):
        changed = json.loads(json.dumps(thing))
        change(changed["spec"])
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(changed, schema)

    jsonschema.validate(thing, schema)
    refused(lambda spec: spec.update(minReplicas=1))
    refused(lambda spec: spec.update(pollingInterval="15"))
    refused(lambda spec: spec["triggers"][0]["metadata"].update(targetQueryValue=3))
    refused(lambda spec: spec["triggers"][0]["metadata"].pop("query"))
    refused(lambda spec: spec["fallback"].update(behavior="never"))
    refused(lambda spec: spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleUp"].update(polices=[]))


@pytest.mark.parametrize("case", CASES)
def test_the_newest_engine_renders_the_same(case):
    def sorted_by_label(objects):
        return sorted(objects, key=lambda thing: (label(thing), json.dumps(thing, sort_keys=True)))

    with helm_python.Chart.load(str(CHART)) as chart:
        rendered = chart.render(rendering.values_of(case), name=rendering.RELEASE, namespace=rendering.NAMESPACE)
    texts = [text for name, text in rendered.items() if name.endswith(".yaml")]
    newest = [thing for text in texts for thing in rendering.parsed(text)]
    assert sorted_by_label(newest) == sorted_by_label(of_case(case))


def test_the_lower_bound_is_the_first_version_that_is_validated():
    chart = rendering.parsed((CHART / "Chart.yaml").read_text())[0]
    assert chart["kubeVersion"] == f">={VERSIONS[0]}.0-0"
    with pytest.raises(rendering.Refused, match="incompatible with Kubernetes"):
        rendering.helm("template", "demo", str(CHART), "--kube-version", "1.26.0")


@pytest.mark.parametrize("case", CASES)
def test_no_object_is_there_twice_and_names_are_short_enough(case):
    names = [(thing["apiVersion"], label(thing)) for thing in of_case(case)]
    assert len(names) == len(set(names))
    for _, name in names:
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name.split("/")[1]), name


def test_the_package_holds_the_chart_and_nothing_that_checks_it(tmp_path):
    rendering.helm("package", str(CHART), "--destination", str(tmp_path))
    (package,) = tmp_path.iterdir()
    with tarfile.open(package) as archive:
        names = archive.getnames()
    assert {"spool/values.schema.json", "spool/README.md", "spool/templates/tests/enqueue.yaml"} <= set(names)
    assert not [name for name in names if name.startswith("spool/ci")]


def test_long_names_are_cut_where_kubernetes_would_refuse_them():
    objects = rendering.of_values({"fullnameOverride": "a" * 30 + "-" + "b" * 30})
    for thing in objects:
        assert len(thing["metadata"]["name"]) <= 63, label(thing)
