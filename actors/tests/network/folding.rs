//! Readers who want appends folded: what they hold in the end is what was written, whatever happens between.

use serde_json::json;
use tambour_actors::event::{EventType, NewEvent, Seq};
use tambour_actors::frame::Wire;
use tambour_actors::log::{Class, EventLog as _};
use tambour_actors::topic::state::{Start, What, Write};

use super::client::{Client, Truth};
use super::hub::{Hub, Setup, new_event, run, until};
use super::socket::{Net, UNLIMITED};
use super::view::View;

const TOPIC: &str = "thread/x";
const WIRES: [Wire; 3] = [Wire::Ws, Wire::Sse, Wire::SseUnnamed];

fn append(target: Seq, text: &str) -> NewEvent {
    NewEvent { kind: EventType::append(), data: json!(text).to_string().into(), target: Some(target) }
}

async fn write(hub: &Hub, events: Vec<NewEvent>) -> Seq {
    hub.write(TOPIC, Write::events(events)).await.await.unwrap().expect("written").last
}

async fn folding(hub: &Hub, truth: &Truth, wire: Wire, start: Start) -> Client {
    let (net, view) = (Net::new(UNLIMITED), Some(View::default()));
    Client::folding(net, hub, truth, (0, wire), TOPIC, (start, view)).await.unwrap()
}

async fn reaches(client: &mut Client, seq: Seq) {
    until(&format!("{seq}"), || client.at(TOPIC).is_some_and(|at| at.seq == seq)).await;
}

fn view(client: &Client) -> &View {
    client.readings[TOPIC].view.as_ref().expect("a folding reader")
}

#[test]
fn who_comes_late_is_told_an_answer_once_and_then_its_next_words() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let truth = Truth::of(&hub);
        hub.create(TOPIC).await;
        write(&hub, vec![new_event("1"), new_event("2")]).await;
        for n in 0..100 {
            write(&hub, vec![append(1, &format!("{n} "))]).await;
        }
        for wire in WIRES {
            let mut late = folding(&hub, &truth, wire, Start::Earliest).await;
            let mut plain = Client::of(&hub, &truth, 1, wire, TOPIC, Start::Earliest).await.unwrap();
            let head = plain_head(&mut plain, 102).await;
            reaches(&mut late, head).await;
            assert_eq!(late.readings[TOPIC].events, 2);
            let head = write(&hub, vec![append(1, "more ")]).await;
            reaches(&mut late, head).await;
            reaches(&mut plain, head).await;
            assert_eq!(late.readings[TOPIC].events, 3);
            assert!(
                view(&late).events[&1].text.ends_with("99 more ")
                    || view(&late).events[&1].text.ends_with("more more ")
            );
        }
    });
}

async fn plain_head(plain: &mut Client, least: Seq) -> Seq {
    until("the plain reader's head", || plain.at(TOPIC).is_some_and(|at| at.seq >= least)).await;
    plain.at(TOPIC).unwrap().seq
}

/// A page that ends where a delivery begins, and owes its reader an event whose last append is in that delivery.
#[test]
fn what_a_page_owes_is_told_before_the_reader_goes_live() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let truth = Truth::of(&hub);
        let record = hub.create(TOPIC).await;
        let large = format!("\"{}\"", "x".repeat(33_000));
        write(&hub, vec![new_event("1"), new_event(&large), new_event(&large)]).await;
        // On disk and in every page, but not told to the topic yet.
        hub.log.hold_appends();
        let unanswered = hub.write(TOPIC, Write::events(vec![append(1, "a")])).await;
        while hub.log.bounds(record.log).await.unwrap().head < 4 {
            tokio::task::yield_now().await;
        }
        let reads = hub.log.reads();
        let mut client = folding(&hub, &truth, Wire::Ws, Start::Earliest).await;
        until("a page", || hub.log.reads() > reads).await;
        hub.log.release();
        unanswered.await.unwrap().unwrap();
        reaches(&mut client, 4).await;
        let first = &view(&client).events[&1];
        assert!(first.known && first.text == "a", "{first:?}");
    });
}

