//! What others wrote, as it is shown on a terminal: events as lines, and no text that steers.
//!
//! It never prints.

use serde::Deserialize;
use serde_json::value::RawValue;

/// Text that others wrote, safe to show on a terminal: control characters are written as
/// escapes, and so are those that turn the direction of the text around them.
#[must_use]
pub fn printable(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}');
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || turns(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// An event as people read it: time (UTC), who, type, text.
#[must_use]
pub fn pretty(data: &str) -> String {
    #[derive(Deserialize)]
    struct Wire<'a> {
        time: String,
        #[serde(rename = "type")]
        kind: String,
        routing: Routing,
        #[serde(borrow)]
        data: &'a RawValue,
    }
    #[derive(Deserialize)]
    struct Routing {
        actor_id: String,
    }
    #[derive(Deserialize)]
    struct Text {
        text: String,
    }
    let Ok(event) = serde_json::from_str::<Wire<'_>>(data) else { return printable(data) };
    let text = match serde_json::from_str::<Text>(event.data.get()) {
        Ok(said) => said.text,
        Err(_) => event.data.get().to_owned(),
    };
    let [time, actor, kind, text] = [&event.time, &event.routing.actor_id, &event.kind, &text].map(|t| printable(t));
    format!("{time}  {actor:<12}  {kind:<14}  {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_others_wrote_steers_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\r\n\u{9b}c\u{7f}\u{202E}"), "a\\u{1b}[2Jb\\r\\n\\u{9b}c\\u{7f}\\u{202e}");
        assert_eq!(printable("h\u{e9}llo \u{1F40E}"), "h\u{e9}llo \u{1F40E}");
    }

    #[test]
    fn what_is_shown_to_people() {
        let event = |data: &str| {
            format!(
                "{{\"v\":1,\"id\":\"m.1\",\"seq\":1,\"type\":\"chat_message\",\"time\":\"2026-11-22T06:40:05.123Z\",\
                 \"routing\":{{\"actor_id\":\"alice\"}},\"data\":{data}}}"
            )
        };
        for (data, shown) in [
            ("{\"text\":\"hello\"}", "hello"),
            ("{\"text\":\"two\\nlines\\u001b[2J\"}", "two\\nlines\\u{1b}[2J"),
            ("{\"text\":7}", "{\"text\":7}"),
            ("[1,\"a\"]", "[1,\"a\"]"),
            ("null", "null"),
        ] {
            assert_eq!(
                pretty(&event(data)),
                format!("2026-11-22T06:40:05.123Z  alice         chat_message    {shown}")
            );
        }
        assert_eq!(pretty("not json\u{1b}"), "not json\\u{1b}");
    }
}
