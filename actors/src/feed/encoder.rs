//! Events as the feed shows them: each as its own topic does, with one more member that says where it stands in the feed.
//!
//! Made once for all readers. Nothing here knows who reads.

use std::collections::HashMap;
use std::sync::Arc;

use crate::cursor::{Cursor, Mark};
use crate::frame::{Frame, FrameEncoder, Subject};
use crate::log::LogId;
use crate::log::feed::{FeedItem, Position};

/// Most topics whose encoders are remembered.
const ENCODERS_MAX: usize = 1_024;
/// What stands before an event's JSON on a WebSocket.
const WS_HEAD: &[u8] = b"{\"t\":\"event\",\"topic\":\"feed\",\"event\":";

/// Encodes the events of one incarnation of one feed.
#[derive(Debug)]
pub struct FeedEncoder {
    mark: Mark,
    topics: HashMap<LogId, FrameEncoder>,
}

impl FeedEncoder {
    /// An encoder for the feed of a mark.
    #[must_use]
    pub fn new(mark: Mark) -> Self {
        Self { mark, topics: HashMap::new() }
    }

    /// The cursor at a place of this feed.
    #[must_use]
    pub fn cursor(&self, position: Position) -> Cursor {
        self.mark.at(position)
    }

    /// An event's JSON, as pages show it and as both wires carry it: the topic's own, and `feed_id`.
    pub fn write_json(&mut self, item: &FeedItem, out: &mut Vec<u8>) {
        if self.topics.len() >= ENCODERS_MAX && !self.topics.contains_key(&item.topic.log) {
            // They are made again in a moment; what is used often comes back first.
            self.topics.clear();
        }
        let topic = &item.topic;
        let encoder = self.topics.entry(topic.log).or_insert_with(|| FrameEncoder::new(&topic.topic.key, topic.mark()));
        encoder.write_json(&item.event, out);
        let end = out.pop();
        debug_assert_eq!(end, Some(b'}'));
        out.extend_from_slice(b",\"feed_id\":\"");
        out.extend_from_slice(&self.mark.text());
        out.push(b'.');
        out.extend_from_slice(itoa::Buffer::new().format(item.position).as_bytes());
        out.extend_from_slice(b"\"}");
    }

    /// Both wires' bytes of an event, with what decides who sees it.
    #[must_use]
    pub fn encode(&mut self, item: &FeedItem) -> Frame {
        let mut json = Vec::with_capacity(item.event.size_bytes() + 320);
        self.write_json(item, &mut json);
        let kind = &item.event.kind;
        let subject = Subject { kind: kind.clone(), topic: item.topic.clone(), about: item.about.clone() };
        let mut frame = Frame::around(WS_HEAD, kind.as_str(), self.cursor(item.position), &json);
        frame.subject = Some(Arc::new(subject));
        frame
    }
}
