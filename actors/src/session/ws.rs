//! What a session does with the frames of a WebSocket client.
//!
//! Requests are carried out strictly in the order in which they came: while one waits for its topic to be found, or for the
//! answer to a subscribe that it must not overtake, the session reads no further. So no more than one is ever kept.

use std::sync::Arc;

use actix::{AsyncContext, Context};

use super::decoder::Incoming;
use super::gate::{Admission, Claim, Right};
use super::request::{self, FilterAsked, Request};
use super::{Answered, Session, Subscription, Task, Waiting, Wanted, Who};
use crate::directory::{Directory, TopicHandle};
use crate::entry::Entry;
use crate::feed::view::Filter;
use crate::frame::control::{self, Control, Ref};
use crate::outlet::messages::FromSession;
use crate::refusal::{Code, Refusal, close};
use crate::topic::messages::{Publish, Reply};

/// How often a publish looks for a topic that is gone whenever it comes.
const AGAIN_MAX: u8 = 4;

impl Session {
    pub(super) fn incoming(&mut self, incoming: Incoming, ctx: &mut Context<Self>) {
        match incoming {
            Incoming::Text(text) => self.text(&text, ctx),
            // Who pings faster than they may is not answered.
            Incoming::Ping(payload) if self.pace().is_ok() => self.control(&control::ws_pong(&payload)),
            Incoming::Ping(_) => {}
            Incoming::Pong => {}
            Incoming::Close(code) => self.finish(code.unwrap_or(close::NORMAL), ""),
        }
    }

    fn text(&mut self, text: &str, ctx: &mut Context<Self>) {
        let (reference, request) = request::parse(text);
        let is_known = self.principal().is_some();
        let refused = match self.pace().and(request) {
            Ok(request) if is_known || matches!(request, Request::Hello { .. } | Request::Ping) => {
                self.carry_out(request, &reference, ctx)
            }
            Err(refusal) if is_known || refusal.code.close().is_some() => Err(refusal),
            // Who has not said who they are is answered nothing else.
            Ok(_) | Err(_) => Err(Code::HelloMissing.into()),
        };
        if let Err(refusal) = refused {
            self.refuse_request(&refusal, &reference, None);
        }
    }

    /// Counts a message of the client.
    fn pace(&mut self) -> Result<(), Refusal> {
        let most = self.limits.messages_per_second;
        self.paced.take(self.worker.now_ms(), most).map_err(|retry_after_ms| {
            let words = format!("a session sends at most {most} messages a second");
            Refusal::new(Code::SessionRate, words).with("retry_after_ms", retry_after_ms)
        })
    }

    /// Tells the client that a request was refused, and ends if it can't go on after that. `claim`: of a topic.
    pub(super) fn refuse_request(&mut self, refusal: &Refusal, reference: &Ref, claim: Option<Claim<'_>>) {
        self.control(&self.refused(refusal, reference, claim));
        if let Some(code) = refusal.code.close() {
            self.finish(code, refusal.code.as_str());
        }
    }

    /// The frame of a request that was refused: the one place where it is made, so that the gate hears of what was refused of
    /// a topic.
    pub(super) fn refused(&self, refusal: &Refusal, reference: &Ref, claim: Option<Claim<'_>>) -> Vec<u8> {
        if let (Some(claim), Who::Known(identity)) = (claim, &self.who) {
            self.gate.refused(identity, self.hold.address(), claim, refusal);
        }
        control::error(refusal, reference)
    }

    fn carry_out(&mut self, request: Request, reference: &Ref, ctx: &mut Context<Self>) -> Result<(), Refusal> {
        match request {
            Request::Hello { token, tenant_id, env } => self.hello(token, tenant_id, env, reference),
            Request::Ping => {
                self.control(&Control::Pong.ws(reference));
                Ok(())
            }
            Request::Auth { token } => self.renew(token, reference),
            Request::Subscribe { topic, start, requested, fold, filter } => {
                let filter = filter.map(|asked| self.filter(&asked)).transpose()?;
                self.admit(topic, Task::Subscribe { start, requested, fold, filter }, reference, ctx);
                Ok(())
            }
            Request::Publish { topic, entry } => {
                self.admit(topic, Task::Publish { entry }, reference, ctx);
                Ok(())
            }
            Request::Unsubscribe { topic } => self.unsubscribe(&topic, reference),
        }
    }

    fn filter(&self, asked: &FilterAsked) -> Result<Arc<Filter>, Refusal> {
        let principal = self.principal().ok_or(Code::HelloMissing)?;
        Filter::parse(&principal.scope, &asked.types, &asked.topics).map(Arc::new)
    }

    fn unsubscribe(&mut self, topic: &str, reference: &Ref) -> Result<(), Refusal> {
        let place = self.subscriptions.iter().position(|subscription| subscription.key.topic() == topic);
        let place = place.ok_or(Code::NotSubscribed)?;
        let Subscription { key, ticket, asked } = self.subscriptions.swap_remove(place);
        if let Some(asked) = asked {
            // Every request has its answer, also one that was taken back before it had one.
            let refusal = Refusal::new(Code::NotSubscribed, "unsubscribed before it began");
            self.refuse_request(&refusal, &asked.reference, Some(Claim { topic, right: Right::Read }));
        }
        // Nothing of the topic follows the answer, though the outlet hears of it only later.
        self.with_line(|line, _| line.mute(ticket));
        self.ask_outlet(FromSession::Unsubscribe { line: self.line, key });
        self.control(&Control::Unsubscribed { topic }.ws(reference));
        Ok(())
    }

