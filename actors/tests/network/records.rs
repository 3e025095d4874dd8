//! Sockets that encrypt: they accept a whole record and may not get it out, so a line can be full although everything
//! was accepted.

use tambour_actors::frame::Wire;
use tambour_actors::log::contract::deed;
use tambour_actors::outlet::line::Pace;
use tambour_actors::topic::messages::ToOutlet;
use tambour_actors::topic::state::{Start, What};

use super::client::{Client, Truth};
use super::hub::{Hub, PATIENCE, Setup, run, until};
use super::socket::UNLIMITED;

const TOPIC: &str = "thread/x";
/// More than any frame of these tests.
const RECORD: usize = 16 * 1024;

async fn hub(setup: Setup) -> (Hub, Truth) {
    let hub = Hub::start(setup).await;
    hub.create(TOPIC).await;
    let truth = Truth::of(&hub);
    (hub, truth)
}

/// A reader that has its head, and whose socket holds records from then on.
async fn reader(hub: &Hub, truth: &Truth, wire: Wire) -> Client {
    let mut client = Client::of(hub, truth, 0, wire, TOPIC, Start::Head).await.unwrap();
    until("subscribed", || client.at(TOPIC).is_some()).await;
    client.net.hold_records(RECORD);
    client
}

#[test]
fn a_line_whose_record_waits_is_full_although_all_was_accepted() {
    run(async || {
        let (hub, truth) = hub(Setup::default()).await;
        for wire in [Wire::Ws, Wire::Sse] {
            let mut client = reader(&hub, &truth, wire).await;
            let mut other = reader(&hub, &truth, wire).await;
            client.net.stall();
            let (reads, writes) = (hub.log.reads(), client.net.writes());
            let mut head = 0;
            for number in 0..100 {
                head = hub.publish(TOPIC, &format!("\"{number}{}\"", "x".repeat(2_000))).await.unwrap().last;
            }
            until("the other reader has them", || other.at(TOPIC).is_some_and(|at| at.seq == head)).await;
            assert!(client.net.writes() <= writes + 2, "a full socket is not tried again and again");
            assert_eq!(hub.log.reads(), reads, "a reader that can't be written to is not read for");
            client.net.make_room(UNLIMITED);
            until("it reads on", || client.at(TOPIC).is_some_and(|at| at.seq == head)).await;
            assert!(client.gaps.is_empty());
            client.net.end_input();
            other.net.end_input();
        }
        hub.expect_nothing_left().await;
    });
}

#[test]
fn a_record_may_go_out_in_any_pieces() {
    run(async || {
        let (hub, truth) = hub(Setup::default()).await;
        hub.publish_many(TOPIC, 1..=5).await;
        for (wire, record, piece) in [(Wire::Ws, 100, 1), (Wire::Sse, 7, 3), (Wire::Ws, 1, 5), (Wire::Sse, 1_000, 97)] {
            let mut client = Client::of(&hub, &truth, 1, wire, TOPIC, Start::Earliest).await.unwrap();
            client.net.hold_records(record);
            until("subscribed", || client.at(TOPIC).is_some()).await;
            client.net.stall();
            let head = hub.publish(TOPIC, "\"live\"").await.unwrap().last;
            let deadline = std::time::Instant::now() + PATIENCE;
            while client.at(TOPIC).is_none_or(|at| at.seq < head) {
                assert!(std::time::Instant::now() < deadline, "{wire:?} by {piece} stands at {:?}", client.at(TOPIC));
                client.net.make_room(piece);
                tokio::task::yield_now().await;
            }
            client.net.make_room(UNLIMITED);
            client.net.end_input();
        }
        hub.expect_nothing_left().await;
    });
}

/// Who takes a byte of a record now and then is slow, and not away.
#[test]
fn a_reader_is_cut_when_its_record_does_not_move_and_not_before() {
    run(async || {
        let pace = Pace { ws_ping_ms: 60_000, sse_comment_ms: 60_000, stall_ms: 800 };
        let (hub, truth) = hub(Setup { pace, ..Setup::default() }).await;
        for wire in [Wire::Ws, Wire::Sse] {
            let client = reader(&hub, &truth, wire).await;
            client.net.stall();
            hub.publish(TOPIC, &format!("\"{}\"", "x".repeat(3_000))).await.unwrap();
            let now = || async { hub.on(0, |worker| worker.now_ms()).await };
            let began = now().await;
            while now().await < began + 2_000 {
                client.net.make_room(1);
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                assert!(!client.net.closed(), "{wire:?} was cut although its record moved");
            }
            until("cut", || client.net.closed()).await;
            assert!(client.net.abandoned(), "what it did not take is thrown away");
        }
        hub.expect_nothing_left().await;
    });
}

#[test]
fn goodbyes_wait_for_room() {
    run(async || {
        let (hub, truth) = hub(Setup::default()).await;
        let mut clients = Vec::new();
        for wire in [Wire::Ws, Wire::Sse] {
            let client = reader(&hub, &truth, wire).await;
            client.net.stall();
            clients.push(client);
        }
        hub.publish_many(TOPIC, 1..=3).await;
        hub.write(TOPIC, What::Close(deed()).into()).await.await.unwrap().unwrap();
        for client in &mut clients {
            assert!(!client.net.finished());
            until("the end", || {
                // Fast enough for the time that a goodbye has, on any machine.
                client.net.make_room(50);
                client.finished()
            })
            .await;
            assert_eq!(client.ended, [(TOPIC.to_owned(), "closed".to_owned())]);
            client.net.end_input();
        }
        hub.expect_nothing_left().await;
    });
}

#[test]
fn a_drained_hub_tells_those_whose_record_waits() {
    run(async || {
        let (hub, truth) = hub(Setup::default()).await;
        let mut client = reader(&hub, &truth, Wire::Ws).await;
        client.net.stall();
        hub.publish(TOPIC, "1").await.unwrap();
        until("something waits", || client.net.holds()).await;
        hub.directory.outlets().send_all(|| ToOutlet::Drain { spread_ms: 100 });
        client.net.make_room(UNLIMITED);
        until("told", || client.finished() && client.reconnects == 1).await;
        assert_eq!(client.close_code, Some(1012));
        client.net.end_input();
        hub.expect_nothing_left().await;
    });
}
