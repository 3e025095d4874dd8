//! What a session reads: from the wish to read a topic to its end. Each reader is told where it starts before its events may
//! follow, and every request has its answer, also one that comes to nothing.
//!
//! Nothing here writes an event: the outlet does.

use actix::{AsyncContext, Context};

use super::gate::{Claim, Right};
use super::{Asked, Begun, Reads, Session, Subscription, Wanted};
use crate::feed::view::View;
use crate::frame::control::{self, Control, Ref};
use crate::frame::{Wire, time_text};
use crate::log::{Bounds, TopicRecord};
use crate::outlet::messages::{FromSession, ToSession};
use crate::outlet::own::Own;
use crate::refusal::{Code, Refusal, close};
use crate::topic::messages::EndReason;
use crate::topic::state::{Start, Started};
use crate::topic_key::{TopicKey, TopicKind};

impl Session {
    pub(super) fn subscribe(&mut self, wanted: Wanted, reference: Ref) {
        let Wanted { topic, start, requested, fold, filter } = wanted;
        let key = topic.record.topic.key.clone();
        let resumed = matches!(start, Start::After(_));
        self.tickets = self.tickets.wrapping_add(1);
        let ticket = self.tickets;
        let asked = Some(Box::new(Asked { reference, requested, resumed, begun: None }));
        if self.reads == Reads::One {
            self.subscriptions.reserve_exact(1);
        }
        self.subscriptions.push(Subscription { ticket, key, asked });
        let reader = self.principal().filter(|_| topic.record.topic.key.kind() == TopicKind::Feed);
        let view = reader.map(|reader| Box::new(View::of(reader, filter.unwrap_or_default())));
        self.ask_outlet(FromSession::Subscribe { line: self.line, ticket, topic, start, fold, view });
    }

    /// Whether a topic is still to say where this session's reader starts.
    pub(super) fn is_starting(&self, key: &TopicKey) -> bool {
        self.subscriptions.iter().any(|subscription| subscription.asked.is_some() && subscription.key == *key)
    }

    /// The topic has said where this reader starts: so is the client told, then events may follow.
    pub(super) fn subscribed(&mut self, record: &TopicRecord, ticket: u32, started: Started, bounds: Bounds) {
        // Who unsubscribed meanwhile has told the outlet so.
        if !self.subscriptions.iter().any(|subscription| subscription.ticket == ticket) {
            return;
        }
        // What the reader was admitted by may have been changed before the topic knew of them.
        if !self.may_read(record) {
            self.forbid(&record.topic.key, ticket);
            return;
        }
        // So may what they see.
        self.see();
        let (key, mark) = (&record.topic.key, record.mark());
        if self.reads == Reads::Many {
            self.begun(ticket, Begun::At(started, bounds, mark));
            return;
        }
        let asked = self.subscriptions.iter_mut().find(|subscription| subscription.ticket == ticket);
        let Some(asked) = asked.and_then(|subscription| subscription.asked.take()) else { return };
        let Asked { reference, requested, resumed, .. } = *asked;
        let resumed = resumed && started.gap.is_none();
        let (cursor, head) =
            (mark.at(started.cursor).to_string(), mark.at(bounds.head.max(started.cursor)).to_string());
        // Until the gap was told, a client that drops comes back with the cursor it came with, and is told again.
        let cursor = requested.clone().filter(|_| started.gap.is_some()).unwrap_or(cursor);
        match self.wire {
            Wire::Ws => {
                let topic = key.topic();
                let subscribed = Control::Subscribed { topic: &topic, cursor: &cursor, head: &head, resumed };
                self.control(&subscribed.ws(&reference));
            }
            Wire::Sse | Wire::SseUnnamed => {
                let frames = self.connected(&[key.topic()], &cursor, &head);
                self.control(&frames);
            }
        }
        if let Some(reason) = started.gap {
            let requested = requested.unwrap_or_default();
            let id = mark.at(started.cursor).to_string();
            self.control(&control::gap(self.wire, key, mark, reason.as_str(), &requested, bounds, &id));
        }
        self.ask_outlet(FromSession::Go { line: self.line, ticket });
    }

    /// The first block of an SSE stream.
    fn connected(&mut self, topics: &[String], cursor: &str, head: &str) -> Vec<u8> {
        let expires_at = self.principal().map(|principal| time_text(principal.expires_at_ms)).unwrap_or_default();
        let Some(greeting) = self.greeting.take() else { return Vec::new() };
        let connected = Control::Connected {
            connection_id: greeting.connection_id,
            request_id: &greeting.request_id,
            topics,
            cursor,
            head,
            heartbeat_seconds: self.heartbeat_seconds(),
            expires_at: &expires_at,
        };
        let mut frames = connected.sse(self.wire, Some(cursor));
        frames.extend_from_slice(&control::sse_retry(self.limits.sse_retry_ms));
        frames
    }

    /// One topic of several has said where its reader starts, or ended. The client is told once all have.
    fn begun(&mut self, ticket: u32, begun: Begun) {
        for subscription in &mut self.subscriptions {
            if subscription.ticket == ticket
                && let Some(asked) = &mut subscription.asked
            {
                asked.begun = Some(begun);
                break;
            }
        }
        let waits =
            |subscription: &Subscription| subscription.asked.as_ref().is_some_and(|asked| asked.begun.is_none());
        if !self.subscriptions.iter().any(waits) {
            self.begin_all();
        }
    }

