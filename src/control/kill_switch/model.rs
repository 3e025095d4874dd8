//! The kill switch on the wire. A name that there is not is refused with the nearest one, so that nothing stays on because of
//! a misspelt word.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tambour_actors::entry::present;
use tambour_actors::frame::time_text;
use tambour_actors::refusal::{Code, Refusal};
use utoipa::ToSchema;

use crate::admission::standing::decide::Wish;
use crate::admission::standing::kill_switch::{
    Asked, KillSwitch, NAMES_MAX, PROVIDER_BYTES_MAX, REASON_BYTES_MAX, can_be_off, covers,
};
use crate::openapi::shapes;
use crate::routes::{ROUTES, RouteSpec};

/// The body: what is to be switched off, in place of everything that is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutKillSwitch {
    /// Actions by their names, families of them, or `*` for all; at most 64.
    #[serde(default)]
    #[schema(value_type = Vec<shapes::SwitchedAction>, max_items = 64)]
    disabled_actions: Vec<String>,
    /// Whether agents may only read.
    #[serde(default)]
    disable_autonomy: bool,
    /// Providers that no `run_start` and no `tool_call` may name; at most 64.
    #[serde(default)]
    #[schema(value_type = Vec<shapes::Provider>, max_items = 64)]
    disable_providers: Vec<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = shapes::Reason)]
    reason: Option<String>,
}

fn invalid(detail: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(Code::BodyInvalid, detail)
}

/// What can be switched off.
fn actions() -> impl Iterator<Item = &'static str> {
    ROUTES.iter().filter(|route| route.can_be_off()).map(|route| route.action)
}

/// Every way to name something that can be switched off.
#[must_use]
pub fn names() -> BTreeSet<String> {
    let families = |action: &str| -> Vec<String> {
        action.match_indices('.').map(|(end, _)| format!("{}.*", &action[..end])).collect()
    };
    actions().flat_map(families).chain(actions().map(str::to_owned)).chain(["*".to_owned()]).collect()
}

fn check_action(name: &str, names: &BTreeSet<String>) -> Result<(), Refusal> {
    if names.contains(name) {
        return Ok(());
    }
    let is_fixed = |route: &RouteSpec| !route.can_be_off() && covers(name, route.action);
    if !can_be_off(name) || ROUTES.iter().any(is_fixed) {
        return Err(invalid(format!("disabled_actions: {name} can't be switched off")));
    }
    let score = |known: &&String| strsim::normalized_damerau_levenshtein(known, name);
    let nearest = names.iter().max_by(|a, b| score(a).total_cmp(&score(b))).map_or("*", String::as_str);
    Err(invalid(format!("disabled_actions: there is no action {name}; did you mean {nearest}?")))
}

fn check_provider(name: &str) -> Result<(), Refusal> {
    let is_letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-');
    if (1..=PROVIDER_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_letter) {
        return Ok(());
    }
    Err(invalid(format!(
        "disable_providers: a provider has 1 to {PROVIDER_BYTES_MAX} characters of a-z, 0-9, _, . and -"
    )))
}

impl PutKillSwitch {
    /// What is asked for.
    ///
    /// # Errors
    /// `body.invalid`.
    pub fn wish(self) -> Result<Wish, Refusal> {
        let Self { disabled_actions, disable_autonomy, disable_providers, reason } = self;
        for (name, list) in [("disabled_actions", &disabled_actions), ("disable_providers", &disable_providers)] {
            if list.len() > NAMES_MAX {
                return Err(invalid(format!("{name} has at most {NAMES_MAX} names")));
            }
        }
        let names = names();
        disabled_actions.iter().try_for_each(|name| check_action(name, &names))?;
        disable_providers.iter().try_for_each(|name| check_provider(name))?;
        let is_reason =
            |text: &String| (1..=REASON_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
        if !reason.as_ref().is_none_or(is_reason) {
            return Err(invalid(format!("reason has 1 to {REASON_BYTES_MAX} bytes and no control characters")));
        }
        let set = |list: Vec<String>| list.into_iter().map(Arc::from).collect();
        Ok(Wish::PutKillSwitch(Asked {
            actions: set(disabled_actions),
            autonomy: disable_autonomy,
            providers: set(disable_providers),
            reason: reason.map(Into::into),
        }))
    }
}

/// What is switched off.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = KillSwitch)]
pub struct ShownKillSwitch {
    /// Actions, families of them, or `*`.
    #[schema(value_type = Vec<shapes::SwitchedAction>)]
    disabled_actions: Vec<String>,
    /// Whether agents may only read.
    disable_autonomy: bool,
    #[schema(value_type = Vec<shapes::Provider>)]
    disable_providers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Reason)]
    reason: Option<String>,
    /// Who said it last. Missing where nothing was ever switched off.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Sub)]
    changed_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Time)]
    changed_at: Option<String>,
}

