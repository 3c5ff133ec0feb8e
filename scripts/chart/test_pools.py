"""Pools: a map over defaults, each with its queues, and with an autoscaler that asks how much there is to do."""

import tomllib

import helm_python
import pytest

import rendering
from rendering import CASES, ROOT, by_kind, label, named, of_case, of_values, queries

SETTINGS = tomllib.loads((ROOT / "config.toml").read_text())


def env(deployment):
    return {variable["name"]: variable.get("value") for variable in deployment["spec"]["template"]["spec"]["containers"][0]["env"]}


def pools(objects):
    return {
        thing["metadata"]["labels"]["spool/pool"]: thing
        for thing in by_kind(objects, "Deployment")
        if "spool/pool" in thing["metadata"]["labels"]
    }


def test_default_pools_work_every_queue_once():
    made = pools(of_case("default"))
    worked = {name: env(thing)["SPOOL__WORK__QUEUES"] for name, thing in made.items()}
    assert worked == {"io": "ingest,control,webhook", "mux": "mux,preview"}
    assert {name: env(thing)["SPOOL__WORK__POOL"] for name, thing in made.items()} == {"io": "io", "mux": "mux"}
    assert sorted(SETTINGS["work"]["queues"]) == sorted(rendering.QUEUES)


def test_slots_are_the_programs_own_where_nobody_says_otherwise():
    values = rendering.parsed((rendering.CHART / "values.yaml").read_text())[0]
    assert values["workers"]["defaults"]["slots"] == SETTINGS["work"]["slots"]
    assert values["serve"]["slots"]["ingest"] == SETTINGS["work"]["slots"]["ingest"]
    assert f"{values['serve']['drainTimeoutSeconds']}s" == SETTINGS["http"]["drain"]


def test_who_makes_results_has_room_for_what_each_slot_may_lay_down():
    def scratch(thing):
        volumes = {volume["name"]: volume for volume in thing["spec"]["template"]["spec"]["volumes"]}
        return volumes["scratch"]["emptyDir"]["sizeLimit"]

    objects = of_values({"scratch": {"sizeLimit": "1Gi", "perMux": "512Mi"}, "workers": {"defaults": {"slots": {"mux": 3}}}})
    made = pools(objects)
    assert {name: scratch(thing) for name, thing in made.items()} == {"io": "1Gi", "mux": "2560Mi"}
    assert 'scratch_max = "512MiB"' in rendering.config_text(objects)
    values = rendering.parsed((rendering.CHART / "values.yaml").read_text())[0]
    assert values["scratch"]["perMux"] + "B" == SETTINGS["mux"]["scratch_max"]


def test_a_pool_changes_single_keys_of_the_defaults_empty_and_zero_ones_too():
    objects = of_case("all-on")
    made = pools(objects)
    assert sorted(made) == ["io", "mux", "pictures"]
    assert env(made["io"])["SPOOL__WORK__SLOTS__INGEST"] == "32" and env(made["io"])["SPOOL__WORK__SLOTS__CONTROL"] == "4"
    assert env(made["pictures"])["SPOOL__LOG__FILTER"] == "debug"
    assert made["mux"]["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example.com/media/spool:1.2.3-debug"
    assert "@sha256:" in made["io"]["spec"]["template"]["spec"]["containers"][0]["image"]
    assert named(objects, "ScaledObject", "-mux")["spec"]["minReplicaCount"] == 0
    for thing in made.values():
        assert thing["spec"]["template"]["spec"]["priorityClassName"] == "ordinary", label(thing)
    (only,) = pools(of_case("minimal")).values()
    assert not by_kind(of_case("minimal"), "PodDisruptionBudget")
    assert "topologySpreadConstraints" not in only["spec"]["template"]["spec"]


@pytest.mark.parametrize("case", CASES)
def test_whoever_is_scaled_has_no_number_of_its_own(case):
    objects = of_case(case)
    scaled = {thing["spec"]["scaleTargetRef"]["name"] for thing in by_kind(objects, "ScaledObject")}
    for thing in by_kind(objects, "Deployment"):
        assert ("replicas" in thing["spec"]) == (thing["metadata"]["name"] not in scaled), label(thing)
    assert len(by_kind(objects, "TriggerAuthentication")) == bool(scaled)


@pytest.mark.parametrize("case", CASES)
def test_the_autoscaler_counts_the_queues_of_its_pool_up_to_what_the_most_pods_run(case):
    objects = of_case(case)
    for pool, query in queries(objects).items():
        scaler = named(objects, "ScaledObject", f"-{pool}")
        (trigger,) = scaler["spec"]["triggers"]
        target = int(trigger["metadata"]["targetQueryValue"])
        worked = env(pools(objects)[pool])
        names = worked["SPOOL__WORK__QUEUES"].split(",")
        assert query.count(f"LIMIT {target * scaler['spec']['maxReplicaCount']}\n") == 2, query
        assert "IN ({})".format(", ".join(f"'{name}'" for name in names)) in query
        if case != "all-on":
            assert target == sum(int(worked[f"SPOOL__WORK__SLOTS__{name.upper()}"]) for name in names)
        assert scaler["spec"]["fallback"]["behavior"] == "currentReplicasIfHigher"
        authentication = named(objects, "TriggerAuthentication", trigger["authenticationRef"]["name"])
        (secret,) = authentication["spec"]["secretTargetRef"]
        assert secret["parameter"] == "connection"


def notes(values):
    with helm_python.Chart.load(str(rendering.CHART)) as chart:
        return chart.render(values, name="demo", namespace="media")["spool/templates/NOTES.txt"]


def test_notes_name_the_secrets_and_warn_of_a_queue_that_nobody_works():
    text = notes(rendering.values_of("existing-secret"))
    for secret in ["app-postgres (run.uri)", "app-postgres-owner (uri)", "app-tokens (service, signing)", "app-hooks (hooks)"]:
        assert f"  {secret}\n" in text
    assert "demo-spool-work-io, pods: 1, jobs at once in each: 16\n" in text
    assert "spool-scaler" not in text and "WARNING" not in text
    assert "  spool-keda (dsn)\n" in notes(rendering.values_of("keda-postgresql"))
    assert "WARNING: no pool works queue mux;" in notes({"workers": {"pools": {"mux": {"enabled": False}}}})
    assert "WARNING" not in notes(rendering.values_of("staging-local"))


def test_an_environment_may_switch_a_pool_off():
    assert list(pools(of_values({"workers": {"pools": {"mux": {"enabled": False}}}}))) == ["io"]
    assert list(pools(of_values({"workers": {"pools": {"mux": None}}}))) == ["io"]
