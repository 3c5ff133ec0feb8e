"""Pods meet the restricted Pod Security Standard, hold no secret, and may be moved and replaced without loss."""

import pytest

from rendering import CASES, NAMESPACE, by_kind, config_text, containers, label, named, of_case, of_values, workloads


def pods(case):
    return [(label(thing), thing["spec"]["template"]["spec"]) for thing in workloads(of_case(case))]


@pytest.mark.parametrize("case", CASES)
def test_pods_are_restricted(case):
    for name, pod in pods(case):
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True and context["runAsUser"] > 10000, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False and pod["enableServiceLinks"] is False, name
        for key in ["hostNetwork", "hostPID", "hostIPC"]:
            assert not pod.get(key), name
        for volume in pod["volumes"]:
            kinds = set(volume) - {"name"}
            assert kinds <= {"configMap", "projected", "emptyDir", "persistentVolumeClaim"}, (name, kinds)
            assert volume.get("emptyDir") is None or "sizeLimit" in volume["emptyDir"], name
        for container in containers(pod):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["readOnlyRootFilesystem"] is True, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert "memory" in container["resources"]["limits"] and "cpu" in container["resources"]["requests"], name
            for port in container.get("ports", []):
                assert "hostPort" not in port and port["containerPort"] >= 1024, name


@pytest.mark.parametrize("case", CASES)
def test_secrets_are_files_from_outside(case):
    objects = of_case(case)
    assert not by_kind(objects, "Secret"), "the chart holds no secret"
    for name, pod in pods(case):
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for container in containers(pod):
            mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"] if mount["name"] in volumes}
            sources = mounts["/run/secrets/spool"]["projected"]["sources"]
            there = {item["path"] for source in sources for item in source["secret"]["items"]}
            asked = set()
            for variable in container["env"]:
                assert "valueFrom" not in variable, (name, variable)
                if variable["name"].endswith("_FILE"):
                    folder, _, file = variable["value"].rpartition("/")
                    assert folder == "/run/secrets/spool", (name, variable)
                    asked.add(file)
            assert asked == there, f"{name}: a process sees the secrets it reads and no others"


def test_only_who_delivers_webhooks_can_sign_them():
    for name, pod in pods("all-on"):
        (container,) = pod["containers"]
        env = {variable["name"]: variable["value"] for variable in container["env"]}
        delivers = "webhook" in env.get("SPOOL__WORK__QUEUES", "")
        assert ("SPOOL__WEBHOOK__SECRETS_FILE" in env) == delivers, name
        assert ("SPOOL__AUTH__SIGNING_KEYS_FILE" in env) == (container["args"] == ["serve"]), name


def test_migrations_have_the_address_of_the_owner_and_nobody_else_has():
    for thing in workloads(of_case("existing-secret")):
        pod = thing["spec"]["template"]["spec"]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for container in containers(pod):
            used = [volumes[mount["name"]] for mount in container["volumeMounts"]]
            owner = [volume for volume in used if "app-postgres-owner" in str(volume)]
            assert bool(owner) == (container["args"] == ["migrate"]), (label(thing), container["name"])
    assert {"key": "run.uri", "path": "database-url"} in [
        item
        for volume in named(of_case("existing-secret"), "Deployment", "-serve")["spec"]["template"]["spec"]["volumes"]
        for source in volume.get("projected", {}).get("sources", [])
        for item in source["secret"]["items"]
    ]


@pytest.mark.parametrize("case", CASES)
def test_selectors_find_the_pods_of_one_component_only(case):
    made = [thing for thing in workloads(of_case(case)) if thing["kind"] != "Job"]
    jobs = [thing for thing in workloads(of_case(case)) if thing["kind"] == "Job"]

    def matches(selector, thing):
        labels = thing["spec"]["template"]["metadata"]["labels"]
        return all(labels.get(key) == value for key, value in selector.items())

    for thing in made:
        assert [label(other) for other in made + jobs if matches(thing["spec"]["selector"]["matchLabels"], other)] == [label(thing)]
    for thing in by_kind(of_case(case), "PodDisruptionBudget"):
        found = [other for other in made + jobs if matches(thing["spec"]["selector"]["matchLabels"], other)]
        assert [other["metadata"]["name"] for other in found] == [thing["metadata"]["name"]]
        assert thing["spec"]["maxUnavailable"] == 1 and thing["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    for thing in by_kind(of_case(case), "Service"):
        assert [label(other).split("/")[1] for other in made + jobs if matches(thing["spec"]["selector"], other)] == [
            thing["metadata"]["name"]
        ]


@pytest.mark.parametrize("case", CASES)
def test_pods_end_by_themselves_before_they_are_killed(case):
    for thing in workloads(of_case(case)):
        pod = thing["spec"]["template"]["spec"]
        for container in pod["containers"]:
            drains = [variable["value"] for variable in container["env"] if variable["name"] == "SPOOL__WORK__DRAIN"]
            for drain in drains:
                assert pod["terminationGracePeriodSeconds"] >= int(drain.removesuffix("s")) + 10, label(thing)
            if thing["kind"] != "Job":
                assert container["livenessProbe"]["httpGet"]["path"] == "/healthz", label(thing)
                assert container["readinessProbe"]["httpGet"]["path"] == "/readyz", label(thing)


def test_a_changed_setting_replaces_every_pod_and_a_new_chart_version_none():
    def sums(values):
        made = [thing for thing in workloads(of_values(values)) if thing["kind"] != "Job"]
        return {label(thing): thing["spec"]["template"]["metadata"] for thing in made}

    before, after = sums({}), sums({"config": {"live": {"gap_after": "31s"}}})
    assert before.keys() == after.keys() and len(before) == 3
    for name in before:
        assert before[name]["annotations"] != after[name]["annotations"], name
        assert not [key for key in before[name]["labels"] if "chart" in key or "version" in key], name


def test_the_namespace_is_the_releases():
    for thing in of_case("all-on"):
        assert thing["metadata"].get("namespace", NAMESPACE) == NAMESPACE, label(thing)


def test_migrations_run_in_every_pod_or_in_none():
    def migrating(case):
        made = [thing for thing in workloads(of_case(case)) if thing["kind"] != "Job"]
        return [[container["args"] for container in thing["spec"]["template"]["spec"].get("initContainers", [])] for thing in made]

    assert migrating("default") == [[["migrate"]]] * 3
    assert migrating("minimal") == [[], []]


def test_staging_on_a_volume_is_one_process_that_also_works_its_queue():
    objects = of_case("staging-local")
    serve = named(objects, "StatefulSet", "-serve")
    assert serve["spec"]["replicas"] == 1
    (claim,) = serve["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "50Gi"
    mounts = {mount["mountPath"]: mount["name"] for mount in serve["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]}
    assert mounts["/var/lib/spool/staging"] == claim["metadata"]["name"]
    assert 'mode = "local"' in config_text(objects)
    for thing in by_kind(objects, "Deployment"):
        env = {variable["name"]: variable["value"] for variable in thing["spec"]["template"]["spec"]["containers"][0]["env"]}
        assert "ingest" not in env["SPOOL__WORK__QUEUES"], label(thing)


def test_the_test_job_is_a_hook_that_waits_for_a_worker():
    job = named(of_case("default"), "Job", "-test")
    assert job["metadata"]["annotations"] == {"helm.sh/hook": "test", "helm.sh/hook-delete-policy": "before-hook-creation"}
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["args"][:4] == ["job", "enqueue", "noop", "--wait"]
