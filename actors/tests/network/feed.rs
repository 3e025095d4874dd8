//! The feed on live connections: who sees what, where one starts, what one is told of what one may not see.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tambour_actors::event::{Event, EventType};
use tambour_actors::frame::Wire;
use tambour_actors::log::contract::deed;
use tambour_actors::log::{Append, Class, EventLog as _, Member, TopicChange, Visibility};
use tambour_actors::outlet::line::Pace;
use tambour_actors::principal::{Permission, Permissions, Principal, Role};
use tambour_actors::review::{Review, Seen, Survey};
use tambour_actors::topic::messages::{ToOutlet, Watch};
use tambour_actors::topic::state::{Start, What, Write};
use tambour_actors::topic_key::Scope;
use tokio::sync::oneshot;

use super::feed_client::{FeedClient, Who};
use super::hub::{Hub, Setup, key, new_event, origin, run, scope, until};

pub(crate) fn admin() -> Who {
    Who { sub: "root", rights: (Role::Admin, Permissions::NONE), types: &[], topics: &[] }
}

pub(crate) fn member(sub: &'static str, more: &[Permission]) -> Who {
    let permissions = more.iter().copied().chain([Permission::FeedRead]).collect();
    Who { sub, rights: (Role::Member, permissions), types: &[], topics: &[] }
}

async fn change(hub: &Hub, topic: &str, change: TopicChange) {
    hub.directory.change(&key(topic), change, deed()).await.unwrap().unwrap();
}

async fn shut(hub: &Hub, topic: &str) {
    change(hub, topic, TopicChange { visibility: Some(Visibility::Private), ..TopicChange::default() }).await;
}

async fn gets(client: &mut FeedClient, expected: &[&str]) {
    until(&format!("{} gets {expected:?}", client.who.sub), || client.seen() == expected).await;
}

async fn begins(client: &mut FeedClient) {
    until("begun", || {
        client.read();
        client.begun
    })
    .await;
}

/// Counts who answers.
struct Count(Scope, Arc<AtomicUsize>);

impl Survey for Count {
    fn scope(&self) -> &Scope {
        &self.0
    }

    fn seen(&self, _: Seen) {
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

const WIRES: [Wire; 2] = [Wire::Ws, Wire::Sse];

#[test]
fn everybody_gets_what_they_may_see() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        for topic in ["thread/open", "thread/shut"] {
            hub.create(topic).await;
        }
        shut(&hub, "thread/shut").await;
        for wire in WIRES {
            let mut root = FeedClient::open(&hub, admin(), 0, wire, Start::Head).await;
            let mut bob = FeedClient::open(&hub, member("bob", &[Permission::ThreadsRead]), 1, wire, Start::Head).await;
            let mut eve = FeedClient::open(&hub, member("eve", &[]), 0, wire, Start::Head).await;
            let some = Who { types: &["no*"], topics: &["thread/shut"], ..admin() };
            let mut some = FeedClient::open(&hub, some, 1, wire, Start::Head).await;
            for client in [&mut root, &mut bob, &mut eve, &mut some] {
                begins(client).await;
            }
            hub.publish("thread/open", "1").await.unwrap();
            hub.publish("thread/shut", "2").await.unwrap();
            let eve_in = TopicChange {
                put_member: Some(Member { sub: "eve".into(), can_write: false }),
                ..TopicChange::default()
            };
            change(&hub, "thread/shut", eve_in).await;
            hub.publish("thread/shut", "3").await.unwrap();
            hub.publish("thread/open", "4").await.unwrap();
            let put = "thread.member_put thread/shut";
            gets(&mut root, &["open 1", "shut 2", put, "shut 3", "open 4"]).await;
            gets(&mut bob, &["open 1", "open 4"]).await;
            gets(&mut eve, &[put, "shut 3"]).await;
            gets(&mut some, &["shut 2", "shut 3"]).await;
            let eve_out = TopicChange { remove_member: Some("eve".into()), ..TopicChange::default() };
            change(&hub, "thread/shut", eve_out).await;
            for client in [&root, &bob, &eve, &some] {
                client.net.end_input();
            }
        }
        hub.expect_nothing_left().await;
    });
}

