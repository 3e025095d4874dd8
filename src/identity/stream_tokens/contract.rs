//! The contract that every store of stream tokens must pass, as one suite that is run over each.
//!
//! Each case is a function of a fresh store. Time is the store's [`World`]: a number where the store believes the hub's
//! clock, real time where it has a clock of its own.

mod random;

use std::sync::Arc;

use tambour_actors::principal::{
    ActorType, Digest, Granted, KeyToken, Permission, Principal, Proof, Role, StreamProof,
};
use tambour_actors::topic_key::{Env, Scope, Tenant};
use uuid::Uuid;

use super::{Bound, Held, IssueError, Kept, NewToken, Opened, Parent, Revoke, StreamId, StreamTokens, TokenRecord};

/// A fresh store, its time, and how its answers are waited for.
pub(crate) trait World {
    /// The store.
    fn tokens(&self) -> &dyn StreamTokens;

    /// The time.
    fn now_ms(&self) -> i64;

    /// Lets time pass.
    fn pass(&self, ms: i64);

    /// Waits for an answer.
    fn wait<T>(&self, future: impl Future<Output = T>) -> T;

    /// A TTL that may run out in a test, in milliseconds: as short as the store's clock allows to be told from others.
    fn ttl_ms(&self) -> i64;
}

/// What a token of a test is.
#[derive(Clone)]
pub(crate) struct Made<'a> {
    /// Its digest begins with it.
    pub(crate) digest: u64,
    pub(crate) sub: &'a str,
    pub(crate) tenant: &'a str,
    pub(crate) jti: Option<&'a str>,
    /// Made with this key; else with a JWT.
    pub(crate) issuer: Option<&'a str>,
    pub(crate) ttl_ms: i64,
    pub(crate) ends_at_ms: i64,
    pub(crate) single_use: bool,
    pub(crate) role: Role,
    pub(crate) issued_at_ms: i64,
    /// Counted by this name as well, and how many of it there may be.
    pub(crate) within: Option<(&'a str, usize)>,
}

impl Default for Made<'_> {
    fn default() -> Self {
        Self {
            digest: 1,
            sub: "alice",
            tenant: "t_demo",
            jti: Some("j"),
            issuer: None,
            ttl_ms: 60_000,
            ends_at_ms: i64::MAX,
            single_use: false,
            role: Role::Member,
            issued_at_ms: 6,
            within: None,
        }
    }
}

fn digest(number: u64) -> Digest {
    let mut digest = [7; 32];
    digest[..8].copy_from_slice(&number.to_be_bytes());
    digest
}

fn scope(tenant: &str) -> Scope {
    Scope { tenant: Tenant::parse(tenant).unwrap(), env: Env::Dev }
}

fn held(number: u64, stream: u128) -> Held {
    Held { digest: digest(number), stream: StreamId(Uuid::from_u128(stream)) }
}

/// The record of a token.
pub(crate) fn record(made: &Made<'_>) -> TokenRecord {
    let parent = match made.issuer {
        Some(_) => Proof::Key(KeyToken(u64::MAX - 1)),
        None => Proof::Main { jti: made.jti.map(Into::into), issued_at_ms: 5 },
    };
    let (digest, issuer) = (digest(made.digest), made.issuer.map(Into::into));
    let proof = StreamProof { digest, parent, issuer, issued_at_ms: made.issued_at_ms, topics: None };
    let granted = Granted { role: made.role, permissions: [Permission::ThreadsRead].into_iter().collect() };
    let principal = Principal {
        sub: made.sub.into(),
        scope: scope(made.tenant),
        granted,
        role: granted.role,
        actor_type: ActorType::Human,
        read_only: true,
        permissions: granted.permissions,
        acts_for: None,
        proof: Proof::Stream(Arc::new(proof)),
        expires_at_ms: made.ends_at_ms,
    };
    TokenRecord { principal: Arc::new(principal), ttl_ms: made.ttl_ms, single_use: made.single_use }
}

