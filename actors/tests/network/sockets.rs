//! One socket at a time: full, reset, silent, and what a reader who can't be written to costs.

use std::time::Duration;
use tambour_actors::log::contract::deed;

use tambour_actors::frame::Wire;
use tambour_actors::outlet::line::Pace;
use tambour_actors::topic::messages::ToOutlet;
use tambour_actors::topic::state::{Start, What};

use super::client::{Client, Truth};
use super::hub::{Hub, Setup, run, until};
use super::socket::UNLIMITED;

const TOPIC: &str = "thread/x";

async fn hub(setup: Setup) -> (Hub, Truth) {
    let hub = Hub::start(setup).await;
    hub.create(TOPIC).await;
    let truth = Truth::of(&hub);
    (hub, truth)
}

async fn reaches(client: &mut Client, topic: &str, seq: u64) {
    let what = format!("{topic} at {seq} of a client on worker {}", client.worker);
    until(&what, || client.at(topic).is_some_and(|at| at.seq == seq)).await;
}

/// A full socket that is reset is ready for writing for ever, and every write fails.
#[test]
fn a_reset_behind_a_full_socket_ends_the_session() {
    run(async || {
        let (hub, truth) = hub(Setup::default()).await;
        for wire in [Wire::Ws, Wire::Sse] {
            let client = Client::of(&hub, &truth, 0, wire, TOPIC, Start::Head).await.unwrap();
            until("the head of the stream", || !client.net.accepted(0).is_empty()).await;
            client.net.stall();
            let writes = client.net.writes();
            hub.publish(TOPIC, "1").await.unwrap();
            until("a write to the full socket", || client.net.writes() > writes).await;
            client.net.reset();
            until("the socket is closed", || client.net.closed()).await;
            // The worker goes on.
            assert_eq!(hub.on(0, |worker| worker.index).await, 0);
        }
        hub.expect_nothing_left().await;
    });
}