/// The same when the socket takes only a part of the page that has it all.
#[test]
fn what_a_cut_page_owes_is_told_before_the_reader_goes_live() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let truth = Truth::of(&hub);
        hub.create(TOPIC).await;
        let large = format!("\"{}\"", "x".repeat(20_000));
        write(&hub, vec![new_event("1"), new_event(&large)]).await;
        write(&hub, vec![append(1, "a")]).await;
        for wire in WIRES {
            let start = (Start::Earliest, Some(View::default()));
            let net = Net::new(5_000);
            let mut client = Client::folding(net, &hub, &truth, (0, wire), TOPIC, start).await.unwrap();
            until("a full socket", || client.net.accepted(0).len() == 5_000).await;
            client.net.make_room(UNLIMITED);
            reaches(&mut client, 3).await;
            let first = &view(&client).events[&1];
            assert!(first.known && first.text == "a", "{first:?}");
        }
    });
}

#[test]
fn a_page_of_nothing_but_holes_moves_the_reader_without_a_write() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let truth = Truth::of(&hub);
        hub.create(TOPIC).await;
        write(&hub, vec![new_event("1")]).await;
        // More rows than one folded page looks at.
        let head = write(&hub, (0..4_200).map(|_| append(1, "a")).collect()).await;
        for wire in WIRES {
            let reads = hub.log.reads();
            let mut client = folding(&hub, &truth, wire, Start::Earliest).await;
            reaches(&mut client, head).await;
            assert_eq!(hub.log.reads() - reads, 2);
            assert_eq!((view(&client).told, view(&client).events[&1].text.len()), (1, 4_200));
            // The greeting, where the reader starts, and the page that has something.
            assert!(client.net.writes() <= 3, "{} writes over {wire:?}", client.net.writes());
        }
    });
}

#[test]
fn a_folded_stretch_that_was_trimmed_is_a_gap_and_what_is_left_of_a_text_comes_as_it_is() {
    run(async || {
        for wire in WIRES {
            let hub = Hub::start(Setup::default()).await;
            let truth = Truth::of(&hub);
            let record = hub.create(TOPIC).await;
            write(&hub, vec![new_event("1"), append(1, "a"), new_event("3"), append(1, "b")]).await;
            let mut away = folding(&hub, &truth, wire, Start::Earliest).await;
            reaches(&mut away, 4).await;
            let held = view(&away).clone();
            away.net.reset();
            write(&hub, vec![append(1, "c")]).await;
            let (net, none) = (Net::new(0), Some(View::default()));
            let start = Start::After(record.mark().at(1));
            let mut slow = Client::folding(net, &hub, &truth, (0, wire), TOPIC, (start, none)).await.unwrap();
            until("the session wants to write", || slow.net.writes() > 0).await;
            hub.trim(&record, 3);
            slow.net.make_room(UNLIMITED);
            reaches(&mut slow, 5).await;
            let reasons: Vec<_> = slow.gaps.iter().map(|gap| gap["reason"].clone()).collect();
            assert_eq!(reasons, ["trimmed"]);
            let left = &view(&slow).events[&1];
            assert!(!left.known && left.text == "bc", "{left:?}");
            // Who has some of it is told the rest.
            let start = (Start::After(record.mark().at(4)), Some(held));
            let net = Net::new(UNLIMITED);
            let mut back = Client::folding(net, &hub, &truth, (1, wire), TOPIC, start).await.unwrap();
            reaches(&mut back, 5).await;
            assert_eq!((back.gaps.len(), view(&back).events[&1].text.as_str()), (0, "abc"));
        }
    });
}

#[test]
fn what_was_redacted_is_told_without_its_text() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let truth = Truth::of(&hub);
        hub.create(TOPIC).await;
        write(&hub, vec![new_event("1"), append(1, "secret"), new_event("3")]).await;
        let mut before = folding(&hub, &truth, Wire::Sse, Start::Earliest).await;
        reaches(&mut before, 3).await;
        assert_eq!(view(&before).events[&1].text, "secret");
        hub.write(TOPIC, What::Redact(1, Class::Relief).into()).await.await.unwrap().unwrap();
        let mut after = folding(&hub, &truth, Wire::Ws, Start::Earliest).await;
        for client in [&mut before, &mut after] {
            reaches(client, 4).await;
            let first = &view(client).events[&1];
            assert!(first.redacted && first.text.is_empty(), "{first:?}");
        }
    });
}