fn new(made: &Made<'_>, outstanding_max: usize) -> NewToken {
    let bound = |name: &str, outstanding_max| {
        let mut digest = [0; 32];
        digest[..name.len()].copy_from_slice(name.as_bytes());
        Bound { of: Parent(digest), outstanding_max }
    };
    let own = bound(made.issuer.or(made.jti).unwrap_or_default(), outstanding_max);
    NewToken { own, within: made.within.map(|(name, most)| bound(name, most)), record: record(made) }
}

/// A store in a test.
struct Case<W>(W);

impl<W: World> Case<W> {
    fn issue(&self, made: &Made<'_>) -> Result<(), IssueError> {
        self.issue_of(made, 10)
    }

    fn issue_of(&self, made: &Made<'_>, most: usize) -> Result<(), IssueError> {
        self.0.wait(self.0.tokens().issue(new(made, most), self.0.now_ms()))
    }

    fn find(&self, number: u64) -> Option<TokenRecord> {
        self.0.wait(self.0.tokens().find(digest(number), self.0.now_ms())).unwrap()
    }

    fn open(&self, number: u64, stream: u128, keep_ms: i64) -> Option<Opened> {
        self.0.wait(self.0.tokens().open(held(number, stream), keep_ms, self.0.now_ms())).unwrap()
    }

    fn before(&self, number: u64, stream: u128) -> Option<u128> {
        self.open(number, stream, 0).expect("it lives").before.map(|stream| stream.0.as_u128())
    }

    fn keep(&self, streams: &[(u64, u128)], keep_ms: i64) -> Vec<Kept> {
        let streams = streams.iter().map(|(number, stream)| held(*number, *stream)).collect();
        self.0.wait(self.0.tokens().keep(streams, keep_ms, self.0.now_ms())).unwrap()
    }

    fn release(&self, number: u64, stream: u128) {
        self.0.wait(self.0.tokens().release(vec![held(number, stream)], self.0.now_ms())).unwrap();
    }

    fn revoke(&self, which: Revoke) -> Vec<Digest> {
        let mut gone = self.0.wait(self.0.tokens().revoke(which, self.0.now_ms())).unwrap();
        gone.sort_unstable();
        gone
    }

    fn what_is_issued_is_found_and_opened(&self) {
        let made = Made::default();
        assert_eq!(self.find(1), None);
        assert_eq!(self.open(1, 1, 0), None);
        self.issue(&made).unwrap();
        assert_eq!(self.find(1), Some(record(&made)));
        assert_eq!(self.find(2), None);
        assert_eq!(self.open(1, 1, 0), Some(Opened { record: record(&made), before: None }));
        assert_eq!(self.find(1), Some(record(&made)), "it opens again");
    }

    fn a_newer_stream_takes_over(&self) {
        self.issue(&Made::default()).unwrap();
        assert_eq!(self.before(1, 1), None);
        assert_eq!(self.before(1, 1), None, "it is the same stream");
        assert_eq!(self.before(1, 2), Some(1));
        assert_eq!(self.keep(&[(1, 1), (1, 2), (2, 2)], 0), [Kept::Taken, Kept::Lives, Kept::Gone]);
        self.release(1, 1);
        assert_eq!(self.before(1, 3), Some(2), "who holds it no more gives nothing back");
        self.release(1, 3);
        assert_eq!(self.keep(&[(1, 3)], 0), [Kept::Taken], "nobody holds it");
        assert_eq!(self.before(1, 4), None);
        assert_eq!(self.keep(&[], 0), []);
    }

    fn a_single_use_is_one(&self) {
        self.issue(&Made { single_use: true, ..Made::default() }).unwrap();
        assert!(self.find(1).is_some());
        assert_eq!(self.before(1, 1), None);
        assert_eq!((self.find(1), self.open(1, 2, 0)), (None, None));
        assert_eq!(self.keep(&[(1, 1)], 0), [Kept::Lives], "so that it can be revoked");
        assert_eq!(self.before(1, 1), None, "the stream that has it may ask again");
        self.release(1, 1);
        assert_eq!((self.find(1), self.open(1, 1, 0)), (None, None));
    }

