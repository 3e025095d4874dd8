"""What is sent differently from what schemathesis makes of the description. Each rule says why."""

import json

import schemathesis

# Topics that stay, so that most requests are about something that is there.
KEPT = {"open", "closed"}
# Longest wait of a page, in seconds: the tests are not to wait for nothing.
WAIT_SECONDS_MAX = 1
NDJSON = ["application/x-ndjson", "application/ndjson"]


@schemathesis.hook
def before_load_schema(context, raw_schema):
    # OpenAPI 3.1 can describe lines as a text only. Here they are a list, so that what is in them is tried.
    for methods in raw_schema["paths"].values():
        for kind, content in methods.get("post", {}).get("requestBody", {}).get("content", {}).items():
            if kind in NDJSON:
                content["schema"] = {"type": "array", "minItems": 1, "items": content["schema"]["contentSchema"]}


@schemathesis.serializer(*NDJSON)
def lines(context, value):
    """Lines of a list; an example is a text already."""
    if isinstance(value, str):
        return {"data": value.encode()}
    entries = value if isinstance(value, list) else [value]
    return {"data": "".join(json.dumps(entry) + "\n" for entry in entries).encode()}


@schemathesis.hook
def before_call(context, case, kwargs):
    # A stream would never end. Its refusals are walked by `tests/api`, its blocks by everything else there.
    case.headers["Accept"] = "application/json"
    action = case.operation.definition.raw["operationId"]
    path = case.path_parameters or {}
    if action.split(".")[-1] in ("close", "delete") and path.get("id") in KEPT:
        path["id"] = "spare"
    if action.endswith(".read"):
        read(case, case.query or {})


def read(case, query):
    """A page that can be had: JSON Schema can't say that parameters exclude each other."""
    if str(query.get("wait", "")).isdigit() and int(query["wait"]) <= 60:
        query["wait"] = min(int(query["wait"]), WAIT_SECONDS_MAX)
    # What is wrong by itself stays wrong.
    if not case.meta or not case.meta.generation.mode.is_positive:
        return
    query.pop("last_event_id", None)
    starts = [name for name in ("before", "after", "last") if name in query]
    for name in starts[1:]:
        del query[name]
    if "before" in query:
        query.pop("wait", None)
