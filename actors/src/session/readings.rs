//! What a session reads: from the wish to read a topic to its end. Each subscription is told where it starts before its
//! events may follow, and every request has its answer, also one that is taken back.
//!
//! Nothing here writes an event: the outlet does.

use super::gate::Right;
use super::{Asked, Session, Subscription, Wanted};
use crate::cursor::Mark;
use crate::frame::control::{self, Control, Ref};
use crate::frame::{Wire, time_text};
use crate::log::{Bounds, TopicRecord};
use crate::outlet::messages::FromSession;
use crate::refusal::close;
use crate::topic::messages::EndReason;
use crate::topic::state::{Start, Started};
use crate::topic_key::TopicKey;

impl Session {
    pub(super) fn subscribe(&mut self, wanted: Wanted, reference: Ref) {
        let Wanted { topic, start, requested, fold } = wanted;
        let key = topic.record.topic.key.clone();
        let resumed = matches!(start, Start::After(_));
        self.tickets = self.tickets.wrapping_add(1);
        let ticket = self.tickets;
        let asked = Some(Box::new(Asked { reference, requested, resumed }));
        if self.sole {
            self.subscriptions.reserve_exact(1);
        }
        self.subscriptions.push(Subscription { ticket, key, asked });
        self.ask_outlet(FromSession::Subscribe { line: self.line, ticket, topic, start, fold });
    }

    /// The topic has said where this reader starts: so is the client told, then events may follow.
    pub(super) fn subscribed(&mut self, key: &TopicKey, ticket: u32, started: Started, bounds: Bounds, mark: Mark) {
        // Who unsubscribed meanwhile has told the outlet so.
        let Some(subscription) = self.subscriptions.iter_mut().find(|subscription| subscription.ticket == ticket)
        else {
            return;
        };
        let Some(asked) = subscription.asked.take() else { return };
        let Asked { reference, requested, resumed } = *asked;
        let resumed = resumed && started.gap.is_none();
        let (cursor, head) = (mark.at(started.cursor).to_string(), mark.at(bounds.head).to_string());
        // Until the gap was told, a client that drops comes back with the cursor it came with, and is told again.
        let cursor = requested.clone().filter(|_| started.gap.is_some()).unwrap_or(cursor);
        match self.wire {
            Wire::Ws => {
                let topic = key.topic();
                let subscribed = Control::Subscribed { topic: &topic, cursor: &cursor, head: &head, resumed };
                self.control(&subscribed.ws(&reference));
            }
            Wire::Sse | Wire::SseUnnamed => self.connected(key, &cursor, &head),
        }
        if let Some(reason) = started.gap {
            let requested = requested.unwrap_or_default();
            self.control(&control::gap(self.wire, key, mark, reason.as_str(), &requested, bounds));
        }
        self.ask_outlet(FromSession::Go { line: self.line, ticket });
    }

    fn connected(&mut self, key: &TopicKey, cursor: &str, head: &str) {
        let expires_at = self.principal().map(|principal| time_text(principal.expires_at_ms)).unwrap_or_default();
        let Some(greeting) = self.greeting.take() else { return };
        let connected = Control::Connected {
            connection_id: &greeting.connection_id,
            request_id: &greeting.request_id,
            topics: &[key.topic()],
            cursor,
            head,
            heartbeat_seconds: self.heartbeat_seconds(),
            expires_at: &expires_at,
        };
        let mut frames = connected.sse(self.wire, Some(cursor));
        frames.extend_from_slice(&control::sse_retry(self.limits.sse_retry_ms));
        self.control(&frames);
    }

    pub(super) fn ended(&mut self, key: &TopicKey, ticket: u32, reason: EndReason) {
        let Some(place) = self.subscriptions.iter().position(|subscription| subscription.ticket == ticket) else {
            return;
        };
        self.subscriptions.swap_remove(place);
        let topic = key.topic();
        let told = self.wire == Wire::Ws || reason != EndReason::Closed;
        if told {
            self.control(&Control::SubscriptionEnded { topic: &topic, reason: reason.as_str() }.wire(self.wire));
        }
        if self.sole {
            let code = match reason {
                EndReason::Closed => close::NORMAL,
                EndReason::Deleted => close::TOPIC,
                EndReason::Forbidden => close::FORBIDDEN,
            };
            self.finish(code, reason.as_str());
        }
    }

    /// A topic's record was changed: who may not read it any more is told so, and gets nothing more of it.
    pub(super) fn changed(&mut self, record: &TopicRecord) {
        let Some(principal) = self.principal() else { return };
        if self.gate.may(principal, record, Right::Read).is_ok() {
            return;
        }
        let key = &record.topic.key;
        let Some(ticket) = self.subscriptions.iter().find(|sub| sub.key == *key).map(|sub| sub.ticket) else { return };
        self.with_line(|line, _| line.mute(ticket));
        self.ask_outlet(FromSession::Unsubscribe { line: self.line, key: key.clone() });
        self.ended(key, ticket, EndReason::Forbidden);
    }
}
