//! A client without streams: it asks for page after page.
//!
//! It keeps its connection as long as that lasts, and never asks for more than a page.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

use super::{Event, Parting, Reading, Way, seq_of};
use crate::support::http::{Answer, Ask, Connection};

/// How much is asked for at once, in turns: a page that breaks has to be asked for again.
const LIMITS: [u64; 5] = [100, 3, 250, 500, 1];

/// Between two looks at a thread in which nothing was new.
const PAUSE: Duration = Duration::from_millis(5);

/// One page after another.
pub(crate) const PAGES: Way = Way { name: "pages", visit: pages, many: true, fold: false, named: true };
/// The same, with appends folded.
pub(crate) const PAGES_FOLDED: Way = Way { name: "pages, folded", fold: true, ..PAGES };
/// Pages that wait for the next event.
pub(crate) const LONG_POLLS: Way = Way { name: "long polls", visit: long_polls, many: false, ..PAGES };

/// A page.
#[derive(Deserialize)]
pub(crate) struct Page<'a> {
    #[serde(borrow)]
    pub(crate) events: Vec<Event<'a>>,
    pub(crate) cursor: &'a str,
    pub(crate) has_more: bool,
    newest: &'a str,
}

fn pages(way: Way, addr: SocketAddr, sub: &str, readings: &mut [Reading]) -> Parting {
    visit(way, addr, sub, readings, false)
}

fn long_polls(way: Way, addr: SocketAddr, sub: &str, readings: &mut [Reading]) -> Parting {
    visit(way, addr, sub, readings, true)
}

fn visit(way: Way, addr: SocketAddr, sub: &str, readings: &mut [Reading], wait: bool) -> Parting {
    let Ok(mut connection) = Connection::try_open(addr) else { return Parting::Shut };
    let ask = Ask::by(sub, "GET", "");
    let (mut answered, mut asked) = (false, 0);
    while !readings.iter().all(Reading::done) {
        for reading in &mut *readings {
            let (limit, fold, wait_seconds) = (LIMITS[asked % LIMITS.len()], way.fold, u8::from(wait));
            asked += 1;
            let mut ask = ask.clone();
            ask.path = format!(
                "/v1/threads/{}/events?limit={limit}&wait={wait_seconds}&fold={fold}&after={}",
                reading.thread,
                reading.after()
            );
            let broken = if answered { Parting::Sudden } else { Parting::Shut };
            if !connection.try_send(&ask.bytes()) {
                return broken;
            }
            let Ok(answer) = connection.try_answer() else { return broken };
            answered = true;
            if answer.status == 503 {
                return Parting::Shut;
            }
            if keep(&answer, reading, fold) == 0 && !wait {
                std::thread::sleep(PAUSE);
            }
        }
    }
    Parting::Done
}

/// Takes the events of a page: how many there were.
fn keep(answer: &Answer, reading: &mut Reading, fold: bool) -> usize {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let page: Page<'_> = serde_json::from_slice(&answer.body).unwrap();
    page.events.iter().for_each(|event| reading.take(event));
    let last = page.events.last().map_or(page.cursor, |event| event.place());
    // Behind the last event of a folded page may be appends that stand elsewhere.
    assert!(last == page.cursor || seq_of(last) < seq_of(page.cursor) && fold, "{}", answer.text());
    assert_eq!(page.has_more, page.cursor != page.newest, "{}", answer.text());
    reading.reach(page.cursor);
    page.events.len()
}
