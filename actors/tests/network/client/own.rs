//! What a client publishes right behind its subscribe, and what it may then expect: the subscribe has its answer first, and
//! the reader starts before what was published.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use tambour_actors::cursor::Cursor;

use super::{Client, parse};

/// What a client keeps of what it publishes behind its subscribes.
#[derive(Default)]
pub(super) struct Own {
    /// The `ref` of the subscribe that each publish came behind, by the publish's own.
    behind: HashMap<u64, u64>,
    /// The head that each subscribe was told.
    heads: HashMap<u64, Cursor>,
    /// The subscribes that came to nothing.
    refused: HashSet<u64>,
}

impl Own {
    pub(super) fn began(&mut self, subscribe: u64, head: Cursor) {
        self.heads.insert(subscribe, head);
    }

    pub(super) fn refused(&mut self, request: u64) {
        self.refused.insert(request);
    }
}

impl Client {
    /// Publishes to a topic behind a subscribe to it, whether that was answered or not.
    pub(crate) fn publish_behind(&mut self, topic: &str, data: &Value) {
        let Some(reading) = self.readings.get(topic) else { return };
        self.references += 1;
        self.own.behind.insert(self.references, reading.reference);
        let reference = self.references;
        self.send(&json!({"t": "publish", "topic": topic, "type": "note", "data": data, "ref": reference}));
    }

    /// A publish was carried out: behind the answer to the subscribe before it, and behind where its reader starts.
    pub(super) fn check_own(&self, published: &Value) {
        let subscribe = published["ref"].as_u64().and_then(|reference| self.own.behind.get(&reference));
        let Some(subscribe) = subscribe else { return };
        let id = parse(&published["id"]);
        match self.own.heads.get(subscribe) {
            Some(head) if head.mark == id.mark => {
                assert!(head.seq < id.seq, "starts behind its own event {id}: {head}");
            }
            // The topic was made anew between them.
            Some(_) => {}
            None => assert!(self.own.refused.contains(subscribe), "published before the subscribe was answered: {id}"),
        }
    }
}
