//! The document as a whole: every route is in it, every reference leads somewhere, every refusal has its place.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::routes::ROUTES;
use tambour_actors::refusal::Code;

/// Codes that no operation answers with: they are of frames, or of requests that meet no operation.
const ELSEWHERE: &[Code] = &[
    Code::MethodNotAllowed,
    Code::IdentityChanged,
    Code::SessionEnded,
    Code::FrameMalformed,
    Code::FrameBinary,
    Code::FrameTooLarge,
    Code::HelloLate,
    Code::HelloMissing,
    Code::TopicLimit,
    Code::SessionRate,
    Code::SubscribedAlready,
    Code::NotSubscribed,
];

fn json() -> Value {
    serde_json::from_str(text()).unwrap()
}

/// Calls `look` with every object of the document.
fn walk(value: &Value, look: &mut impl FnMut(&serde_json::Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            look(object);
            object.values().for_each(|value| walk(value, look));
        }
        Value::Array(items) => items.iter().for_each(|value| walk(value, look)),
        _ => {}
    }
}

#[test]
fn every_route_is_an_operation() {
    let document = json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    let described: BTreeSet<_> = paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().unwrap().iter().map(move |(method, operation)| (path, method, operation))
        })
        .map(|(path, method, operation)| (path.clone(), method.to_uppercase(), operation["operationId"].to_string()))
        .collect();
    let routes: BTreeSet<_> = ROUTES
        .iter()
        .map(|route| (route.path.to_owned(), (route.method)().to_string(), format!("\"{}\"", route.action)))
        .collect();
    assert_eq!(described, routes);
    let actions: BTreeSet<_> = ROUTES.iter().map(|route| route.action).collect();
    assert_eq!(actions.len(), ROUTES.len(), "an action is one operation's");
}

#[test]
fn every_reference_leads_somewhere() {
    let document = json();
    let mut references = 0;
    walk(&document, &mut |object| {
        let Some(name) = object.get("$ref").and_then(Value::as_str) else { return };
        references += 1;
        assert!(document.pointer(name.trim_start_matches('#')).is_some(), "{name} leads nowhere");
    });
    assert!(references > 100, "{references} references");
}

#[test]
fn every_refusal_has_its_place() {
    let documented: Vec<_> = ROUTES.iter().flat_map(|route| (route.doc)(route).codes(route)).collect();
    for code in Code::ALL {
        let (here, elsewhere) = (documented.contains(code), ELSEWHERE.contains(code));
        assert!(here || elsewhere, "{code:?} belongs to an operation, or to ELSEWHERE");
        assert!(!(here && elsewhere), "{code:?} is an operation's and in ELSEWHERE");
    }
}

#[test]
fn statuses_are_told_one_by_one() {
    for route in ROUTES {
        let operation = &json()["paths"][route.path][(route.method)().as_str().to_lowercase()];
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().all(|status| status.parse::<u16>().is_ok()), "{}: {responses:?}", route.action);
        assert!(responses.keys().any(|status| matches!(status.as_bytes()[0], b'1' | b'2')), "{}", route.action);
        let secured = operation["security"].as_array().is_some_and(|security| !security.is_empty());
        assert_eq!(secured, route.access != crate::routes::Access::Public, "{}", route.action);
    }
}
