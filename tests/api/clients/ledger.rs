//! What publishers write, and whether the log has it: each once, and each publisher's in its order.
//!
//! It asks the hub itself, on a connection that does not break.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::folding::{Append, Stories};
use super::pages::Page;
use super::{Event, seq_of};
use crate::support::http::{Ask, Connection};

/// The type of what publishers write.
pub(crate) const KIND: &str = "note";
/// Every so many events of a publisher one is large.
const LARGE_EVERY: u64 = 997;
/// How large that is.
const LARGE_BYTES: usize = 20_000;
/// Most bytes of what fills the others.
const FILL_BYTES_MAX: u64 = 160;

/// The data of the event `n` of a publisher, as JSON: who, which, and something to fill it, so that frames end at
/// other places of packets and buffers each time.
pub(crate) fn data(publisher: usize, n: u64) -> String {
    let fill = if n % LARGE_EVERY == LARGE_EVERY / 2 {
        LARGE_BYTES
    } else {
        usize::try_from((n * 31 + publisher as u64 * 17) % FILL_BYTES_MAX).unwrap()
    };
    format!("[{publisher},{n},\"{}\"]", "é".repeat(fill / 2))
}

/// Of a publisher whose events grow, how many entries make one: the event, and what is appended to it.
pub(crate) const GROWTH: u64 = 20;

/// What is appended as entry `n` of a publisher, as a JSON string. It says which, and a little more.
pub(crate) fn token(publisher: usize, n: u64) -> String {
    format!("\"{publisher} {n} {}\"", ["", "é", "\\n", "\\\"", "words "][usize::try_from(n % 5).unwrap()])
}

/// A thread's events as they are in the log.
#[derive(Default)]
pub(crate) struct Ledger {
    /// As in [`super::Has`].
    pub(crate) digests: Vec<u64>,
    pub(crate) stories: Stories,
    /// The seq of each entry of each publisher, in its order.
    pub(crate) seqs: BTreeMap<usize, Vec<u64>>,
}

impl Ledger {
    /// Reads a thread, and checks that each publisher's entries are there from the first on, once and in order.
    #[track_caller]
    pub(crate) fn read(addr: SocketAddr, thread: &str) -> Self {
        let mut connection = Connection::open(addr);
        let mut ask = Ask::by("auditor", "GET", "");
        let mut ledger = Self::default();
        let mut after = "earliest".to_owned();
        loop {
            ask.path = format!("/v1/threads/{thread}/events?limit=500&after={after}");
            connection.send(&ask.bytes());
            let answer = connection.answer();
            assert_eq!(answer.status, 200, "{}", answer.text());
            let page: Page<'_> = serde_json::from_slice(&answer.body).unwrap();
            page.events.iter().for_each(|event| ledger.take(event));
            if !page.has_more {
                return ledger;
            }
            page.cursor.clone_into(&mut after);
        }
    }

    #[track_caller]
    fn take(&mut self, event: &Event<'_>) {
        assert_eq!(event.seq, self.digests.len() as u64 + 1, "{event:?}");
        self.digests.push(event.digest());
        self.stories.take(event);
        let (publisher, n, target) = said(event);
        let seqs = self.seqs.entry(publisher).or_default();
        assert_eq!(n, seqs.len() as u64, "publisher {publisher}: each once, and in order: {event:?}");
        if let Some(target) = target {
            assert_eq!(target, seqs[usize::try_from(n - n % GROWTH).unwrap()], "to what it was meant for: {event:?}");
        }
        seqs.push(event.seq);
    }
}

/// Publisher and number of an entry, and the seq of what it was appended to.
#[track_caller]
fn said(event: &Event<'_>) -> (usize, u64, Option<u64>) {
    if event.kind == "append" {
        let append: Append = serde_json::from_str(event.data.get()).unwrap();
        let mut words = append.data.split(' ');
        let mut number = || words.next().unwrap().parse::<u64>().unwrap();
        let (publisher, n) = (usize::try_from(number()).unwrap(), number());
        assert_eq!(append.data, serde_json::from_str::<String>(&token(publisher, n)).unwrap(), "to the byte");
        return (publisher, n, Some(seq_of(&append.event_id)));
    }
    assert_eq!(event.kind, KIND, "{event:?}");
    let (publisher, n, _): (usize, u64, &str) = serde_json::from_str(event.data.get()).unwrap();
    assert_eq!(event.data.get(), data(publisher, n), "to the byte");
    (publisher, n, None)
}