    fn so_many_may_be_outstanding(&self) {
        let made = |number| Made { digest: number, ..Made::default() };
        (1..=3).for_each(|number| self.issue_of(&made(number), 3).unwrap());
        assert_eq!(self.issue_of(&made(4), 3), Err(IssueError::Outstanding));
        assert_eq!(self.find(4), None);
        self.issue_of(&Made { jti: Some("other"), ..made(5) }, 3).expect("another parent has room");
        self.before(2, 1);
        self.issue_of(&made(4), 3).expect("one was opened");
        assert_eq!(self.issue_of(&made(6), 3), Err(IssueError::Outstanding));
        self.release(2, 1);
        assert_eq!(self.issue_of(&made(6), 3), Err(IssueError::Outstanding), "who was opened is not outstanding again");
        assert_eq!(self.revoke(Revoke::Token(digest(1))), [digest(1)]);
        self.issue_of(&made(6), 3).expect("one is gone");
    }

    fn so_many_may_be_outstanding_of_a_wider_bound(&self) {
        let made = |digest, jti| Made { digest, jti: Some(jti), within: Some(("all", 4)), ..Made::default() };
        (1..=2).for_each(|number| self.issue_of(&made(number, "a"), 2).unwrap());
        for number in 3..=9 {
            // Refused by its own bound, and so not counted by the wider one.
            assert_eq!(self.issue_of(&made(number, "a"), 2), Err(IssueError::Outstanding));
        }
        (10..=11).for_each(|number| self.issue_of(&made(number, "b"), 2).expect("others have room"));
        assert_eq!(self.issue_of(&made(12, "c"), 2), Err(IssueError::Outstanding), "nobody has more than all have");
        let elsewhere = Made { within: Some(("other", 4)), ..made(13, "c") };
        self.issue_of(&elsewhere, 2).expect("another wider bound, and what the last one refused is not counted");
        self.issue_of(&Made { within: None, ..made(14, "c") }, 2).expect("none");
        self.before(1, 1);
        self.issue_of(&made(15, "d"), 2).expect("one was opened");
        assert_eq!(self.issue_of(&made(16, "a"), 2), Err(IssueError::Outstanding));
        assert_eq!(self.revoke(Revoke::Token(digest(10))), [digest(10)]);
        self.issue_of(&made(16, "a"), 2).expect("one is gone");
        let ttl_ms = self.0.ttl_ms();
        let brief = |digest| Made { ttl_ms, within: Some(("brief", 1)), ..made(digest, "e") };
        self.issue_of(&brief(20), 2).unwrap();
        assert_eq!(self.issue_of(&brief(21), 2), Err(IssueError::Outstanding));
        self.0.pass(ttl_ms + ttl_ms / 2);
        self.issue_of(&brief(21), 2).expect("one ran out");
    }

    fn tokens_are_revoked(&self) {
        let plain = Made::default();
        for made in [
            plain.clone(),
            Made { digest: 2, jti: Some("k"), ..plain.clone() },
            Made { digest: 3, tenant: "t_other", ..plain.clone() },
            Made { digest: 4, sub: "bob", ..plain.clone() },
            Made { digest: 5, sub: "bob", issuer: Some("key:a"), ..plain.clone() },
            Made { digest: 6, sub: "key:a", issuer: Some("key:a"), ..plain.clone() },
            Made { digest: 7, sub: "carol", jti: None, ..plain },
        ] {
            self.issue(&made).unwrap();
        }
        self.before(4, 1);
        let demo = || scope("t_demo");
        assert_eq!(self.revoke(Revoke::Jti(demo(), "nobody".into(), Role::Owner)), [] as [Digest; 0]);
        assert_eq!(self.revoke(Revoke::Jti(demo(), "j".into(), Role::Owner)), [digest(1), digest(4)]);
        assert_eq!(self.revoke(Revoke::Jti(demo(), "j".into(), Role::Owner)), [] as [Digest; 0]);
        assert_eq!(self.keep(&[(4, 1), (3, 1)], 0), [Kept::Gone, Kept::Taken]);
        assert_eq!(self.revoke(Revoke::Sub(demo(), "alice".into(), Role::Owner, i64::MAX)), [digest(2)]);
        assert_eq!(self.revoke(Revoke::Key(demo(), "key:a".into())), [digest(5), digest(6)]);
        assert_eq!(self.revoke(Revoke::Token(digest(7))), [digest(7)]);
        assert_eq!(self.revoke(Revoke::Token(digest(7))), [] as [Digest; 0]);
        assert!(self.find(3).is_some(), "another tenant's");
        assert!([1, 2, 4, 5, 6, 7].iter().all(|number| self.find(*number).is_none()));
    }

