//! Who a session is: proved, renewed, looked at again, taken away.
//!
//! Nothing here reads a token: the gate does.

use actix::{AsyncContext as _, Context};

use super::gate::Identity;
use super::{Session, Waiting, Who};
use crate::frame::control::{self, Control, Ref};
use crate::principal::{Principal, Proof};
use crate::refusal::{Code, Refusal};
use crate::review::{Reading, Review, Seen, Survey};
use crate::topic_key::TopicKey;

/// What an `EventSource` whose stream was taken over is told to wait before it connects again: for so long that two
/// tabs with one URL do not chase each other.
const REPLACED_RETRY_MS: u64 = 86_400_000;

impl Session {
    pub(super) fn hello(
        &mut self,
        token: String,
        tenant_id: Option<String>,
        env: Option<String>,
        reference: &Ref,
    ) -> Result<(), Refusal> {
        let Who::Unknown(greeter) = &self.who else {
            return Err(Refusal::new(Code::FrameMalformed, "hello comes once, when the upgrade had no token"));
        };
        let proving = greeter.clone().hello(token, tenant_id, env);
        self.waiting = Some(Box::new(Waiting::Identity(reference.clone(), proving)));
        Ok(())
    }

    pub(super) fn renew(&mut self, token: String, reference: &Ref) -> Result<(), Refusal> {
        let Who::Known(identity) = &self.who else { return Err(Code::HelloMissing.into()) };
        let proving = self.gate.clone().renew(identity, self.hold.address(), token);
        self.waiting = Some(Box::new(Waiting::Identity(reference.clone(), proving)));
        Ok(())
    }

    /// An identity was proved, or was not.
    pub(super) fn proved(
        &mut self,
        proved: Result<Identity, Refusal>,
        reference: &Ref,
        ctx: &Context<Self>,
    ) -> Result<(), Refusal> {
        let identity = proved?;
        let is_changed = self.principal().is_some_and(|before| is_changed(before, &identity.proved.principal));
        // What came with the proof before goes with it.
        self.who = Who::Known(Box::new(identity));
        self.who.begin(&ctx.address().recipient());
        self.warned = false;
        self.set_alarm();
        self.welcome(reference);
        // What was revoked while it was proved.
        self.review(None, ctx);
        if is_changed {
            self.check_all(ctx);
        }
        Ok(())
    }

    /// Looks at the identity again: by a review, or by the gate's own.
    pub(super) fn review(&mut self, review: Option<&Review>, ctx: &Context<Self>) {
        let Some(principal) = self.principal().filter(|_| !self.ending) else { return };
        let reviewed = match review {
            Some(review) => review(self.connection_id, principal),
            None => self.gate.review(principal),
        };
        match reviewed {
            Ok(None) => {}
            Ok(Some(other)) => {
                let is_changed = is_changed(principal, &other);
                if let Some(proved) = self.who.proved_mut() {
                    proved.principal = other;
                }
                self.set_alarm();
                if is_changed {
                    self.check_all(ctx);
                }
            }
            Err(refusal) => return self.dismiss(&refusal),
        }
        self.look_again();
    }

    /// What is switched off is over: the session, or what it reads of a kind of topic.
    fn look_again(&mut self) {
        let Some(principal) = self.principal().cloned() else { return };
        if let Err(refusal) = self.gate.goes_on(&principal, &*self.hold) {
            return self.dismiss(&refusal);
        }
        let is_over = |key: &TopicKey| self.gate.reads(&principal, key.kind()).is_err();
        let over = self.subscriptions.iter().filter(|subscription| is_over(&subscription.key));
        let over: Vec<_> = over.map(|subscription| (subscription.key.clone(), subscription.ticket)).collect();
        for (key, ticket) in over {
            self.forbid(&key, ticket);
        }
    }

    /// The identity was taken away: the client is told, on every wire, and the session ends.
    fn dismiss(&mut self, refusal: &Refusal) {
        if self.wire.is_sse() {
            let refused = Control::Refused { code: refusal.code.as_str(), status: refusal.code.status() };
            self.control(&refused.sse(self.wire, None));
        }
        self.refuse(refusal);
    }

    /// Another stream goes on in place of this one.
    pub(super) fn replaced(&mut self) {
        if self.ending {
            return;
        }
        if self.wire.is_sse() {
            self.control(&control::sse_retry(REPLACED_RETRY_MS));
        }
        self.control(&Control::Replaced.wire(self.wire));
        let code = Code::Replaced;
        self.finish(code.close().unwrap_or_default(), code.as_str());
    }

    /// Answers a survey of its scope.
    pub(super) fn seen(&self, survey: &dyn Survey, topics: Vec<Reading>) {
        // Who was told to go is not there any more, however long the goodbye takes.
        let is_there = |principal: &&std::sync::Arc<Principal>| principal.scope == *survey.scope() && !self.ending;
        let Some(principal) = self.principal().filter(is_there) else { return };
        let (connection_id, wire, from) = (self.connection_id, self.wire, self.hold.from());
        survey.seen(Seen { connection_id, principal: principal.clone(), from, wire, topics });
    }
}

/// Whether what a principal may read can have changed.
fn is_changed(before: &Principal, after: &Principal) -> bool {
    let topics = |principal: &Principal| match &principal.proof {
        Proof::Stream(proof) => proof.topics.clone(),
        Proof::Main { .. } | Proof::Key(_) => None,
    };
    (before.role, before.permissions) != (after.role, after.permissions) || topics(before) != topics(after)
}
