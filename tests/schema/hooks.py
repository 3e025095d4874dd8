"""What is sent differently from what schemathesis makes of the description. Each rule says why."""

import json

import schemathesis

# Topics that stay, so that most requests are about something that is there.
KEPT = {"plan", "open", "closed"}
# Longest wait of a page, in seconds: the tests are not to wait for nothing.
WAIT_SECONDS_MAX = 1
# Longest title, and longest `sub`, in bytes.
TEXT_BYTES_MAX = 256
NDJSON = "application/x-ndjson"


@schemathesis.hook
def before_load_schema(context, raw_schema):
    # OpenAPI 3.1 can describe lines as a text only. Here they are a list, so that what is in them is tried.
    for methods in raw_schema["paths"].values():
        contents = methods.get("post", {}).get("requestBody", {}).get("content", {})
        if NDJSON in contents:
            content = contents[NDJSON]
            content["schema"] = {"type": "array", "minItems": 1, "items": content["schema"]["contentSchema"]}
            # Another name for the same.
            del contents["application/ndjson"]


@schemathesis.serializer(NDJSON)
def lines(context, value):
    """Lines of a list; an example is a text already."""
    if isinstance(value, str):
        return value.encode()
    entries = value if isinstance(value, list) else [value]
    return "".join(json.dumps(entry) + "\n" for entry in entries).encode()


@schemathesis.hook
def before_call(context, case, kwargs):
    # A stream would never end. Its refusals are walked by `tests/api`, its blocks by everything else there.
    case.headers["Accept"] = "application/json"
    action = case.operation.definition.raw["operationId"]
    path = case.path_parameters or {}
    if action.split(".")[-1] in ("close", "delete") and path.get("id") in KEPT:
        path["id"] = "spare"
    if not case.meta or not case.meta.generation.mode.is_positive:
        # What is wrong by itself stays wrong.
        return
    if action.endswith(".read"):
        read(case.query or {})
    if action == "stream.open":
        one_start(case.query or {}, ("last_event_id", "after", "last"))
    if isinstance(case.body, dict):
        topic(case.body)
    if "sub" in path:
        path["sub"] = shortened(path["sub"])
    if case.media_type == NDJSON and isinstance(case.body, list):
        publish(case.body)


def read(query):
    """A page that can be had: OpenAPI can't say that parameters exclude each other, or are for streams."""
    if "wait" in query:
        query["wait"] = min(int(query["wait"]), WAIT_SECONDS_MAX)
    for name in ("last_event_id", "named"):
        query.pop(name, None)
    one_start(query, ("before", "after", "last"))
    if "before" in query:
        query.pop("wait", None)


def one_start(query, names):
    """Of parameters that exclude each other the first that is there."""
    for name in [name for name in names if name in query][1:]:
        del query[name]


def topic(body):
    """Members of whom each comes once, and texts of which bytes are counted: JSON Schema can't say either."""
    if body.get("title"):
        body["title"] = shortened(body["title"])
    if body.get("members"):
        for member in body["members"]:
            member["sub"] = shortened(member["sub"])
        body["members"] = list({member["sub"]: member for member in body["members"]}.values())


def shortened(text):
    """As much of a text as has few enough bytes."""
    return text.encode()[:TEXT_BYTES_MAX].decode(errors="ignore")


def publish(entries):
    """Lines of which an append without an event's id comes behind an event: JSON Schema can't say it of a line."""
    events = [index for index, entry in enumerate(entries) if "type" in entry]
    loose = [index for index, entry in enumerate(entries) if "event_id" not in entry.get("append", {"event_id": ""})]
    if loose and (not events or loose[0] < events[0]):
        entries.insert(0, {"type": "note", "data": None})
