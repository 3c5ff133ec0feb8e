"""The schema knows every setting of the program, and the README every value of the chart."""

import json
import os
import re
import tomllib

from rendering import CHART, ROOT, parsed

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = parsed((CHART / "values.yaml").read_text())[0]
README = CHART / "README.md"
BEGIN, END = "<!-- parameters -->\n", "<!-- end of parameters -->\n"

# Set by the chart itself, from values of other names.
OWNED = {"http.listen", "http.drain", "staging.mode", "staging.dir", "mux.scratch_max"}


def inferred(value):
    """What a setting may be, from its default."""
    kinds = {bool: {"type": "boolean"}, int: {"type": "integer", "minimum": 0}, float: {"type": "number", "minimum": 0}}
    if type(value) in kinds:
        return kinds[type(value)]
    if isinstance(value, list):
        return {"type": "array", "items": {"type": "string"}}
    for form in ["duration", "size"]:
        if re.search(SCHEMA["definitions"][form]["pattern"], value):
            return {"$ref": f"#/definitions/{form}"}
    return {"type": "string"}


def test_the_schema_knows_every_setting_of_the_program_and_no_other():
    settings = tomllib.loads((ROOT / "config.toml").read_text())
    sections = SCHEMA["properties"]["config"]["properties"]
    wanted = {}
    for section, keys in settings.items():
        if section == "work":
            continue
        rules = wanted[section] = {"type": "object", "description": f"Section [{section}] of config.toml."}
        rules |= {"additionalProperties": False, "properties": {}}
        for key, value in keys.items():
            if f"{section}.{key}" in OWNED:
                continue
            there = sections.get(section, {"properties": {}})["properties"].get(key)
            by_hand = there and ("enum" in there or "additionalProperties" in there)
            rules["properties"][key] = there if by_hand else inferred(value)
            if by_hand and "enum" in there:
                assert value in there["enum"], f"{section}.{key}"
    if os.environ.get("CHART_WRITE") == "1":
        SCHEMA["properties"]["config"]["properties"] = sections = wanted
        (CHART / "values.schema.json").write_text(json.dumps(SCHEMA, indent=2, ensure_ascii=False) + "\n")
    assert sections == wanted, "`make fix` takes the settings of config.toml into the schema"


def test_every_object_of_the_schema_is_closed_or_open_on_purpose():
    open_on_purpose = {"global", "strategy", "affinity", "lifecycle", "podSecurityContext", "securityContext"}

    def look(rule, path):
        if rule.get("type") == "object" and "properties" in rule and "extraEnv" not in path:
            assert rule["additionalProperties"] is False, path
        elif rule.get("type") == "object" and "additionalProperties" not in rule and "items" not in path:
            assert path[-1] in open_on_purpose, path
        for key, inner in rule.get("properties", {}).items():
            look(inner, [*path, key])
        for key in ["items", "additionalProperties"]:
            if isinstance(rule.get(key), dict):
                look(rule[key], [*path, key])

    look(SCHEMA, [])


def parameters(rule, values, path=""):
    """Path, meaning and default of every value that somebody may want to set."""
    for key, inner in rule["properties"].items():
        here = f"{path}.{key}" if path else key
        value = values.get(key) if isinstance(values, dict) else None
        if here in {"global", "config", "workers.pools"}:
            continue
        if "properties" in inner and here != "workers.defaults.image" and not here.endswith(("behavior", ".pdb")):
            yield here, inner["description"], None
            yield from parameters(inner, value, here)
        elif not (here == "workers.defaults.queues"):
            yield here, inner["description"], value


def table():
    """The table of the README."""
    lines = ["| Value | Meaning | Default |", "|---|---|---|"]
    for path, meaning, value in parameters(SCHEMA, VALUES):
        shown = "" if value is None else "`" + json.dumps(value, ensure_ascii=False) + "`"
        name = f"**{path}**" if value is None and "." not in path else f"`{path}`"
        lines.append(f"| {name} | {meaning} | {shown} |")
    return "\n".join(lines).replace("<", "&lt;") + "\n"


def test_the_readme_lists_every_value():
    text = README.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    wanted = f"{before}{BEGIN}{table()}{END}{after}"
    if os.environ.get("CHART_WRITE") == "1":
        README.write_text(wanted)
    assert README.read_text() == wanted, "`make fix` writes the table anew"


def test_every_value_has_a_default_and_every_default_a_place_in_the_schema():
    def look(rule, values, path):
        for key in values:
            assert key in rule["properties"], f"{path}.{key}"
            inner = rule["properties"][key]
            if "properties" in inner and isinstance(values[key], dict) and key != "config":
                look(inner, values[key], f"{path}.{key}")
        for key in rule["properties"]:
            known = key in values or key in {"global", "queues", "ingress"} or path.endswith((".image", ".config"))
            assert known or "selectPolicy" in rule["properties"], f"{path}.{key} has no default"

    look(SCHEMA, VALUES, "values")
