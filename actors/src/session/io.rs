//! The session's socket: reads it when it may, and writes what waits when there is room again.
//!
//! One future per session, polled by the actor whenever the socket or a message wakes it. It never
//! reads while the session has too much unanswered or unsent.

use std::io;
use std::pin::Pin;
use std::task::{Context as Waking, Poll};

use actix::{ActorContext, ActorFuture, Context};

use super::gate::Identity;
use super::{Session, WAITING_BYTES_MAX, Waiting};
use crate::directory::TopicHandle;
use crate::frame::Wire;
use crate::outlet::messages::FromSession;
use crate::refusal::{Code, Refusal};

/// After so many messages a session lets others of its thread go first.
const MESSAGES_PER_POLL: usize = 64;

/// The future that drives the socket for as long as the session lives.
pub(super) struct Pump;

impl ActorFuture<Session> for Pump {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        session: &mut Session,
        ctx: &mut Context<Session>,
        waking: &mut Waking<'_>,
    ) -> Poll<()> {
        session.poll_write(ctx, waking);
        for _ in 0..MESSAGES_PER_POLL {
            match session.step(ctx, waking) {
                Step::On => {}
                Step::Wait => return Poll::Pending,
                Step::Over => {
                    ctx.stop();
                    return Poll::Ready(());
                }
            }
        }
        waking.waker().wake_by_ref();
        Poll::Pending
    }
}

/// What a session waited for.
enum Came {
    Topic(Result<TopicHandle, Refusal>),
    Start,
    Identity(Result<Identity, Refusal>),
}

enum Step {
    On,
    Wait,
    Over,
}

impl Session {
    /// Lets what waits go out, and tells the outlet when nothing does any more.
    fn poll_write(&mut self, ctx: &mut Context<Self>, waking: &mut Waking<'_>) {
        let drained = self.with_line(|line, now_ms| {
            line.flush(now_ms);
            while line.blocked {
                match line.socket().poll_writable(waking) {
                    Poll::Pending => return Some(false),
                    Poll::Ready(Err(_)) => return None,
                    Poll::Ready(Ok(())) => match line.drain(now_ms) {
                        Ok(true) => return Some(true),
                        Ok(false) => {}
                        Err(_) => return None,
                    },
                }
            }
            Some(false)
        });
        match drained {
            Some(Some(true)) if !self.ending => self.ask_outlet(FromSession::Drained { line: self.line }),
            Some(Some(_)) => {}
            // The connection, or the outlet that had it, is gone.
            Some(None) | None => ctx.stop(),
        }
    }

    /// Does one thing: goes on with what waits for a topic, handles a message, or reads.
    fn step(&mut self, ctx: &mut Context<Self>, waking: &mut Waking<'_>) -> Step {
        if self.ending {
            return self.discard(waking);
        }
        if let Some(mut waiting) = self.waiting.take() {
            let came = match &mut *waiting {
                Waiting::Topic(.., finding) | Waiting::Again(.., finding) => {
                    finding.as_mut().poll(waking).map(Came::Topic)
                }
                // The answer is a message, and any message wakes this.
                Waiting::Start(topic, ..) if self.is_starting(&topic.record.topic.key) => Poll::Pending,
                Waiting::Start(..) => Poll::Ready(Came::Start),
                Waiting::Identity(_, proving) => proving.as_mut().poll(waking).map(Came::Identity),
            };
            let Poll::Ready(came) = came else {
                self.waiting = Some(waiting);
                return Step::Wait;
            };
            match (*waiting, came) {
                (Waiting::Topic(task, topic, reference, _), Came::Topic(found)) => {
                    self.go_on(task, &topic, &reference, found, ctx);
                }
                (Waiting::Again(publish, times, _), Came::Topic(found)) => self.send_again(publish, times, found),
                (Waiting::Start(topic, entry, reference), Came::Start) => {
                    self.publish_held(topic, entry, &reference, ctx);
                }
                (Waiting::Identity(reference, _), Came::Identity(proved)) => {
                    if let Err(refusal) = self.proved(proved, &reference, ctx) {
                        self.refuse_request(&refusal, &reference, None);
                        // Of `hello`: not something that the session asked for is switched off, but it itself.
                        if refusal.code == Code::KillSwitch {
                            self.finish(refusal.code.ends(), refusal.code.as_str());
                        }
                    }
                }
                _ => unreachable!("what came is what was waited for"),
            }
            return Step::On;
        }
        let waiting_bytes = self.with_line(|line, _| line.waiting_bytes()).unwrap_or(0);
        if self.publishes_in_flight >= self.limits.publishes_in_flight_max || waiting_bytes > WAITING_BYTES_MAX {
            return Step::Wait;
        }
        if self.wire == Wire::Ws {
            let decoded = self.decoder.as_mut().map_or(Ok(None), |decoder| decoder.next(self.limits.frame_bytes_max));
            self.decoder.take_if(|decoder| decoder.is_empty());
            match decoded {
                Ok(Some(incoming)) => {
                    self.incoming(incoming, ctx);
                    return Step::On;
                }
                Ok(None) => {}
                Err(refusal) => {
                    self.refuse(&refusal);
                    return Step::On;
                }
            }
        }
        match self.read(waking) {
            Poll::Pending => Step::Wait,
            // An SSE client has said all it had to say: bytes behind its request are no request.
            Poll::Ready(Ok(0) | Err(_)) => Step::Over,
            Poll::Ready(Ok(_)) if self.wire.is_sse() => Step::Over,
            Poll::Ready(Ok(_)) => Step::On,
        }
    }

    fn read(&mut self, waking: &mut Waking<'_>) -> Poll<io::Result<usize>> {
        let worker = self.worker.clone();
        worker.scratch(|scratch| {
            let read = self.with_line(|line, now_ms| {
                loop {
                    match line.socket().poll_readable(waking) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                        Poll::Ready(Ok(())) => {}
                    }
                    match line.socket().try_read(scratch) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Ok(bytes) => {
                            line.heard_ms = now_ms;
                            return Poll::Ready(Ok(bytes));
                        }
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
            });
            match read {
                Some(Poll::Ready(Ok(bytes))) => {
                    if !self.ending && self.wire == Wire::Ws {
                        self.decoder.get_or_insert_default().feed(&scratch[..bytes]);
                    }
                    Poll::Ready(Ok(bytes))
                }
                Some(other) => other,
                None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            }
        })
    }

    /// The session has said goodbye: it waits for the client to close, so that the goodbye is not lost
    /// with bytes that nobody read.
    fn discard(&mut self, waking: &mut Waking<'_>) -> Step {
        if !self.finished {
            let was_blocked = self.with_line(|line, _| line.blocked).unwrap_or(false);
            self.finished = self.with_line(|line, _| line.finish()).unwrap_or(true);
            if !self.finished && !was_blocked {
                // Blocked by the goodbye itself: the next poll waits for room.
                waking.waker().wake_by_ref();
            }
        }
        match self.read(waking) {
            Poll::Pending => Step::Wait,
            Poll::Ready(Ok(0) | Err(_)) if self.finished => Step::Over,
            Poll::Ready(Ok(0) | Err(_)) => Step::Wait,
            Poll::Ready(Ok(_)) => Step::On,
        }
    }
}