#[test]
fn a_feed_starts_where_it_is_asked_to() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let record = hub.create("thread/a").await;
        hub.publish_many("thread/a", 1..=40).await;
        let all: Vec<String> =
            std::iter::once("thread.created thread/a".to_owned()).chain((1..=40).map(|n| format!("a {n}"))).collect();
        let tail = |from: usize| all[from..].iter().map(String::as_str).collect::<Vec<_>>();
        for wire in WIRES {
            let mut earliest = FeedClient::open(&hub, admin(), 0, wire, Start::Earliest).await;
            gets(&mut earliest, &tail(0)).await;
            let mut last = FeedClient::open(&hub, admin(), 1, wire, Start::Last(3)).await;
            gets(&mut last, &tail(38)).await;
            let mut more = FeedClient::open(&hub, admin(), 1, wire, Start::Last(100)).await;
            gets(&mut more, &tail(0)).await;
            let at = |client: &FeedClient, index: usize| client.at.unwrap().mark.at(client.got[index].0);
            let middle = at(&earliest, 20);
            let mut resumed = FeedClient::open(&hub, admin(), 0, wire, Start::After(middle)).await;
            gets(&mut resumed, &tail(21)).await;
            assert!(resumed.gaps.is_empty());
            for (start, reason) in [
                (middle.mark.of_another_life().at(5), "reset"),
                (middle.mark.at(1 << 40), "unknown"),
                (record.mark().at(3), "unknown"),
            ] {
                let mut lost = FeedClient::open(&hub, admin(), 1, wire, Start::After(start)).await;
                gets(&mut lost, &tail(0)).await;
                assert_eq!(lost.gaps.iter().map(|gap| gap["reason"].clone()).collect::<Vec<_>>(), [reason]);
                assert_eq!(lost.gaps[0]["requested"], start.to_string());
                lost.net.end_input();
            }
            for client in [&earliest, &last, &more, &resumed] {
                client.net.end_input();
            }
        }
        hub.expect_nothing_left().await;
    });
}

#[test]
fn what_retention_took_is_a_gap_and_the_rest_follows() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let record = hub.create("thread/a").await;
        hub.create("thread/b").await;
        hub.publish_many("thread/a", 1..=3).await;
        hub.publish_many("thread/b", 1..=1).await;
        hub.publish_many("thread/a", 4..=6).await;
        let mut before = FeedClient::open(&hub, admin(), 0, Wire::Ws, Start::Last(7)).await;
        until("begun", || before.seen().len() >= 7).await;
        let first = before.at.unwrap().mark.at(before.got[0].0);
        hub.trim(&record, 4);
        // Woken anew, the feed has nothing in memory.
        before.net.end_input();
        hub.expect_nothing_left().await;
        for wire in WIRES {
            let mut client = FeedClient::open(&hub, admin(), 1, wire, Start::After(first)).await;
            gets(&mut client, &["b 1", "a 5", "a 6"]).await;
            assert_eq!(client.gaps.len(), 1);
            assert_eq!((&client.gaps[0]["reason"], &client.gaps[0]["topic"]), (&json!("trimmed"), &json!("feed")));
            client.net.end_input();
            hub.expect_nothing_left().await;
        }
    });
}

#[test]
fn who_may_not_see_what_happens_is_told_where_they_stand() {
    run(async || {
        let pace = Pace { ws_ping_ms: 300, sse_comment_ms: 300, stall_ms: 60_000 };
        let hub = Hub::start(Setup { pace, ..Setup::default() }).await;
        hub.create("thread/shut").await;
        shut(&hub, "thread/shut").await;
        hub.publish_many("thread/shut", 1..=50).await;
        for wire in WIRES {
            // At the end of a page…
            let mut bob = FeedClient::open(&hub, member("bob", &[]), 0, wire, Start::Earliest).await;
            until("told at the end of a page", || {
                bob.read();
                bob.progress == 1
            })
            .await;
            let reads = hub.log.reads();
            // …and live, in place of a beat.
            hub.publish("thread/shut", "1").await.unwrap();
            until("told at a beat", || {
                bob.read();
                bob.progress == 2
            })
            .await;
            tokio::time::sleep(Duration::from_millis(700)).await;
            bob.read();
            assert_eq!((bob.progress, bob.got.len(), bob.gaps.len()), (2, 0, 0), "told once");
            bob.net.end_input();
            bob.resume(&hub).await;
            begins(&mut bob).await;
            hub.publish("thread/shut", "2").await.unwrap();
            until("told again", || {
                bob.read();
                bob.progress == 3
            })
            .await;
            assert_eq!(hub.log.reads(), reads, "nothing had to be read again");
            bob.net.end_input();
        }
        hub.expect_nothing_left().await;
    });
}

