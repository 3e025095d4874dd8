//! Verifying a chain of entries: each row as it is read, in the order of seqs, and at the end the head.
//!
//! What is kept beside an entry's text, to find it by, must say what the text says. This file reads no store.

use tambour_actors::event::Seq;
use tambour_actors::frame::time_text;
use tambour_actors::topic_key::Scope;

use super::entry::{Entry, Hash, NONE_BEFORE, hash, hex};

/// A row of the audit, as it is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its place.
    pub seq: i64,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// The `sub` of who did it.
    pub actor: String,
    /// What they did.
    pub action: String,
    /// To what.
    pub resource: String,
    /// `done` or `refused`.
    pub outcome: String,
    /// The text of the entry.
    pub entry: String,
    /// Its hash; whatever is in the store.
    pub hash: Vec<u8>,
}

/// What the store says of the end of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditHead {
    /// The seq of the newest entry; 0: there is none.
    pub seq: i64,
    /// Its hash.
    pub hash: Vec<u8>,
}

impl AuditHead {
    /// Of a chain without an entry.
    #[must_use]
    pub fn empty() -> Self {
        Self { seq: 0, hash: NONE_BEFORE.to_vec() }
    }
}

/// What is wrong with a chain, and where first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// The seq of the first entry that is not as it was written.
    pub seq: Seq,
    /// What is wrong with it.
    pub why: String,
}

/// Verifies one chain.
#[derive(Debug)]
pub struct Verifier {
    scope: Scope,
    seq: Seq,
    prev: Hash,
}

/// An entry that somebody remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Its place.
    pub seq: Seq,
    /// Its hash in hexadecimal.
    pub hash: String,
}

impl Expected {
    /// Parses `SEQ:HASH`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (seq, hash) = text.split_once(':')?;
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        let seq = seq.parse().ok().filter(|seq| *seq > 0)?;
        is_hash.then(|| Self { seq, hash: hash.to_ascii_lowercase() })
    }
}

impl Verifier {
    /// The chain of a tenant and env, from its beginning.
    #[must_use]
    pub fn new(scope: Scope) -> Self {
        Self { scope, seq: 0, prev: NONE_BEFORE }
    }

    /// How many entries were found good.
    #[must_use]
    pub fn entries(&self) -> Seq {
        self.seq
    }

    /// The newest of them.
    #[must_use]
    pub fn hash(&self) -> String {
        hex(&self.prev)
    }

    fn bad(&self, why: impl Into<String>) -> Bad {
        Bad { seq: self.seq + 1, why: why.into() }
    }

    /// Looks at the next row.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn push(&mut self, row: &AuditRow) -> Result<(), Bad> {
        let next = self.seq + 1;
        if u64::try_from(row.seq) != Ok(next) {
            return Err(self.bad("the entry is missing"));
        }
        let computed = hash(&row.entry);
        if computed[..] != row.hash[..] {
            return Err(self.bad("the hash is not that of the entry"));
        }
        let entry = Entry::parse(&row.entry).map_err(|_| self.bad("the entry is none that the hub has written"))?;
        if entry.prev != hex(&self.prev) {
            return Err(self.bad("the entry does not follow the one before it"));
        }
        let (tenant, env) = (self.scope.tenant.as_str(), self.scope.env.as_str());
        let beside = [
            ("seq", entry.seq == next),
            ("tenant", entry.tenant_id == tenant),
            ("env", entry.env == env),
            ("time", entry.time == time_text(row.at_ms)),
            ("actor", entry.actor.sub == row.actor),
            ("action", entry.action == row.action),
            ("resource", entry.resource == row.resource),
            ("outcome", entry.outcome == row.outcome),
        ];
        if let Some((name, _)) = beside.into_iter().find(|(_, agrees)| !agrees) {
            return Err(self.bad(format!("the {name} that it is found by is not that of the entry")));
        }
        (self.seq, self.prev) = (next, computed);
        Ok(())
    }

    /// Whether the row just looked at is the one that somebody remembers, if it has its seq.
    ///
    /// # Errors
    /// It is another.
    pub fn expect(&self, expected: Option<&Expected>) -> Result<(), Bad> {
        match expected {
            Some(expected) if expected.seq == self.seq && expected.hash != self.hash() => {
                Err(Bad { seq: self.seq, why: "the entry is not the one that was expected".into() })
            }
            _ => Ok(()),
        }
    }

    /// There are no more rows.
    ///
    /// # Errors
    /// Entries are missing at the end, or there are more than there were.
    pub fn finish(&self, head: &AuditHead, expected: Option<&Expected>) -> Result<(), Bad> {
        if u64::try_from(head.seq) != Ok(self.seq) {
            return Err(self.bad(format!("the chain ends at {}, and is said to end at {}", self.seq, head.seq)));
        }
        if head.hash != self.prev {
            return Err(Bad { seq: self.seq, why: "the hash at the end is not that of the last entry".into() });
        }
        match expected {
            Some(expected) if expected.seq > self.seq => Err(self.bad(format!("entry {} was expected", expected.seq))),
            _ => Ok(()),
        }
    }
}