    fn admit(&mut self, topic: String, task: Task, reference: &Ref, ctx: &mut Context<Self>) {
        let admission = match self.principal() {
            Some(principal) => self.gate.clone().admit(principal, &topic, task.right()),
            None => Admission::Now(Err(Code::HelloMissing.into())),
        };
        match admission {
            Admission::Now(admitted) => self.go_on(task, &topic, reference, admitted, ctx),
            Admission::Later(admitting) => {
                self.waiting = Some(Box::new(Waiting::Topic(task, topic, reference.clone(), admitting)));
            }
        }
    }

    /// Whether a task may be done with a topic of this name is known.
    pub(super) fn go_on(
        &mut self,
        task: Task,
        topic: &str,
        reference: &Ref,
        admitted: Result<TopicHandle, Refusal>,
        ctx: &mut Context<Self>,
    ) {
        let right = task.right();
        if let Err(refusal) = admitted.and_then(|found| self.admitted(task, &found, reference.clone(), ctx)) {
            self.refuse_request(&refusal, reference, Some(Claim { topic, right }));
        }
    }

    /// The topic of a publish was looked for again.
    pub(super) fn send_again(&mut self, publish: Publish, times: u8, found: Result<TopicHandle, Refusal>) {
        match found {
            Ok(topic) => self.send(&topic, publish, times),
            Err(refusal) => publish.reply.send(Err(refusal)),
        }
    }

    /// A topic was found and may be used for the task.
    fn admitted(
        &mut self,
        task: Task,
        topic: &TopicHandle,
        reference: Ref,
        ctx: &mut Context<Self>,
    ) -> Result<(), Refusal> {
        match task {
            Task::Subscribe { start, requested, fold, filter } => {
                if self.subscriptions.iter().any(|subscription| subscription.key == topic.record.topic.key) {
                    return Err(Code::SubscribedAlready.into());
                }
                if self.subscriptions.len() >= self.limits.topics_max {
                    let most = self.limits.topics_max;
                    return Err(Refusal::new(Code::TopicLimit, format!("a session has at most {most} topics")));
                }
                self.subscribe(Wanted { topic: topic.clone(), start, requested, fold, filter }, reference);
                Ok(())
            }
            // The topic hears of a reader by way of the outlet, and of a publish at once.
            Task::Publish { entry } if self.is_starting(&topic.record.topic.key) => {
                self.waiting = Some(Box::new(Waiting::Start(topic.clone(), entry, reference)));
                Ok(())
            }
            Task::Publish { entry } => self.publish(topic, entry, reference, ctx),
        }
    }

    /// The subscribe that a publish waited for was answered, or came to nothing. What the client may do can be less by now.
    pub(super) fn publish_held(&mut self, topic: TopicHandle, entry: Entry, reference: &Ref, ctx: &mut Context<Self>) {
        let awake = self.worker.directory.find_awake(&topic.record.topic.key);
        let topic = awake.filter(|awake| awake.record.log == topic.record.log).unwrap_or(topic);
        let may = self
            .principal()
            .map_or(Err(Code::HelloMissing.into()), |principal| self.gate.may(principal, &topic.record, Right::Write));
        if let Err(refusal) = may.and_then(|()| self.publish(&topic, entry, reference.clone(), ctx)) {
            let topic = &topic.record.topic.key.topic();
            self.refuse_request(&refusal, reference, Some(Claim { topic, right: Right::Write }));
        }
    }

    fn publish(
        &mut self,
        topic: &TopicHandle,
        entry: Entry,
        reference: Ref,
        ctx: &mut Context<Self>,
    ) -> Result<(), Refusal> {
        let Who::Known(identity) = &self.who else { return Err(Code::HelloMissing.into()) };
        let (session, record) = (ctx.address(), topic.record.clone());
        self.gate.writes(&identity.proved.principal, &entry)?;
        let write = entry.write(record.mark(), &identity.proved.principal.sub, None)?;
        let reply = Reply::new(move |result| session.do_send(Answered { reference, result, record }));
        let publish = Publish { write, origin: identity.origin.clone(), reply };
        self.publishes_in_flight += 1;
        self.send(topic, publish, 0);
        Ok(())
    }

    /// Sends a publish. When its topic is gone it is found again before anything else is done, so that publishes of one
    /// session keep their order.
    fn send(&mut self, topic: &TopicHandle, publish: Publish, times: u8) {
        let Err(publish) = Directory::try_publish(topic, publish) else { return };
        if times >= AGAIN_MAX {
            // Dropped, its reply says that nobody knows.
            return;
        }
        let (directory, record) = (self.worker.directory.clone(), topic.record.clone());
        let finding = Box::pin(async move { directory.find_again(&record).await });
        self.waiting = Some(Box::new(Waiting::Again(publish, times + 1, finding)));
    }
}