#[test]
fn what_one_may_see_moves_with_ones_role() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        hub.create("thread/open").await;
        let public = TopicChange { visibility: Some(Visibility::Public), ..TopicChange::default() };
        change(&hub, "thread/open", public).await;
        hub.create("thread/shut").await;
        shut(&hub, "thread/shut").await;
        let mut clients = Vec::new();
        for wire in WIRES {
            clients.push(FeedClient::open(&hub, admin(), 0, wire, Start::Head).await);
        }
        for client in &mut clients {
            begins(client).await;
        }
        hub.publish("thread/shut", "1").await.unwrap();
        for client in &mut clients {
            gets(client, &["shut 1"]).await;
        }
        let into = |role: Role, permissions: Permissions| -> Review {
            Arc::new(move |_, principal: &Arc<Principal>| {
                Ok(Some(Arc::new(Principal { role, permissions, ..(**principal).clone() })))
            })
        };
        // Who has said who they are behind a review has taken it in.
        let review = async |review: Review| {
            let seen = Arc::new(AtomicUsize::new(0));
            let count: Arc<dyn Survey> = Arc::new(Count(scope(), seen.clone()));
            hub.directory.outlets().send_all(|| ToOutlet::Review(review.clone()));
            hub.directory.outlets().send_all(|| ToOutlet::Survey(count.clone()));
            until("everybody has said who they are", || seen.load(Ordering::SeqCst) == WIRES.len()).await;
        };
        review(into(Role::Member, [Permission::FeedRead].into_iter().collect())).await;
        hub.publish("thread/shut", "2").await.unwrap();
        hub.publish("thread/open", "0").await.unwrap();
        for client in &mut clients {
            // What is hidden is behind them, before they may see again.
            gets(client, &["shut 1", "open 0"]).await;
        }
        review(into(Role::Admin, Permissions::NONE)).await;
        hub.publish("thread/shut", "3").await.unwrap();
        for client in &mut clients {
            gets(client, &["shut 1", "open 0", "shut 3"]).await;
        }
        // Streams of the feed alone end by it, and then say nothing of themselves.
        let nothing = into(Role::Member, Permissions::NONE);
        hub.directory.outlets().send_all(|| ToOutlet::Review(nothing.clone()));
        for client in &mut clients {
            until("forbidden", || {
                client.read();
                client.ended.iter().any(|end| end["reason"] == "forbidden")
            })
            .await;
        }
        hub.publish("thread/shut", "4").await.unwrap();
        for client in &mut clients {
            client.net.end_input();
            assert_eq!(client.seen(), ["shut 1", "open 0", "shut 3"]);
        }
        hub.expect_nothing_left().await;
    });
}

#[test]
fn a_socket_reads_the_feed_beside_its_topics() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        hub.create("thread/a").await;
        let who = Who { types: &["thread.closed"], ..admin() };
        let mut root = FeedClient::open(&hub, who, 0, Wire::Ws, Start::Head).await;
        begins(&mut root).await;
        root.send(&json!({"t": "subscribe", "topic": "feed", "ref": 2}));
        root.send(&json!({"t": "subscribe", "topic": "feed", "fold": true, "ref": 3}));
        root.send(&json!({"t": "publish", "topic": "feed", "type": "note", "data": 1, "ref": 4}));
        until("refused", || {
            root.read();
            root.errors.len() == 3
        })
        .await;
        let codes: Vec<_> = root.errors.iter().map(|error| error["code"].as_str().unwrap()).collect();
        assert_eq!(codes, ["session.subscribed", "query.invalid", "permission.denied"]);
        drop(hub.write("thread/a", What::Close(deed()).into()).await);
        gets(&mut root, &["thread.closed thread/a"]).await;
        root.send(&json!({"t": "unsubscribe", "topic": "feed"}));
        root.send(&json!({"t": "subscribe", "topic": "feed", "types": ["note"], "after": "earliest"}));
        root.begun = false;
        begins(&mut root).await;
        hub.create("thread/b").await;
        hub.publish("thread/b", "1").await.unwrap();
        gets(&mut root, &["thread.closed thread/a", "b 1"]).await;
        root.net.end_input();
        hub.expect_nothing_left().await;
    });
}

#[test]
fn who_polls_the_feed_is_told_of_the_next_commit() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        hub.create("thread/a").await;
        let feed = hub.find("feed").await.unwrap();
        let (reply, told) = oneshot::channel();
        feed.addr.do_send(Watch { after: 1, reply });
        hub.publish("thread/a", "1").await.unwrap();
        told.await.expect("told");
        assert_eq!(hub.directory.record(&key("feed")).await.unwrap().unwrap().mark(), feed.record.mark());
        assert_eq!(hub.directory.delete(&key("feed"), deed()).await, Ok(false));
        hub.expect_nothing_left().await;
    });
}

