//! What a client holds who reads folded, by the documented rule and nothing else: a folded event takes the place of
//! what one has of it, an append above its `until` is added.

use std::collections::BTreeMap;

use serde_json::Value;
use tambour_actors::cursor::Cursor;
use tambour_actors::event::Seq;

/// The events of a topic as a folding client sees them.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    pub(crate) events: BTreeMap<Seq, Seen>,
    /// How many events came, of whatever kind.
    pub(crate) told: usize,
    place: Seq,
}

/// An event, or the text of one that was never told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Whether the event itself was told.
    pub(crate) known: bool,
    pub(crate) text: String,
    pub(crate) redacted: bool,
    until: Seq,
}

fn seq(cursor: &Value) -> Seq {
    Cursor::parse(cursor.as_str().expect("a cursor is text")).expect("a cursor").seq
}

/// Where an event stands for who reads it.
pub(crate) fn place(event: &Value) -> &Value {
    event.get("fold").map_or(&event["id"], |fold| &fold["until"])
}

impl View {
    /// Takes an event as it came.
    pub(crate) fn take(&mut self, event: &Value) -> Seq {
        let own = event["seq"].as_u64().expect("a seq");
        let until = seq(place(event));
        let redacted = event["redacted"] == true;
        let data = &event["data"];
        match event["type"].as_str().expect("a type") {
            "append" => {
                let seen = self.events.entry(seq(&data["event_id"])).or_default();
                let text = data["data"].as_str().unwrap_or_default();
                if own > seen.until {
                    seen.text.push_str(text);
                    seen.until = own;
                }
            }
            "redacted" => {
                let seen = self.events.entry(seq(&data["event_id"])).or_default();
                (seen.redacted, seen.text) = (true, String::new());
            }
            _ => {
                let text = event["fold"]["text"].as_str().unwrap_or_default().to_owned();
                self.events.insert(own, Seen { known: true, text, redacted, until });
            }
        }
        assert!(until > self.place, "places ascend: {event} behind {}", self.place);
        self.place = until;
        self.told += 1;
        until
    }

    /// A gap: what is kept begins behind this place, and nothing more is to be had of what was before.
    pub(crate) fn begin_behind(&mut self, place: Seq) {
        self.place = place;
        self.events = self.events.split_off(&(place + 1));
    }
}
