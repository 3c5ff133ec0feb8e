"""What cannot work is refused before anything is changed, in a sentence that names the key."""

import pytest

import rendering


def refusal(values):
    with pytest.raises(rendering.Refused) as refused:
        rendering.of_values(values)
    return str(refused.value)


def pool(**values):
    return {"workers": {"pools": {"io": values}}}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        # The form of single values, by values.schema.json.
        ({"typo": 1}, "Additional property typo is not allowed"),
        ({"serve": {"replica": 2}}, "serve: Additional property replica is not allowed"),
        (pool(concurency=3), "workers.pools.io: Additional property concurency is not allowed"),
        ({"workers": {"defaults": {"slots": {"mxu": 1}}}}, "Additional property mxu is not allowed"),
        ({"config": {"live": {"gap_aftr": "30s"}}}, "config.live: Additional property gap_aftr is not allowed"),
        ({"config": {"http": {"listen": "x"}}}, "config.http: Additional property listen is not allowed"),
        ({"config": {"auth": {"service_tokens": "x"}}}, "config.auth: Additional property service_tokens"),
        ({"config": {"live": {"gap_after": 30}}}, "config.live.gap_after"),
        ({"config": {"limits": {"segment_size": "big"}}}, "config.limits.segment_size"),
        ({"config": {"storage": {"service": "tape"}}}, "config.storage.service"),
        ({"config": {"webhook": {"endpoints": {"app": {"url": "file:///x"}}}}}, "config.webhook.endpoints.app.url"),
        (pool(replicas=-1), "workers.pools.io.replicas: Must be greater than or equal to 0"),
        (pool(queues=[]), "workers.pools.io.queues: Array must have at least 1 items"),
        (pool(queues=["mux", "mux"]), "workers.pools.io.queues: array items[0,1] must be unique"),
        (pool(queues=["mxu"]), "workers.pools.io.queues.0"),
        (pool(slots={"ingest": 0}), "workers.pools.io.slots.ingest"),
        (pool(autoscaling={"mode": "cpu"}), "workers.pools.io.autoscaling.mode"),
        ({"workers": {"pools": {"Big_Pool": {"queues": ["mux"]}}}}, "Big_Pool"),
        ({"database": {"existingSecret": ""}}, "database.existingSecret"),
        ({"scratch": {"sizeLimit": "256 MB"}}, "scratch.sizeLimit"),
        # What contradicts itself, by the guards.
        (
            pool(drainTimeoutSeconds=60, terminationGracePeriodSeconds=60),
            "workers.pools.io.terminationGracePeriodSeconds is 60, but it must be at least drainTimeoutSeconds + 10 = 70",
        ),
        ({"serve": {"terminationGracePeriodSeconds": 30}}, "at least preStopSeconds + drainTimeoutSeconds + 10 = 40"),
        ({"staging": {"mode": "local"}}, "serve.replicas must be 1 and not 2"),
        (
            {"staging": {"mode": "local"}, "serve": {"replicas": 1}, **pool(queues=["ingest"])},
            "workers.pools.io works nothing but ingest",
        ),
        ({"workers": {"pools": {"more": {"replicas": 2}}}}, "workers.pools.more.queues is missing"),
        (
            pool(autoscaling={"mode": "keda-postgresql", "minReplicas": 5, "maxReplicas": 2}),
            "workers.pools.io.autoscaling.minReplicas is 5 and maxReplicas is 2",
        ),
        (
            {
                "fullnameOverride": "a" * 40,
                "workers": {
                    "defaults": {"autoscaling": {"mode": "keda-postgresql"}},
                    "pools": {"a-long-pool": {"queues": ["mux"]}},
                },
            },
            "longer than 63 characters; set a shorter fullnameOverride",
        ),
        ({"config": {"storage": {"service": "fs"}}}, "name a claim that many pods may mount"),
        ({"config": {"storage": {"bucket": ""}}}, "config.storage.bucket must name a bucket"),
    ],
)
def test_refused(values, words):
    assert words in refusal(values)