#[test]
fn a_feed_that_dies_is_read_on() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        hub.create("thread/a").await;
        let mut root = FeedClient::open(&hub, admin(), 0, Wire::Sse, Start::Head).await;
        begins(&mut root).await;
        hub.log.poison_feeds();
        // Whoever starts at the beginning lets it read, and die.
        let mut other = FeedClient::open(&hub, admin(), 1, Wire::Ws, Start::Earliest).await;
        hub.publish_many("thread/a", 1..=3).await;
        gets(&mut root, &["a 1", "a 2", "a 3"]).await;
        gets(&mut other, &["thread.created thread/a", "a 1", "a 2", "a 3"]).await;
        root.net.end_input();
        other.net.end_input();
        hub.expect_nothing_left().await;
    });
}

#[test]
fn what_is_more_than_a_tap_holds_is_read_from_the_store() {
    const EVENTS: usize = 90;
    run(async || {
        let hub = Hub::start(Setup { workers: 1, ..Setup::default() }).await;
        let record = hub.create("thread/a").await;
        let mut readers = Vec::new();
        for who in [admin(), member("bob", &[Permission::ThreadsRead]), member("eve", &[])] {
            for wire in WIRES {
                readers.push(FeedClient::open(&hub, who.clone(), 0, wire, Start::Head).await);
            }
        }
        for reader in &mut readers {
            begins(reader).await;
        }
        // Nobody asks the tap while its worker is held up.
        let (go_on, held) = std::sync::mpsc::channel::<()>();
        hub.workers[0].spawn_fn(move || {
            let _ = held.recv();
        });
        let data = Bytes::from(format!("\"{}\"", "x".repeat(60_000)));
        for seq in 1..=EVENTS as u64 {
            let event = Event {
                seq,
                time_ms: 0,
                kind: EventType::parse("note").unwrap(),
                origin: origin("alice"),
                data: data.clone(),
                target: None,
                taken: None,
            };
            let append = Append {
                log: record.log,
                events: [event].into(),
                once: Vec::new(),
                closing: None,
                class: Class::Ordinary,
            };
            assert_eq!(hub.log.memory.append(vec![append]).await, [Ok(())]);
        }
        let reads = hub.log.reads();
        drop(go_on);
        for reader in &mut readers {
            until("all of it", || {
                reader.read();
                reader.got.len() == if reader.who.sub == "eve" { 0 } else { EVENTS }
            })
            .await;
            assert!(reader.gaps.is_empty());
        }
        until("it was read", || hub.log.reads() > reads).await;
        readers.iter().for_each(|reader| reader.net.end_input());
        hub.expect_nothing_left().await;
    });
}

#[test]
fn ten_thousand_threads_at_once_are_in_order_for_every_reader() {
    const THREADS: usize = 10_000;
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let names: Vec<String> = (0..THREADS).map(|n| format!("thread/t{n}")).collect();
        for name in &names {
            hub.create(name).await;
        }
        let mut readers = Vec::new();
        for (worker, wire) in [(0, Wire::Ws), (1, Wire::Sse)] {
            readers.push(FeedClient::open(&hub, admin(), worker, wire, Start::Head).await);
            let bob = member("bob", &[Permission::ThreadsRead]);
            readers.push(FeedClient::open(&hub, bob, worker, wire, Start::Head).await);
        }
        for reader in &mut readers {
            begins(reader).await;
        }
        let mut answers = Vec::with_capacity(THREADS);
        for name in &names {
            answers.push(hub.write(name, Write::events(vec![new_event("1"), new_event("2")])).await);
        }
        for answer in answers {
            answer.await.expect("answered").expect("published");
        }
        for reader in &mut readers {
            until("all of it", || {
                reader.read();
                reader.got.len() == 2 * THREADS
            })
            .await;
        }
        let order = readers[0].seen();
        assert!(readers[1..].iter_mut().all(|reader| reader.seen() == order), "one order for all");
        for name in names.iter().map(|name| &name["thread/".len()..]).step_by(997) {
            let own: Vec<_> = order.iter().filter(|seen| seen.starts_with(&format!("{name} "))).collect();
            assert_eq!(own, [&format!("{name} 1"), &format!("{name} 2")]);
        }
        readers.iter().for_each(|reader| reader.net.end_input());
        hub.expect_nothing_left().await;
    });
}
