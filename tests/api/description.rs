//! The description of the interface as the hub serves it. That answers are as it says is checked with every request of
//! these tests, in `support::described`.

use tambour::routes::ROUTES;

use crate::support::described;
use crate::support::http::Ask;
use crate::support::hub::Running;

#[test]
fn anybody_gets_it() {
    let hub = Running::start();
    let answer = Ask::new("GET", "/openapi.json").send(hub.addr());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let served = answer.ok(200);
    assert_eq!(served["openapi"], "3.1.0");
    let paths = served["paths"].as_object().unwrap();
    assert!(ROUTES.iter().all(|route| paths.contains_key(route.path)));
}

#[test]
fn its_examples_of_answers_are_right() {
    assert_eq!(described::wrong_examples(), Vec::<String>::new());
}
