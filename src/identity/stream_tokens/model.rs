//! What a store of stream tokens does, as simply as it can be said: a map and a clock. Stores are held against it.

use std::collections::BTreeMap;

use tambour_actors::principal::{Digest, Proof};

use super::{Bound, Held, Kept, NewToken, Opened, Parent, Revoke, StreamId, TokenRecord};

struct Token {
    parents: [Option<Parent>; 2],
    record: TokenRecord,
    opened: bool,
    stream: Option<StreamId>,
    expires_at_ms: i64,
}

/// The model.
#[derive(Default)]
pub(super) struct Model(BTreeMap<Digest, Token>);

impl Token {
    fn live_until(&mut self, at_ms: i64) {
        self.expires_at_ms = at_ms.min(self.record.principal.expires_at_ms);
    }

    fn lives(&self, now_ms: i64) -> bool {
        self.expires_at_ms > now_ms
    }
}

impl Model {
    /// What a stream holds is there until its end: the stream may be kept late.
    fn passed(&mut self, now_ms: i64) {
        let may_live = |token: &Token| {
            token.lives(now_ms) || (token.stream.is_some() && token.record.principal.expires_at_ms > now_ms)
        };
        self.0.retain(|_, token| may_live(token));
    }

    /// One of the tokens that live, or none that ever was.
    pub(super) fn any(&self, number: u64) -> Digest {
        let count = self.0.len() + 1;
        let index = usize::try_from(number).unwrap_or(0) % count;
        self.0.keys().nth(index).copied().unwrap_or([9; 32])
    }

    /// Whether there was room.
    pub(super) fn issue(&mut self, new: &NewToken, now_ms: i64) -> bool {
        self.passed(now_ms);
        let bounds = [Some(new.own), new.within];
        let is_full = |bound: &Bound| {
            let counts = |token: &&Token| token.parents.contains(&Some(bound.of)) && !token.opened;
            self.0.values().filter(counts).count() >= bound.outstanding_max
        };
        if bounds.iter().flatten().any(is_full) {
            return false;
        }
        let (record, parents) = (new.record.clone(), bounds.map(|bound| bound.map(|bound| bound.of)));
        let digest = record.proof().expect("a stream token").digest;
        let mut token = Token { parents, record, opened: false, stream: None, expires_at_ms: 0 };
        token.live_until(now_ms + token.record.ttl_ms);
        self.0.insert(digest, token);
        true
    }

    pub(super) fn find(&mut self, digest: Digest, now_ms: i64) -> Option<TokenRecord> {
        self.passed(now_ms);
        let token = self.0.get(&digest).filter(|token| token.lives(now_ms))?;
        (!(token.record.single_use && token.opened)).then(|| token.record.clone())
    }

    pub(super) fn open(&mut self, held: Held, keep_ms: i64, now_ms: i64) -> Option<Opened> {
        self.passed(now_ms);
        let token = self.0.get_mut(&held.digest).filter(|token| token.lives(now_ms))?;
        if token.record.single_use && token.opened && token.stream != Some(held.stream) {
            return None;
        }
        token.live_until(now_ms + token.record.ttl_ms + keep_ms);
        token.opened = true;
        let before = token.stream.replace(held.stream).filter(|before| *before != held.stream);
        Some(Opened { record: token.record.clone(), before })
    }

    pub(super) fn keep(&mut self, held: Held, keep_ms: i64, now_ms: i64) -> Kept {
        self.passed(now_ms);
        match self.0.get_mut(&held.digest) {
            None => Kept::Gone,
            Some(token) if token.stream == Some(held.stream) => {
                token.live_until(now_ms + token.record.ttl_ms + keep_ms);
                Kept::Lives
            }
            Some(_) => Kept::Taken,
        }
    }

    pub(super) fn release(&mut self, held: Held, now_ms: i64) {
        self.passed(now_ms);
        let Some(token) = self.0.get_mut(&held.digest).filter(|token| token.stream == Some(held.stream)) else {
            return;
        };
        if token.record.single_use {
            self.0.remove(&held.digest);
        } else {
            token.stream = None;
            token.live_until(now_ms + token.record.ttl_ms);
        }
    }

    /// Those that lived or may be kept, in order.
    pub(super) fn revoke(&mut self, which: &Revoke, now_ms: i64) -> Vec<Digest> {
        self.passed(now_ms);
        let meant = |digest: &Digest, record: &TokenRecord| {
            let (principal, proof) = (&record.principal, record.proof().expect("a stream token"));
            let key = match proof.parent {
                Proof::Key(_) => proof.issuer.as_ref().or(Some(&principal.sub)),
                _ => None,
            };
            let (authority, made_until_ms) = which.reach();
            if principal.granted.role > authority || proof.issued_at_ms > made_until_ms {
                return false;
            }
            match which {
                Revoke::Token(which) => which == digest,
                Revoke::Sub(scope, sub, ..) => principal.scope == *scope && principal.sub == *sub,
                Revoke::Key(scope, id) => principal.scope == *scope && key == Some(id),
                Revoke::Jti(scope, id, _) => {
                    let is_theirs = matches!(&proof.parent, Proof::Main { jti: Some(jti), .. } if jti == id);
                    principal.scope == *scope && is_theirs
                }
            }
        };
        let gone: Vec<Digest> =
            self.0.iter().filter(|(digest, token)| meant(digest, &token.record)).map(|(digest, _)| *digest).collect();
        gone.iter().for_each(|digest| drop(self.0.remove(digest)));
        gone
    }
}
