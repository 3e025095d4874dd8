//! An identity is looked at again while its session lives: it is over, it is less, another stream goes on with it; and
//! everybody who is there can be counted.

use std::collections::BTreeSet;
use std::sync::Arc;
use tambour_actors::log::contract::deed;

use parking_lot::Mutex;
use serde_json::json;
use tambour_actors::frame::Wire;
use tambour_actors::log::{Member, TopicChange, Visibility};
use tambour_actors::outlet::messages::ToSession;
use tambour_actors::principal::{Principal, Role};
use tambour_actors::refusal::Code;
use tambour_actors::review::{Review, Seen, Survey};
use tambour_actors::session::Wanted;
use tambour_actors::topic::messages::ToOutlet;
use tambour_actors::topic::state::Start;
use tambour_actors::topic_key::{Env, Scope, TopicKind};
use tokio::sync::oneshot;

use super::client::{Client, Truth};
use super::hub::{Hub, MEMBER, Setup, Visit, key, run, scope, until};
use super::socket::{Net, UNLIMITED};

async fn hub() -> (Hub, Truth) {
    let hub = Hub::start(Setup::default()).await;
    for topic in ["thread/a", "thread/b"] {
        hub.create(topic).await;
    }
    let truth = Truth::of(&hub);
    (hub, truth)
}

/// A stream that is read as bytes.
async fn stream(hub: &Hub, sub: &'static str, worker: usize, wire: Wire) -> Net {
    let net = Net::new(UNLIMITED);
    let topic = hub.find("thread/a").await.expect("it is there");
    let topics = vec![Wanted { topic, start: Start::Earliest, requested: None, fold: false, filter: None }];
    hub.open(&net, Visit { worker, wire, sub, topics, composite: None, rights: MEMBER }).await;
    net
}

fn text(net: &Net) -> String {
    String::from_utf8_lossy(&net.accepted(0)).into_owned()
}

fn send(hub: &Hub, review: &Review) {
    hub.directory.outlets().send_all(|| ToOutlet::Review(review.clone()));
}

/// Bob's identity is over.
fn over(code: Code) -> Review {
    Arc::new(move |_, principal: &Arc<Principal>| if &*principal.sub == "bob" { Err(code.into()) } else { Ok(None) })
}

#[test]
fn a_review_ends_whom_it_is_about_on_every_wire_and_worker() {
    run(async || {
        for (code, close) in [(Code::Suspended, 4403), (Code::TokenRevoked, 4401), (Code::SessionEnded, 4403)] {
            let (hub, truth) = hub().await;
            let mut bobs =
                vec![Client::ws_of("bob", &hub, &truth, 0).await, Client::ws_of("bob", &hub, &truth, 1).await];
            let mut alice = Client::ws_of("alice", &hub, &truth, 0).await;
            for client in bobs.iter_mut().chain([&mut alice]) {
                client.subscribe("thread/a", Start::Earliest);
                until("subscribed", || client.at("thread/a").is_some()).await;
            }
            let named = stream(&hub, "bob", 1, Wire::Sse).await;
            let unnamed = stream(&hub, "bob", 0, Wire::SseUnnamed).await;
            for net in [&named, &unnamed] {
                until("connected", || text(net).contains("retry: 2000")).await;
            }
            send(&hub, &over(code));
            for client in &mut bobs {
                until("closed", || {
                    client.read();
                    client.close_code == Some(close)
                })
                .await;
                assert_eq!(client.errors[0]["code"], code.as_str());
            }
            for net in [&named, &unnamed] {
                until("the end", || net.finished()).await;
            }
            let data = format!("\"code\":\"{}\",\"status\":{}", code.as_str(), code.status());
            assert!(text(&named).ends_with(&format!("event: refused\ndata: {{{data}}}\n\n")), "{}", text(&named));
            let last = format!("data: {{{data},\"t\":\"refused\"}}\n\n");
            assert!(text(&unnamed).ends_with(&last), "{}", text(&unnamed));
            // Nobody else hears of it, and no event reaches who is out.
            hub.publish("thread/a", "1").await.unwrap();
            until("the event", || alice.at("thread/a").is_some_and(|at| at.seq == 1)).await;
            assert!(alice.errors.is_empty() && bobs.iter_mut().all(|bob| bob.at("thread/a").unwrap().seq == 0));
            for client in bobs.iter().chain([&alice]) {
                client.net.end_input();
            }
            named.end_input();
            unnamed.end_input();
            hub.expect_nothing_left().await;
        }
    });
}

