//! Leases over a real store: who is told what, and that nothing stays behind.

use std::sync::mpsc as std_mpsc;

use actix::{Actor, Context, Handler};
use tambour_actors::principal::{Principal, Role};
use tambour_actors::session::gate::Lease as _;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;

use crate::identity::stream_tokens::contract::{Made, record};
use crate::identity::stream_tokens::{Bound, Parent};
use crate::store::sqlite::{SqliteStore, StoreSettings};

const TICK: Duration = Duration::from_millis(5);

/// A session, as far as a lease knows one.
struct Ears {
    principal: Arc<Principal>,
    told: std_mpsc::Sender<&'static str>,
}

impl Actor for Ears {
    type Context = Context<Self>;
}

impl Handler<ToSession> for Ears {
    type Result = ();

    fn handle(&mut self, message: ToSession, _: &mut Self::Context) {
        let told = match message {
            ToSession::Replaced => "replaced",
            ToSession::Review(review) => {
                review(Uuid::nil(), &self.principal).map_or_else(|refusal| refusal.code.as_str(), |_| "well")
            }
            _ => "something else",
        };
        self.told.send(told).expect("the test listens");
    }
}

struct World {
    leases: Leases,
    store: SqliteStore,
    _dir: TempDir,
}

impl World {
    fn new(keep_every: Duration) -> Self {
        let dir = TempDir::new().unwrap();
        let store = SqliteStore::open(dir.path(), &StoreSettings::default()).unwrap();
        Self { leases: Leases::new(Arc::new(store.clone()), keep_every), store, _dir: dir }
    }

    async fn issue(&self, made: &Made<'_>) -> Digest {
        let token =
            NewToken { own: Bound { of: Parent([1; 32]), outstanding_max: 10 }, within: None, record: record(made) };
        self.leases.issue(token).await.unwrap();
        record(made).proof().unwrap().digest
    }

    async fn open(&self, digest: Digest) -> (Rc<Lease>, std_mpsc::Receiver<&'static str>) {
        let (told, heard) = std_mpsc::channel();
        let lease = self.leases.open(digest).await.unwrap();
        let principal = record(&Made::default()).principal;
        lease.begun(&Ears { principal, told }.start().recipient());
        (lease, heard)
    }
}

async fn heard(told: &std_mpsc::Receiver<&'static str>) -> &'static str {
    for _ in 0..4_000 {
        if let Ok(told) = told.try_recv() {
            return told;
        }
        tokio::time::sleep(TICK).await;
    }
    panic!("nothing is told");
}

fn run<F: Future<Output = ()>>(test: F) {
    actix::System::new().block_on(test);
}

#[test]
fn the_older_stream_is_told_and_once() {
    run(async {
        let world = World::new(Duration::from_secs(60));
        let digest = world.issue(&Made::default()).await;
        let (older, told) = world.open(digest).await;
        let (newer, newest) = world.open(digest).await;
        assert_eq!(heard(&told).await, "replaced");
        world.leases.keep().await;
        drop(older);
        world.leases.give_back().await;
        world.leases.keep().await;
        assert!(told.try_recv().is_err() && newest.try_recv().is_err(), "nobody is told more");
        assert_eq!(world.leases.live(), 1);
        drop(newer);
        assert_eq!(world.leases.live(), 0);
    });
}

#[test]
fn who_begins_late_is_told_what_happened_before() {
    run(async {
        let world = World::new(Duration::from_secs(60));
        let digest = world.issue(&Made::default()).await;
        let (older, newer) = (world.leases.open(digest).await.unwrap(), world.leases.open(digest).await.unwrap());
        let (told, ears) = std_mpsc::channel();
        older.begun(&Ears { principal: record(&Made::default()).principal, told }.start().recipient());
        assert_eq!(heard(&ears).await, "replaced");
        assert_eq!(older.lost().await.code, Code::Replaced);
        drop(newer);
    });
}

#[test]
fn what_is_revoked_ends() {
    run(async {
        let world = World::new(Duration::from_secs(60));
        let digest = world.issue(&Made::default()).await;
        let other = world.issue(&Made { digest: 2, jti: Some("other"), ..Made::default() }).await;
        let ((_stream, told), (_other, well)) = (world.open(digest).await, world.open(other).await);
        let scope = record(&Made::default()).principal.scope.clone();
        assert_eq!(world.leases.revoke(Revoke::Jti(scope, "j".into(), Role::Member)).await, Ok(1));
        assert_eq!(heard(&told).await, "auth.token_revoked");
        world.leases.keep().await;
        assert!(well.try_recv().is_err());
        let refused = world.leases.find(digest).await.unwrap_err();
        assert_eq!(refused.code, Code::TokenInvalid);
    });
}

/// As if another hub had done it: it is not said, and found out.
#[test]
fn what_nobody_says_is_found_out() {
    run(async {
        let world = World::new(TICK);
        let digest = world.issue(&Made::default()).await;
        let other = world.issue(&Made { digest: 2, ..Made::default() }).await;
        let ((_stream, told), (_other, taken)) = (world.open(digest).await, world.open(other).await);
        actix::spawn(world.leases.clone().run());
        StreamTokens::revoke(&world.store, Revoke::Token(digest), now_ms()).await.unwrap();
        assert_eq!(heard(&told).await, "auth.token_revoked");
        let elsewhere = Held { digest: other, stream: StreamId(Uuid::from_u128(1)) };
        StreamTokens::open(&world.store, elsewhere, 0, now_ms()).await.unwrap().unwrap();
        assert_eq!(heard(&taken).await, "replaced");
    });
}

/// Until the store says that a token is gone it is not, however long it can't be asked.
#[test]
fn a_stall_longer_than_the_token_lives_ends_no_stream() {
    run(async {
        let world = World::new(TICK);
        let short = |digest| Made { digest, ttl_ms: 500, ..Made::default() };
        let (digest, other) = (world.issue(&short(1)).await, world.issue(&short(2)).await);
        let ((_stream, told), (_other, gone)) = (world.open(digest).await, world.open(other).await);
        for digest in [digest, other] {
            while StreamTokens::find(&world.store, digest, now_ms()).await.unwrap().is_some() {
                tokio::time::sleep(TICK).await;
            }
        }
        StreamTokens::revoke(&world.store, Revoke::Token(other), now_ms()).await.unwrap();
        world.leases.keep().await;
        assert_eq!(heard(&gone).await, "auth.token_revoked");
        assert!(told.try_recv().is_err(), "nobody has said that it is over");
        assert!(world.leases.find(digest).await.is_ok(), "it lives again, for whoever comes back");
    });
}

#[test]
fn a_store_that_is_closed_refuses_and_ends_nothing() {
    run(async {
        let world = World::new(Duration::from_secs(60));
        let digest = world.issue(&Made::default()).await;
        let (_stream, told) = world.open(digest).await;
        world.store.close();
        world.leases.keep().await;
        assert!(told.try_recv().is_err());
        let token = NewToken {
            own: Bound { of: Parent([1; 32]), outstanding_max: 10 },
            within: None,
            record: record(&Made { digest: 3, ..Made::default() }),
        };
        assert_eq!(world.leases.issue(token).await.unwrap_err().code, Code::TokenStore);
        assert_eq!(world.leases.find(digest).await.unwrap_err().code, Code::TokenStore);
        assert!(world.leases.open(digest).await.is_err_and(|refusal| refusal.code == Code::TokenStore));
        assert_eq!(world.leases.live(), 1, "what was not opened is not kept");
    });
}