/// Whatever piece a socket accepts, the reader gets the same bytes, and no more waits for it than the
/// rest of one frame.
#[test]
fn a_socket_may_block_at_any_byte() {
    run(async || {
        let (hub, truth) = hub(Setup::default()).await;
        hub.publish_many(TOPIC, 1..=5).await;
        for (wire, piece) in [(Wire::Ws, 1), (Wire::Sse, 1), (Wire::Ws, 7), (Wire::Sse, 97), (Wire::Ws, 333)] {
            let mut client = Client::of(&hub, &truth, 1, wire, TOPIC, Start::Earliest).await.unwrap();
            until("subscribed", || client.at(TOPIC).is_some()).await;
            client.net.stall();
            let head = hub.publish(TOPIC, "\"live\"").await.unwrap().last;
            let deadline = std::time::Instant::now() + super::hub::PATIENCE;
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

#[test]
fn a_reader_that_accepts_nothing_costs_one_cut_frame_and_no_reads() {
    run(async || {
        let (hub, truth) = hub(Setup::default()).await;
        let mut client = Client::of(&hub, &truth, 0, Wire::Ws, TOPIC, Start::Head).await.unwrap();
        let mut other = Client::of(&hub, &truth, 0, Wire::Sse, TOPIC, Start::Head).await.unwrap();
        until("subscribed", || client.at(TOPIC).is_some() && other.at(TOPIC).is_some()).await;
        client.net.stall();
        client.net.make_room(20);
        hub.publish(TOPIC, &format!("\"{}\"", "x".repeat(10_000))).await.unwrap();
        reaches(&mut other, TOPIC, 1).await;
        let (reads, writes) = (hub.log.reads(), client.net.writes());
        for number in 2..=300 {
            hub.publish(TOPIC, &format!("\"{number}{}\"", "x".repeat(2_000))).await.unwrap();
        }
        reaches(&mut other, TOPIC, 300).await;
        assert_eq!(hub.log.reads(), reads, "a reader that can't be written to is not read for");
        assert!(client.net.writes() <= writes + 1, "a full socket is not tried again and again");
        client.net.make_room(UNLIMITED);
        reaches(&mut client, TOPIC, 300).await;
        assert!(hub.log.reads() > reads, "it reads on from the log");
        assert!(client.gaps.is_empty());
    });
}

#[test]
fn a_reader_that_accepts_nothing_for_too_long_is_cut() {
    run(async || {
        let pace = Pace { ws_ping_ms: 60_000, sse_comment_ms: 60_000, stall_ms: 600 };
        let (hub, truth) = hub(Setup { pace, ..Setup::default() }).await;
        for wire in [Wire::Ws, Wire::Sse] {
            let client = Client::of(&hub, &truth, 0, wire, TOPIC, Start::Head).await.unwrap();
            until("the head of the stream", || !client.net.accepted(0).is_empty()).await;
            client.net.stall();
            hub.publish(TOPIC, "1").await.unwrap();
            until("cut", || client.net.closed()).await;
            assert!(client.net.abandoned(), "what it did not take is thrown away");
        }
        hub.expect_nothing_left().await;
    });
}

/// The deadline runs from the first byte that waits, not from the last that was written to a quiet stream.
#[test]
fn a_quiet_stream_has_all_its_time_when_it_blocks() {
    run(async || {
        let pace = Pace { ws_ping_ms: 60_000, sse_comment_ms: 60_000, stall_ms: 1_500 };
        let (hub, truth) = hub(Setup { pace, ..Setup::default() }).await;
        let client = Client::of(&hub, &truth, 0, Wire::Ws, TOPIC, Start::Head).await.unwrap();
        until("the head of the stream", || !client.net.accepted(0).is_empty()).await;
        let began = hub.on(0, |worker| worker.now_ms()).await;
        let quiet_until = began + 1_600;
        while hub.on(0, |worker| worker.now_ms()).await < quiet_until {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        client.net.stall();
        let blocked_at = hub.on(0, |worker| worker.now_ms()).await;
        hub.publish(TOPIC, "1").await.unwrap();
        until("cut", || client.net.closed()).await;
        let cut_at = hub.on(0, |worker| worker.now_ms()).await;
        assert!(cut_at - blocked_at >= 1_400, "cut after {} ms", cut_at - blocked_at);
    });
}

#[test]
fn a_zombie_is_cut_after_the_time_of_two_pings_and_who_answers_is_not() {
    run(async || {
        let pace = Pace { ws_ping_ms: 1_000, sse_comment_ms: 1_000, stall_ms: 60_000 };
        let (hub, truth) = hub(Setup { pace, ..Setup::default() }).await;
        let mut zombie = Client::of(&hub, &truth, 0, Wire::Ws, TOPIC, Start::Head).await.unwrap();
        let mut alive = Client::of(&hub, &truth, 0, Wire::Ws, TOPIC, Start::Head).await.unwrap();
        let sse = Client::of(&hub, &truth, 0, Wire::Sse, TOPIC, Start::Head).await.unwrap();
        let began = std::time::Instant::now();
        let mut answered = 0;
        until("the zombie is cut", || {
            alive.read();
            while answered < alive.pings {
                answered += 1;
                alive.net.send(&super::wire::masked(0x8a, b""));
            }
            zombie.net.closed()
        })
        .await;
        zombie.read();
        assert!(zombie.pings >= 1 && began.elapsed() >= Duration::from_secs(2), "cut after {:?}", began.elapsed());
        assert!(!alive.net.closed() && !sse.net.closed());
    });
}

#[test]
fn a_drained_hub_tells_everybody_to_come_back() {
    run(async || {
        let (hub, truth) = hub(Setup::default()).await;
        let mut clients = Vec::new();
        for wire in [Wire::Ws, Wire::Sse, Wire::Ws] {
            clients.push(Client::of(&hub, &truth, 0, wire, TOPIC, Start::Head).await.unwrap());
        }
        // One that can't be told now, and takes everything a moment later.
        clients[2].net.stall();
        hub.directory.outlets().send_all(|| ToOutlet::Drain { spread_ms: 100 });
        for client in &mut clients {
            client.net.make_room(UNLIMITED);
            until("told", || client.finished() && client.reconnects == 1).await;
            assert_eq!(client.close_code, (client.wire == Wire::Ws).then_some(1012));
            client.net.end_input();
        }
        hub.expect_nothing_left().await;
    });
}

#[test]
fn the_end_of_a_closed_topic_reaches_who_is_slow() {
    run(async || {
        let (hub, truth) = hub(Setup::default()).await;
        let mut clients = Vec::new();
        for wire in [Wire::Ws, Wire::Sse] {
            let client = Client::of(&hub, &truth, 0, wire, TOPIC, Start::Earliest).await.unwrap();
            until("the head of the stream", || !client.net.accepted(0).is_empty()).await;
            client.net.stall();
            clients.push(client);
        }
        hub.publish_many(TOPIC, 1..=40).await;
        hub.write(TOPIC, What::Close(deed()).into()).await.await.unwrap().unwrap();
        for client in &mut clients {
            while client.ended.is_empty() {
                client.net.make_room(50);
                client.read();
                tokio::task::yield_now().await;
            }
            assert_eq!(client.ended, [(TOPIC.to_owned(), "closed".to_owned())]);
            until("the hub's side is finished", || {
                client.net.make_room(50);
                client.net.finished()
            })
            .await;
            client.net.end_input();
        }
        hub.expect_nothing_left().await;
    });
}