    fn a_revocation_has_a_reach(&self) {
        let roles = [Role::Viewer, Role::Member, Role::Admin, Role::Owner];
        for (number, role) in (1..).zip(roles) {
            self.issue(&Made { digest: number, role, issued_at_ms: 1_000, ..Made::default() }).unwrap();
            self.issue(&Made { digest: number + 4, role, issued_at_ms: 1_001, jti: None, ..Made::default() }).unwrap();
        }
        self.before(2, 1);
        let of_sub = |role, until_ms| Revoke::Sub(scope("t_demo"), "alice".into(), role, until_ms);
        assert_eq!(self.revoke(of_sub(Role::Owner, 999)), [] as [Digest; 0]);
        assert_eq!(self.revoke(of_sub(Role::Member, 1_000)), [digest(1), digest(2)]);
        assert_eq!(self.keep(&[(2, 1)], 0), [Kept::Gone]);
        let of_jti = |role| Revoke::Jti(scope("t_demo"), "j".into(), role);
        assert_eq!([Role::Member, Role::Admin].map(|role| self.revoke(of_jti(role))), [vec![], vec![digest(3)]]);
        // What was not reached is reached by a later one.
        assert_eq!(self.revoke(of_sub(Role::Admin, i64::MAX)), [digest(5), digest(6), digest(7)]);
        assert_eq!(self.revoke(of_sub(Role::Owner, i64::MAX)), [digest(4), digest(8)]);
    }

    fn a_token_lives_as_long_as_its_stream_and_a_ttl(&self) {
        let ttl_ms = self.0.ttl_ms();
        for number in 1..=3 {
            self.issue(&Made { digest: number, ttl_ms, ..Made::default() }).unwrap();
        }
        self.before(2, 2);
        self.open(3, 3, 10 * ttl_ms).expect("it lives");
        self.0.pass(ttl_ms / 2);
        assert_eq!(self.keep(&[(2, 2)], ttl_ms), [Kept::Lives]);
        self.0.pass(ttl_ms);
        assert_eq!(self.find(1), None, "it was never opened");
        assert_eq!(self.open(1, 1, 0), None);
        assert_eq!(self.keep(&[(2, 2), (3, 3)], 0), [Kept::Lives; 2]);
        self.release(2, 2);
        self.release(3, 3);
        self.0.pass(ttl_ms / 2);
        assert_eq!(self.before(2, 4), None, "the same URL goes on");
        self.0.pass(ttl_ms);
        assert_eq!((self.find(2), self.find(3)), (None, None));
        assert_eq!(self.keep(&[(3, 3)], 0), [Kept::Gone]);
    }

