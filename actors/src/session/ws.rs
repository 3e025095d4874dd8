//! What a session does with the frames of a WebSocket client.
//!
//! Requests are carried out strictly in the order in which they came: while one waits for its
//! topic to be found, the session reads no further.

use std::sync::Arc;

use actix::{AsyncContext, Context};

use super::decoder::Incoming;
use super::gate::{Admission, Identity, Right};
use super::request::{self, Request};
use super::{Answered, Session, Subscription, Task, Wanted, Who};
use crate::directory::TopicHandle;
use crate::event::NewEvent;
use crate::frame::control::{self, Control, Ref};
use crate::outlet::messages::FromSession;
use crate::refusal::{Code, Refusal, close};
use crate::topic::messages::{Publish, Reply};
use crate::topic::state::Write;

impl Session {
    pub(super) fn incoming(&mut self, incoming: Incoming, ctx: &mut Context<Self>) {
        match incoming {
            Incoming::Text(text) => self.text(&text, ctx),
            Incoming::Ping(payload) => self.control(&control::ws_pong(&payload)),
            Incoming::Pong => {}
            Incoming::Close(code) => self.finish(code.unwrap_or(close::NORMAL), ""),
        }
    }

    fn text(&mut self, text: &str, ctx: &mut Context<Self>) {
        let (reference, request) = request::parse(text);
        let refused = match request {
            Ok(request) => self.carry_out(request, &reference, ctx),
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = refused {
            self.control(&control::error(&refusal, &reference));
            if let Some(code) = refusal.code.close() {
                self.finish(code, refusal.code.as_str());
            }
        }
    }

    fn carry_out(&mut self, request: Request, reference: &Ref, ctx: &mut Context<Self>) -> Result<(), Refusal> {
        match request {
            Request::Hello { token, tenant_id, env } => self.hello(&token, &tenant_id, &env, reference),
            Request::Ping => {
                self.control(&Control::Pong.ws(reference));
                Ok(())
            }
            Request::Auth { token } => self.renew(&token, reference),
            Request::Subscribe { topic, start, requested } => {
                self.admit(&topic, Right::Read, Task::Subscribe { start, requested, fold: false }, reference, ctx)
            }
            Request::Publish { topic, event } => {
                self.admit(&topic, Right::Write, Task::Publish { event }, reference, ctx)
            }
            Request::Unsubscribe { topic } => self.unsubscribe(&topic, reference),
        }
    }

    fn hello(&mut self, token: &str, tenant_id: &str, env: &str, reference: &Ref) -> Result<(), Refusal> {
        let Who::Unknown(greeter) = &self.who else {
            return Err(Refusal::new(Code::FrameMalformed, "hello comes once, when the upgrade had no token"));
        };
        let identity = greeter.hello(token, tenant_id, env)?;
        self.who = Who::Known(Box::new(identity));
        self.set_alarm();
        self.welcome(reference);
        Ok(())
    }

    fn renew(&mut self, token: &str, reference: &Ref) -> Result<(), Refusal> {
        let Who::Known(identity) = &self.who else { return Err(Code::HelloMissing.into()) };
        let principal = Arc::new(self.gate.renew(&identity.principal, token)?);
        self.who = Who::Known(Box::new(Identity { principal, origin: identity.origin.clone() }));
        self.warned = false;
        self.set_alarm();
        self.welcome(reference);
        Ok(())
    }

    fn unsubscribe(&mut self, topic: &str, reference: &Ref) -> Result<(), Refusal> {
        let place = self.subscriptions.iter().position(|subscription| subscription.key.topic() == topic);
        let place = place.ok_or(Code::NotSubscribed)?;
        let Subscription { key, ticket, asked } = self.subscriptions.swap_remove(place);
        if let Some(asked) = asked {
            // Every request has its answer, also one that was taken back before it had one.
            let refusal = Refusal::new(Code::NotSubscribed, "unsubscribed before it began");
            self.control(&control::error(&refusal, &asked.reference));
        }
        // Nothing of the topic follows the answer, though the outlet hears of it only later.
        self.with_line(|line, _| line.mute(ticket));
        self.ask_outlet(FromSession::Unsubscribe { line: self.line, key });
        self.control(&Control::Unsubscribed { topic }.ws(reference));
        Ok(())
    }

    fn admit(
        &mut self,
        topic: &str,
        right: Right,
        task: Task,
        reference: &Ref,
        ctx: &mut Context<Self>,
    ) -> Result<(), Refusal> {
        let principal = self.principal().ok_or(Code::HelloMissing)?;
        match self.gate.clone().admit(principal, topic, right) {
            Admission::Now(admitted) => self.admitted(task, &admitted?, reference.clone(), ctx),
            Admission::Later(admitting) => {
                self.admitting = Some(Box::new((task, reference.clone(), admitting)));
                Ok(())
            }
        }
    }

    /// A topic was found and may be used for the task.
    pub(super) fn admitted(
        &mut self,
        task: Task,
        topic: &TopicHandle,
        reference: Ref,
        ctx: &mut Context<Self>,
    ) -> Result<(), Refusal> {
        match task {
            Task::Subscribe { start, requested, fold } => {
                if self.subscriptions.iter().any(|subscription| subscription.key == topic.record.topic.key) {
                    return Err(Code::SubscribedAlready.into());
                }
                if self.subscriptions.len() >= self.limits.topics_max {
                    let most = self.limits.topics_max;
                    return Err(Refusal::new(Code::TopicLimit, format!("a session has at most {most} topics")));
                }
                self.subscribe(Wanted { topic: topic.clone(), start, requested, fold }, reference);
            }
            Task::Publish { event } => self.publish(topic, event, reference, ctx),
        }
        Ok(())
    }

    fn publish(&mut self, topic: &TopicHandle, event: NewEvent, reference: Ref, ctx: &mut Context<Self>) {
        let Who::Known(identity) = &self.who else { return };
        let (session, mark) = (ctx.address(), topic.record.mark());
        let reply = Reply::new(move |result| session.do_send(Answered { reference, result, mark }));
        let publish = Publish { write: Write::events(vec![event]), origin: identity.origin.clone(), reply };
        self.publishes_in_flight += 1;
        self.worker.directory.publish_now(topic, publish);
    }
}