impl ShownKillSwitch {
    /// Shows it.
    #[must_use]
    pub fn of(said: &KillSwitch) -> Self {
        Self {
            disabled_actions: said.actions.keys().map(ToString::to_string).collect(),
            disable_autonomy: said.autonomy.is_some(),
            disable_providers: said.providers.keys().map(ToString::to_string).collect(),
            reason: said.reason.as_ref().map(ToString::to_string),
            changed_by: Some(said.changed_by.to_string()),
            changed_at: Some(time_text(said.changed_at_ms)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: &str) -> Result<Asked, String> {
        let parsed: PutKillSwitch = serde_json::from_str(body).map_err(|error| error.to_string())?;
        match parsed.wish() {
            Ok(Wish::PutKillSwitch(asked)) => Ok(asked),
            Ok(other) => panic!("{other:?}"),
            Err(refusal) => {
                assert_eq!(refusal.code, Code::BodyInvalid);
                Err(refusal.detail.into_owned())
            }
        }
    }

    fn off(name: &str) -> Result<Asked, String> {
        asked(&serde_json::json!({ "disabled_actions": [name] }).to_string())
    }

    #[test]
    fn every_action_is_switched_off_by_its_name_and_family_or_can_t_be() {
        for route in ROUTES {
            let (family, _) = route.action.split_once('.').unwrap();
            let by_name = off(route.action);
            assert_eq!(by_name.is_ok(), route.can_be_off(), "{}", route.action);
            if route.can_be_off() {
                assert!(off(&format!("{family}.*")).is_ok(), "{family}");
            } else {
                assert_eq!(by_name.unwrap_err(), format!("disabled_actions: {} can't be switched off", route.action));
            }
        }
        for name in ["*", "threads.*", "threads.members.*", "canvases.read"] {
            assert!(off(name).is_ok(), "{name}");
        }
        for name in ["kill_switches.*", "audit.*", "audit.list", "health.*", "console.*", "openapi.*"] {
            assert_eq!(off(name).unwrap_err(), format!("disabled_actions: {name} can't be switched off"));
        }
        for (name, nearest) in [
            ("thread.publish", "threads.publish"),
            ("threads.pubish", "threads.publish"),
            ("thread.*", "threads.*"),
            ("Threads.read", "threads.read"),
            ("threads*", "threads.*"),
        ] {
            let expected = format!("disabled_actions: there is no action {name}; did you mean {nearest}?");
            assert_eq!(off(name).unwrap_err(), expected);
        }
        for name in ["", "threads", "threads.", ".*", "threads.**", "*.read"] {
            assert!(off(name).is_err(), "{name}");
        }
    }

    #[test]
    fn bodies() {
        assert_eq!(asked("{}"), Ok(Asked::default()));
        let all =
            r#"{"disabled_actions":["*","*"],"disable_autonomy":true,"disable_providers":["a.b-c_1"],"reason":"x"}"#;
        let all = asked(all).unwrap();
        assert_eq!((all.actions.len(), all.autonomy, all.providers.len()), (1, true, 1));
        let list = |name: &str, count: usize| format!(r#"{{"{name}":[{}]}}"#, vec![r#""sessions.*""#; count].join(","));
        assert!(asked(&list("disabled_actions", NAMES_MAX)).is_ok());
        for bad in [
            &list("disabled_actions", NAMES_MAX + 1),
            &list("disable_providers", NAMES_MAX + 1).replace(".*", ""),
            r#"{"disable_providers":[""]}"#,
            r#"{"disable_providers":["Acme"]}"#,
            r#"{"disable_providers":["a b"]}"#,
            &format!(r#"{{"disable_providers":["{}"]}}"#, "a".repeat(PROVIDER_BYTES_MAX + 1)),
            r#"{"reason":""}"#,
            r#"{"reason":"a\nb"}"#,
            r#"{"reason":null}"#,
            r#"{"disabled_actions":null}"#,
            r#"{"disable_autonomy":1}"#,
            r#"{"disabled":[]}"#,
            &format!(r#"{{"reason":"{}"}}"#, "a".repeat(REASON_BYTES_MAX + 1)),
        ] {
            assert!(asked(bad).is_err(), "{bad}");
        }
    }
}
