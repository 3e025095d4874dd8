//! The description of the interface, held against every answer that the tests get: its status, media type, code and
//! members must be there. What no test ever causes is not looked at here.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::http::{Answer, Ask};

static DESCRIPTION: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(tambour::openapi::text()).expect("the description is JSON"));

/// Fails when the description does not know this answer to this request.
#[track_caller]
pub(crate) fn check(ask: &Ask, answer: &Answer) {
    // A proxy signs what passes through it and what it says by itself; the hub signs nothing.
    if answer.header("server").is_some() {
        return;
    }
    let Some((name, operation)) = operation(ask) else { return };
    let what = format!("{name}: {} {}", answer.status, answer.text());
    let described = resolved(&operation["responses"][answer.status.to_string()]);
    assert!(described.is_object(), "the description has no such status for {what}");
    let headers = described["headers"].as_object().into_iter().flatten();
    for (name, _) in headers.filter(|(_, header)| resolved(header)["required"] == true) {
        let name = name.to_lowercase();
        assert!(answer.header(&name).is_some(), "no {name}, which is described: {what}");
    }
    let Some(contents) = described["content"].as_object() else {
        assert!(answer.body.is_empty(), "a body that is not described: {what}");
        return;
    };
    let kind = answer.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default().to_owned();
    let content = contents.get(&kind).unwrap_or_else(|| panic!("the description has no {kind} for {what}"));
    if kind.ends_with("/x-ndjson") {
        let mut wrong = Vec::new();
        for line in answer.text().lines() {
            look(&content["schema"], &serde_json::from_str(line).expect("a line is JSON"), "", &mut wrong);
        }
        assert!(wrong.is_empty(), "{wrong:?} in {what}");
    } else if kind.ends_with("json") {
        let mut wrong = Vec::new();
        look(&content["schema"], &answer.json(), "", &mut wrong);
        assert!(wrong.is_empty(), "{wrong:?} in {what}");
    }
}

/// What of the examples of answers is not as their schemas say. (Those of requests are sent by `tests/schema`.)
pub(crate) fn wrong_examples() -> Vec<String> {
    let mut wrong = Vec::new();
    let operations =
        DESCRIPTION["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    for operation in operations {
        let contents =
            operation["responses"].as_object().unwrap().values().filter_map(|answer| answer["content"].as_object());
        for (kind, content) in contents.flatten() {
            for (name, example) in content["examples"].as_object().into_iter().flatten() {
                look(
                    &content["schema"],
                    &example["value"],
                    &format!("{} {kind} {name}", operation["operationId"]),
                    &mut wrong,
                );
            }
        }
    }
    wrong
}

/// The operation of a request; `None` where there is none: the answer is 404 or 405 then.
fn operation(ask: &Ask) -> Option<(String, &'static Value)> {
    let path = ask.path.split('?').next()?;
    let matches = |template: &str| {
        let (parts, wanted): (Vec<_>, Vec<_>) = (path.split('/').collect(), template.split('/').collect());
        let alike = |(part, wanted): (&&str, &&str)| part == wanted || (wanted.starts_with('{') && !part.is_empty());
        parts.len() == wanted.len() && parts.iter().zip(&wanted).all(alike)
    };
    let paths = DESCRIPTION["paths"].as_object()?;
    let (template, item) = paths.iter().find(|(template, _)| matches(template))?;
    let operation = item.get(ask.method.to_lowercase())?;
    Some((format!("{} {template}", ask.method), operation))
}

/// Every member that a schema names, and whether it must be there. `None`: it may be anything.
fn members(schema: &'static Value) -> Option<BTreeMap<&'static str, (Vec<&'static Value>, bool)>> {
    let mut found: BTreeMap<_, (Vec<_>, bool)> = BTreeMap::new();
    let mut parts = vec![schema];
    let mut any = true;
    while let Some(part) = parts.pop().map(resolved) {
        parts.extend(part["allOf"].as_array().into_iter().flatten());
        let Some(properties) = part["properties"].as_object() else { continue };
        any = false;
        for (name, schema) in properties {
            let must =
                part["required"].as_array().is_some_and(|required| required.contains(&Value::from(name.as_str())));
            let member = found.entry(name.as_str()).or_default();
            member.0.push(schema);
            member.1 |= must;
        }
    }
    (!any).then_some(found)
}

fn resolved(schema: &'static Value) -> &'static Value {
    let Some(name) = schema["$ref"].as_str() else { return schema };
    let found = DESCRIPTION.pointer(name.trim_start_matches('#'));
    found.unwrap_or_else(|| panic!("{name} is nowhere in the description"))
}

/// What of a value is not as its schema says: types, texts of a list, members that are missing or not known.
fn look(schema: &'static Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    let schema = resolved(schema);
    if let Some(choices) = schema["oneOf"].as_array() {
        let fits = |choice: &&'static Value| {
            let mut wrong = Vec::new();
            look(choice, value, at, &mut wrong);
            wrong.is_empty()
        };
        if choices.iter().filter(fits).count() != 1 {
            wrong.push(format!("{at} is not one of the choices"));
        }
        return;
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is = |of: &Value| of == kind || of.as_array().is_some_and(|kinds| kinds.contains(&Value::from(kind)));
    if !schema["type"].is_null() && !is(&schema["type"]) {
        wrong.push(format!("{at} is of type {kind}"));
    }
    if schema["enum"].as_array().is_some_and(|texts| !texts.contains(value)) {
        wrong.push(format!("{at} is none of {}", schema["enum"]));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        if schema["items"].is_object() {
            look(&schema["items"], item, &format!("{at}/{index}"), wrong);
        }
    }
    let (Some(known), Some(given)) = (members(schema), value.as_object()) else { return };
    for (name, value) in given {
        match known.get(name.as_str()) {
            None => wrong.push(format!("{at}/{name} is not described")),
            Some((schemas, _)) => schemas.iter().for_each(|schema| look(schema, value, &format!("{at}/{name}"), wrong)),
        }
    }
    let missing = known.iter().filter(|(name, (_, must))| *must && !given.contains_key(**name));
    wrong.extend(missing.map(|(name, _)| format!("{at}/{name} is missing")));
}