    /// Tells the client of all topics where it starts, then of the gaps, then of those that ended meanwhile; then events
    /// may follow.
    fn begin_all(&mut self) {
        let Some(mut id) = self.with_line(|line, _| line.composite().cloned()).flatten() else { return };
        let mut head = id.clone();
        let topics: Vec<String> = self.subscriptions.iter().map(|subscription| subscription.key.topic()).collect();
        let all: Vec<(TopicKey, u32, Box<Asked>)> = self
            .subscriptions
            .iter_mut()
            .filter_map(|subscription| {
                Some((subscription.key.clone(), subscription.ticket, subscription.asked.take()?))
            })
            .collect();
        for (index, (_, _, asked)) in all.iter().enumerate() {
            if let Some(Begun::At(started, bounds, mark)) = &asked.begun {
                head.put(index, *mark, bounds.head);
                if started.gap.is_none() {
                    id.put(index, *mark, started.cursor);
                }
            }
        }
        // Where there is a gap the id says still what was asked for: who drops before it was told is told again.
        let mut frames = self.connected(&topics, &id.to_string(), &head.to_string());
        for (index, (key, _, asked)) in all.iter().enumerate() {
            if let Some(Begun::At(Started { gap: Some(reason), .. }, bounds, mark)) = &asked.begun {
                id.put(index, *mark, bounds.oldest - 1);
                let requested = asked.requested.as_deref().unwrap_or_default();
                let (reason, told) = (reason.as_str(), id.to_string());
                frames.extend(control::gap(self.wire, key, *mark, reason, requested, *bounds, &told));
            }
        }
        self.with_line(|line, now_ms| {
            line.own = Some(Box::new(Own::Several(id)));
            line.control(&frames, now_ms);
        });
        for (key, ticket, asked) in all {
            match asked.begun {
                Some(Begun::Ended(reason)) => self.ended(&key, ticket, reason),
                _ => self.ask_outlet(FromSession::Go { line: self.line, ticket }),
            }
        }
    }

    pub(super) fn ended(&mut self, key: &TopicKey, ticket: u32, reason: EndReason) {
        let Some(place) = self.subscriptions.iter().position(|subscription| subscription.ticket == ticket) else {
            return;
        };
        if self.reads == Reads::Many && self.subscriptions[place].asked.is_some() {
            self.begun(ticket, Begun::Ended(reason));
            return;
        }
        let Subscription { asked, .. } = self.subscriptions.swap_remove(place);
        if let Some(asked) = asked.filter(|_| self.reads == Reads::Any) {
            // It was never subscribed: the request has come to nothing, and that is its answer.
            let refusal = match reason {
                EndReason::Forbidden => Refusal::new(Code::Forbidden, "this topic may not be read any more"),
                EndReason::Closed | EndReason::Deleted => Refusal::topic_unknown(),
            };
            let topic = &key.topic();
            self.refuse_request(&refusal, &asked.reference, Some(Claim { topic, right: Right::Read }));
            return;
        }
        let topic = key.topic();
        // The `closed` event says it, where a stream has no other topic.
        let told = reason != EndReason::Closed || self.wire == Wire::Ws || self.reads == Reads::Many;
        if told {
            self.control(&Control::SubscriptionEnded { topic: &topic, reason: reason.as_str() }.wire(self.wire));
        }
        if self.reads == Reads::One || (self.reads == Reads::Many && self.subscriptions.is_empty()) {
            let code = match reason {
                EndReason::Closed => close::NORMAL,
                EndReason::Deleted => close::TOPIC,
                EndReason::Forbidden => close::FORBIDDEN,
            };
            self.finish(code, reason.as_str());
        }
    }

    /// A topic's record was changed, or the reader's role: who may not read it any more is told so, and gets nothing more of it.
    pub(super) fn changed(&mut self, record: &TopicRecord) {
        let key = &record.topic.key;
        let ticket = self.subscriptions.iter().find(|sub| sub.key == *key).map(|sub| sub.ticket);
        if let Some(ticket) = ticket.filter(|_| !self.may_read(record)) {
            self.forbid(key, ticket);
        }
    }

    fn may_read(&self, record: &TopicRecord) -> bool {
        self.principal().is_some_and(|principal| self.gate.may(principal, record, Right::Read).is_ok())
    }

    /// It may not be read any more: nothing more of it follows what the client is told.
    pub(super) fn forbid(&mut self, key: &TopicKey, ticket: u32) {
        self.with_line(|line, _| line.mute(ticket));
        self.ask_outlet(FromSession::Unsubscribe { line: self.line, key: key.clone() });
        self.ended(key, ticket, EndReason::Forbidden);
    }

    /// What the reader may see of the feed is what they may see now.
    fn see(&self) {
        if let Some(principal) = self.principal() {
            self.with_line(|line, _| line.see(principal));
        }
    }

    /// The reader's role was changed: of the feed they see at once what they may see now, and every topic is asked anew.
    pub(super) fn check_all(&self, ctx: &Context<Self>) {
        self.see();
        let (directory, session) = (self.worker.directory.clone(), ctx.address());
        let keys: Vec<TopicKey> = self.subscriptions.iter().map(|subscription| subscription.key.clone()).collect();
        actix::spawn(async move {
            for key in keys {
                match directory.record(&key).await {
                    Ok(Some(record)) => session.do_send(ToSession::Changed { record }),
                    // It is gone, and its readers are told so.
                    Ok(None) => {}
                    Err(error) => {
                        tracing::error!(topic = %key, %error, "whether somebody may still read it can't be known");
                        session.do_send(ToSession::Broken);
                        return;
                    }
                }
            }
        });
    }
}