#[test]
fn who_reads_nothing_is_out_all_the_same() {
    run(async || {
        let (hub, truth) = hub().await;
        let mut bob = Client::ws_of("bob", &hub, &truth, 0).await;
        bob.subscribe("thread/a", Start::Earliest);
        until("subscribed", || bob.at("thread/a").is_some()).await;
        bob.net.stall();
        hub.publish("thread/a", "1").await.unwrap();
        send(&hub, &over(Code::Suspended));
        // Neither the socket's end nor the client's goodbye comes; the session ends by itself.
        hub.expect_nothing_left().await;
    });
}

#[test]
fn what_was_revoked_before_a_session_begins_it_learns_from_its_gate() {
    run(async || {
        let (hub, truth) = hub().await;
        hub.publish("thread/a", "1").await.unwrap();
        *hub.over.lock() = Some(Code::TokenRevoked);
        let net = stream(&hub, "bob", 0, Wire::Sse).await;
        until("the end", || net.finished()).await;
        let told = text(&net);
        assert!(told.contains("event: refused\ndata: {\"code\":\"auth.token_revoked\",\"status\":401}"), "{told}");
        assert!(!told.contains("event: note") && !told.contains("connected"), "{told}");
        let mut ws = Client::ws_of("bob", &hub, &truth, 1).await;
        until("closed", || {
            ws.read();
            ws.close_code == Some(4401)
        })
        .await;
        // Who renews is asked about, too.
        *hub.over.lock() = None;
        let mut renewing = Client::ws_of("bob", &hub, &truth, 1).await;
        renewing.send(&json!({"t": "ping"}));
        *hub.over.lock() = Some(Code::Suspended);
        renewing.send(&json!({"t": "auth", "token": "member"}));
        until("closed", || {
            renewing.read();
            renewing.close_code == Some(4403)
        })
        .await;
        for net in [&net, &ws.net, &renewing.net] {
            net.end_input();
        }
        hub.expect_nothing_left().await;
    });
}

#[test]
fn a_lesser_role_is_in_force_in_a_live_session() {
    run(async || {
        let (hub, truth) = hub().await;
        let carol = Member { sub: "carol".into(), can_write: false };
        let shut =
            TopicChange { put_member: Some(carol), visibility: Some(Visibility::Private), ..TopicChange::default() };
        hub.directory.change(&key("thread/a"), shut, deed()).await.unwrap().unwrap();
        let mut bob = Client::ws_of("bob", &hub, &truth, 0).await;
        bob.send(&json!({"t": "auth", "token": "admin"}));
        for topic in ["thread/a", "thread/b"] {
            bob.subscribe(topic, Start::Earliest);
            until("subscribed", || bob.at(topic).is_some()).await;
        }
        let lesser: Review = Arc::new(|_, principal: &Arc<Principal>| {
            Ok(Some(Arc::new(Principal { role: Role::Member, ..(**principal).clone() })))
        });
        send(&hub, &lesser);
        until("told", || {
            bob.read();
            bob.ended == [("thread/a".to_owned(), "forbidden".to_owned())]
        })
        .await;
        for topic in ["thread/a", "thread/b"] {
            hub.publish(topic, "1").await.unwrap();
        }
        until("the other goes on", || bob.at("thread/b").is_some_and(|at| at.seq == 1)).await;
        bob.net.end_input();
        hub.expect_nothing_left().await;
    });
}

#[test]
fn what_may_not_be_read_any_more_at_all_ends_and_the_rest_goes_on() {
    run(async || {
        let (hub, truth) = hub().await;
        let mut bob = Client::ws_of("bob", &hub, &truth, 0).await;
        bob.subscribe("thread/a", Start::Earliest);
        until("subscribed", || bob.at("thread/a").is_some()).await;
        let nothing_said: Review = Arc::new(|_, _: &Arc<Principal>| Ok(None));
        for (off, ended) in [(TopicKind::Canvas, vec![]), (TopicKind::Thread, vec![("thread/a", "forbidden")])] {
            *hub.off.lock() = Some(off);
            send(&hub, &nothing_said);
            bob.send(&json!({"t": "ping"}));
            let ended: Vec<_> = ended.into_iter().map(|(topic, why)| (topic.to_owned(), why.to_owned())).collect();
            until("told", || {
                bob.read();
                bob.ended == ended
            })
            .await;
        }
        *hub.off.lock() = None;
        bob.subscribe("thread/b", Start::Earliest);
        hub.publish("thread/b", "1").await.unwrap();
        until("the session goes on", || bob.at("thread/b").is_some_and(|at| at.seq == 1)).await;
        bob.net.end_input();
        hub.expect_nothing_left().await;
    });
}

