//! The contract of stream tokens, and what the file promises beside it: tokens outlive the process, and no longer than
//! their time.

use std::cell::Cell;
use std::sync::Arc;

use super::*;
use crate::identity::stream_tokens::contract::{self, Made, World, record};
use crate::identity::stream_tokens::{Bound, Held, NewToken, Parent, StreamId, StreamTokens};
use uuid::Uuid;

struct Embedded {
    store: SqliteStore,
    now_ms: Cell<i64>,
    _dir: TempDir,
}

impl World for Embedded {
    fn tokens(&self) -> &dyn StreamTokens {
        &self.store
    }

    fn now_ms(&self) -> i64 {
        self.now_ms.get()
    }

    fn pass(&self, ms: i64) {
        self.now_ms.set(self.now_ms.get() + ms);
    }

    fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        wait(future)
    }

    fn ttl_ms(&self) -> i64 {
        60_000
    }
}

#[test]
fn stream_tokens_pass_the_contract() {
    let make = || {
        let dir = TempDir::new().unwrap();
        Embedded { store: open(&dir), now_ms: Cell::new(1_795_330_000_000), _dir: dir }
    };
    contract::run(make, 3_000);
}

fn held(made: &Made<'_>) -> Held {
    Held { digest: record(made).proof().unwrap().digest, stream: StreamId(Uuid::from_u128(1)) }
}

fn issue(store: &SqliteStore, made: &Made<'_>, now_ms: i64) {
    let token =
        NewToken { own: Bound { of: Parent([1; 32]), outstanding_max: 1_000 }, within: None, record: record(made) };
    wait(StreamTokens::issue(store, token, now_ms)).unwrap();
}

#[test]
fn tokens_outlive_the_process() {
    let dir = TempDir::new().unwrap();
    let made = Made::default();
    {
        let store = open(&dir);
        issue(&store, &made, 0);
        assert!(wait(StreamTokens::open(&store, held(&made), 5_000, 1)).unwrap().is_some());
    }
    let store = open(&dir);
    let digest = held(&made).digest;
    assert_eq!(wait(StreamTokens::find(&store, digest, 65_000)), Ok(Some(record(&made))));
    assert_eq!(wait(StreamTokens::find(&store, digest, 65_001)), Ok(None));
}

#[test]
fn rows_whose_time_ran_out_go_and_others_stay() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    for digest in 0..200 {
        issue(&store, &Made { digest, ..Made::default() }, 0);
    }
    issue(&store, &Made { digest: 999, ..Made::default() }, 1_000);
    let rows = || raw(&dir).query_row("SELECT count(*) FROM stream_tokens", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(rows(), 201);
    let mut calls = 0;
    while rows() > 1 {
        // A keep of nothing is what a hub without live streams does.
        assert_eq!(wait(store.keep(Vec::new(), 0, 60_500)), Ok(Vec::new()));
        calls += 1;
        assert!(calls <= 200 / AT_ONCE + 1, "they go in slices");
    }
    assert!(
        wait(StreamTokens::find(&store, held(&Made { digest: 999, ..Made::default() }).digest, 60_500))
            .unwrap()
            .is_some()
    );
}

/// Rows that one call takes away.
const AT_ONCE: i64 = 64;

#[test]
fn racing_issuers_stay_below_the_cap() {
    // All of one parent, and each of one of their own within the same wider bound.
    for of_one in [true, false] {
        let dir = TempDir::new().unwrap();
        assert_eq!(race(&Arc::new(open(&dir)), of_one), 10);
    }
}

/// How many of 64 at once get a token.
fn race(store: &Arc<SqliteStore>, of_one: bool) -> usize {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..64_u8)
            .map(|number| {
                let store = store.clone();
                scope.spawn(move || {
                    let record = record(&Made { digest: number.into(), ..Made::default() });
                    let of = Parent([if of_one { 255 } else { number }; 32]);
                    let within = (!of_one).then_some(Bound { of: Parent([254; 32]), outstanding_max: 10 });
                    let token = NewToken { own: Bound { of, outstanding_max: 10 }, within, record };
                    usize::from(wait(StreamTokens::issue(&*store, token, 0)).is_ok())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}