    /// The stream lives, and its hub could not say so in time.
    fn a_stream_that_is_kept_late_still_has_its_token(&self) {
        let ttl_ms = self.0.ttl_ms();
        for number in 1..=4 {
            let single_use = number == 3;
            self.issue(&Made { digest: number, ttl_ms, single_use, ..Made::default() }).unwrap();
            self.before(number, u128::from(number));
        }
        self.0.pass(2 * ttl_ms);
        for number in 1..=4 {
            assert_eq!((self.find(number), self.open(number, 9, 0)), (None, None), "nobody else comes by it: {number}");
        }
        assert_eq!(self.keep(&[(1, 9)], 0), [Kept::Taken], "nor keeps it");
        assert_eq!(self.keep(&[(1, 1), (3, 3)], ttl_ms), [Kept::Lives; 2]);
        assert_eq!((self.find(1).is_some(), self.find(3)), (true, None));
        self.release(2, 2);
        assert_eq!(self.keep(&[(2, 2)], 0), [Kept::Taken], "nobody holds it");
        assert_eq!(self.before(2, 9), None, "its stream ended now: it lives for its TTL");
        // Taken away is taken away, also while it waits to be kept.
        assert_eq!(self.revoke(Revoke::Token(digest(4))), [digest(4)]);
        assert_eq!(self.keep(&[(4, 4)], ttl_ms), [Kept::Gone]);
        assert_eq!((self.find(4), self.open(4, 4, 0)), (None, None));
    }

    fn nothing_outlives_its_end(&self) {
        let ttl_ms = self.0.ttl_ms();
        let ends_at_ms = self.0.now_ms() + ttl_ms;
        for number in 1..=2 {
            self.issue(&Made { digest: number, ends_at_ms, ..Made::default() }).unwrap();
        }
        self.before(2, 2);
        assert_eq!(self.keep(&[(2, 2)], 1_000_000), [Kept::Lives]);
        self.0.pass(2 * ttl_ms);
        assert_eq!((self.find(1), self.find(2)), (None, None));
        assert_eq!(self.open(2, 3, 1_000), None);
        assert_eq!(self.keep(&[(2, 2)], 1_000_000), [Kept::Gone], "not even for its stream");
        let made = Made { digest: 3, ends_at_ms: self.0.now_ms() - 1, ..Made::default() };
        self.issue(&made).unwrap();
        assert_eq!((self.find(3), self.open(3, 3, 1_000)), (None, None), "its end was before its beginning");
    }

    fn what_expires_makes_room(&self) {
        let ttl_ms = self.0.ttl_ms();
        let made = |number| Made { digest: number, ttl_ms, ..Made::default() };
        (1..=2).for_each(|number| self.issue_of(&made(number), 2).unwrap());
        assert_eq!(self.issue_of(&made(3), 2), Err(IssueError::Outstanding));
        self.0.pass(ttl_ms + ttl_ms / 2);
        (3..=4).for_each(|number| self.issue_of(&made(number), 2).unwrap());
        assert_eq!(self.issue_of(&made(5), 2), Err(IssueError::Outstanding));
    }
}

/// A case and its name.
type Named<W> = (&'static str, fn(&Case<W>));

/// Runs the whole suite; `make` gives a fresh, empty store each time.
pub(crate) fn run<W: World>(mut make: impl FnMut() -> W, steps: usize) {
    let cases: &[Named<W>] = &[
        ("what_is_issued_is_found_and_opened", Case::what_is_issued_is_found_and_opened),
        ("a_newer_stream_takes_over", Case::a_newer_stream_takes_over),
        ("a_single_use_is_one", Case::a_single_use_is_one),
        ("so_many_may_be_outstanding", Case::so_many_may_be_outstanding),
        ("so_many_may_be_outstanding_of_a_wider_bound", Case::so_many_may_be_outstanding_of_a_wider_bound),
        ("tokens_are_revoked", Case::tokens_are_revoked),
        ("a_revocation_has_a_reach", Case::a_revocation_has_a_reach),
        ("a_token_lives_as_long_as_its_stream_and_a_ttl", Case::a_token_lives_as_long_as_its_stream_and_a_ttl),
        ("a_stream_that_is_kept_late_still_has_its_token", Case::a_stream_that_is_kept_late_still_has_its_token),
        ("nothing_outlives_its_end", Case::nothing_outlives_its_end),
        ("what_expires_makes_room", Case::what_expires_makes_room),
    ];
    for (name, case) in cases {
        eprintln!("contract: {name}");
        case(&Case(make()));
    }
    eprintln!("contract: random_calls_agree_with_a_model");
    Case(make()).random_calls_agree_with_a_model(steps);
}