#[test]
fn who_is_replaced_is_told_to_stay_away() {
    run(async || {
        let (hub, truth) = hub().await;
        let sse = stream(&hub, "bob", 0, Wire::Sse).await;
        let mut ws = Client::ws_of("bob", &hub, &truth, 1).await;
        until("both have begun", || hub.sessions.lock().len() == 2).await;
        until("connected", || text(&sse).contains("retry: 2000")).await;
        for session in &*hub.sessions.lock() {
            session.do_send(ToSession::Replaced);
            // Once is enough.
            session.do_send(ToSession::Replaced);
        }
        until("the end", || sse.finished()).await;
        assert!(text(&sse).ends_with("retry: 86400000\n\nevent: replaced\ndata: {}\n\n"), "{}", text(&sse));
        until("closed", || {
            ws.read();
            ws.close_code == Some(4409)
        })
        .await;
        assert!(ws.errors.is_empty() && String::from_utf8_lossy(&ws.net.accepted(0)).contains("\"t\":\"replaced\""));
        sse.end_input();
        ws.net.end_input();
        hub.expect_nothing_left().await;
    });
}

/// Counts who is there.
struct Count {
    scope: Scope,
    seen: Arc<Mutex<Vec<Seen>>>,
    _over: oneshot::Sender<()>,
}

impl Survey for Count {
    fn scope(&self) -> &Scope {
        &self.scope
    }

    fn seen(&self, seen: Seen) {
        self.seen.lock().push(seen);
    }
}

async fn count(hub: &Hub, scope: Scope) -> Vec<Seen> {
    let (over, all_answered) = oneshot::channel();
    let seen = Arc::default();
    let survey: Arc<dyn Survey> = Arc::new(Count { scope, seen: Arc::clone(&seen), _over: over });
    hub.directory.outlets().send_all(|| ToOutlet::Survey(survey.clone()));
    drop(survey);
    all_answered.await.expect_err("it is dropped, not used");
    std::mem::take(&mut *seen.lock())
}

#[test]
fn a_survey_hears_of_everybody_in_its_scope_and_how_far_they_are() {
    run(async || {
        let (hub, truth) = hub().await;
        let mut bob = Client::ws_of("bob", &hub, &truth, 0).await;
        let mut carol = Client::ws_of("carol", &hub, &truth, 1).await;
        let idle = Client::ws_of("dave", &hub, &truth, 1).await;
        for client in [&mut bob, &mut carol] {
            client.subscribe("thread/a", Start::Earliest);
            until("subscribed", || client.at("thread/a").is_some()).await;
        }
        hub.publish("thread/a", "1").await.unwrap();
        for client in [&mut bob, &mut carol] {
            until("the event", || client.at("thread/a").is_some_and(|at| at.seq == 1)).await;
        }
        bob.net.stall();
        for number in 2..=300 {
            hub.publish("thread/a", &number.to_string()).await.unwrap();
        }
        until("carol has all", || carol.at("thread/a").is_some_and(|at| at.seq == 300)).await;
        let mut seen = count(&hub, scope()).await;
        seen.sort_by(|one, other| one.principal.sub.cmp(&other.principal.sub));
        let told: Vec<_> = seen
            .iter()
            .map(|seen| {
                let topics: Vec<_> = seen.topics.iter().map(|topic| (topic.key.topic(), topic.head)).collect();
                (&*seen.principal.sub, seen.wire, &*seen.from, topics)
            })
            .collect();
        let reads = || vec![("thread/a".to_owned(), 300)];
        assert_eq!(
            told,
            [
                ("bob", Wire::Ws, "the test", reads()),
                ("carol", Wire::Ws, "the test", reads()),
                ("dave", Wire::Ws, "the test", vec![])
            ]
        );
        let at = |index: usize| seen[index].topics[0].mark.at(seen[index].topics[0].cursor);
        assert_eq!(Some(at(1)), carol.at("thread/a"));
        assert!(at(0).seq < 300, "bob, who accepts nothing, is behind: {}", at(0).seq);
        assert_eq!(seen.iter().map(|seen| seen.connection_id).collect::<BTreeSet<_>>().len(), 3);
        for other in [Scope { env: Env::Prod, ..scope() }] {
            assert!(count(&hub, other).await.is_empty());
        }
        for net in [&bob.net, &carol.net, &idle.net] {
            net.make_room(UNLIMITED);
            net.end_input();
        }
        hub.expect_nothing_left().await;
        assert!(count(&hub, scope()).await.is_empty());
    });
}
