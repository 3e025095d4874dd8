//! The real actors on real threads, without HTTP and without a kernel: a directory, workers with
//! their outlets and appenders, and sessions on sockets in memory.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};
use tambour_actors::log::contract::deed;

use actix::{Actor as _, Arbiter, Recipient, prelude::ArbiterHandle};
use bytes::Bytes;
use parking_lot::Mutex;
use tambour_actors::composite::Composite;
use tambour_actors::cursor::{Incarnation, Mark};
use tambour_actors::directory::{Directory, Ground, Seat, TopicHandle};
use tambour_actors::entry::Entry;
use tambour_actors::event::{EventType, NewEvent, Origin, Seq};
use tambour_actors::frame::Wire;
use tambour_actors::log::appender::Appender;
use tambour_actors::log::{EventLog as _, NewTopic, TopicRecord, Topics as _, Visibility};
use tambour_actors::outlet::{self, line::Pace, messages::ToSession, worker::Worker};
use tambour_actors::principal::{ActorType, Granted, Permission, Permissions, Principal, Proof, Role};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::review::Reviewed;
use tambour_actors::session::gate::{Admission, Claim, Gate, Hold, Identity, Lease, Proved, Proving, Right};
use tambour_actors::session::{self, Greeting, Opening, SessionLimits, Wanted, Who};
use tambour_actors::topic::messages::{Publish, Reply};
use tambour_actors::topic::now_ms;
use tambour_actors::topic::state::{Published, TopicLimits, Write};
use tambour_actors::topic_key::{Env, Scope, Tenant, TopicKey, TopicKind};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::flaky::Flaky;
use super::socket::Net;

/// What a panic says that a test asked for.
pub(crate) const BOMB: &str = "a panic that the test asked for";
/// Nothing that a test waits for takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

thread_local! {
    static WORKER: RefCell<Option<Rc<Worker>>> = const { RefCell::new(None) };
}

/// What a hub of a test is made of.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) workers: usize,
    pub(crate) pace: Pace,
    pub(crate) limits: TopicLimits,
    pub(crate) sleep_after_ms: i64,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            workers: 2,
            pace: Pace { ws_ping_ms: 60_000, sse_comment_ms: 60_000, stall_ms: 60_000 },
            limits: TopicLimits {
                tail_events: 16,
                tail_bytes: 1 << 20,
                backlog_bytes: 1 << 20,
                delivery_bytes: 1 << 18,
            },
            // Every sweep finds every topic idle for long enough.
            sleep_after_ms: -1_000,
        }
    }
}

/// The hub.
pub(crate) struct Hub {
    pub(crate) directory: Directory,
    pub(crate) log: Flaky,
    pub(crate) workers: Vec<ArbiterHandle>,
    pub(crate) permits: Arc<AtomicUsize>,
    pace: Pace,
    /// The newest seq that was trimmed, by the log's mark.
    pub(crate) trimmed: Arc<Mutex<HashMap<Mark, Seq>>>,
    /// What the next to ask for a topic is given, though it may be gone since it was found.
    pub(crate) stale: Arc<Mutex<Option<TopicHandle>>>,
    /// Why nobody's identity is good any more, when a session begins.
    pub(crate) over: Arc<Mutex<Option<Code>>>,
    /// Topics of a kind that nobody may read any more.
    pub(crate) off: Arc<Mutex<Option<TopicKind>>>,
    /// What the gate was told of: who, the topic, what was wanted of it, and the code.
    pub(crate) refused: Arc<Mutex<Vec<String>>>,
    /// How every session that was opened is told something, in the order in which they were.
    pub(crate) sessions: Arc<Mutex<Vec<Recipient<ToSession>>>>,
    incarnations: AtomicUsize,
    connections: AtomicUsize,
    _arbiters: Vec<Arbiter>,
}

/// How somebody comes in.
pub(crate) struct Visit {
    pub(crate) worker: usize,
    pub(crate) wire: Wire,
    pub(crate) sub: &'static str,
    pub(crate) topics: Vec<Wanted>,
    pub(crate) composite: Option<Box<Composite>>,
    pub(crate) rights: Rights,
}

/// A role, and permission keys.
pub(crate) type Rights = (Role, Permissions);

/// What most visitors of these tests are.
pub(crate) const MEMBER: Rights = (Role::Member, Permissions::NONE);

struct Permit(Arc<AtomicUsize>);

/// Says how a session is told something.
struct TestLease(Arc<Mutex<Vec<Recipient<ToSession>>>>);

impl Lease for TestLease {
    fn begun(&self, session: &Recipient<ToSession>) {
        self.0.lock().push(session.clone());
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let before = self.0.fetch_sub(1, Ordering::SeqCst);
        assert!(before > 0, "a permit was given back twice");
    }
}

impl Hold for Permit {
    fn from(&self) -> String {
        "the test".to_owned()
    }

    fn address(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }

    fn opened_by(&self) -> u8 {
        0
    }
}

struct TestGate {
    directory: Directory,
    stale: Arc<Mutex<Option<TopicHandle>>>,
    over: Arc<Mutex<Option<Code>>>,
    off: Arc<Mutex<Option<TopicKind>>>,
    refused: Arc<Mutex<Vec<String>>>,
}

impl Gate for TestGate {
    fn admit(self: Rc<Self>, principal: &Arc<Principal>, topic: &str, _: Right) -> Admission {
        let key = TopicKey::parse(&principal.scope, topic).unwrap();
        if let Some(handle) = self.stale.lock().take().or_else(|| self.directory.find_awake(&key)) {
            return Admission::Now(Ok(handle));
        }
        Admission::Later(Box::pin(async move {
            self.directory.find(&key).await.expect("the store answers").ok_or_else(Refusal::topic_unknown)
        }))
    }

    fn may(&self, principal: &Principal, record: &TopicRecord, _: Right) -> Result<(), Refusal> {
        let topic = &record.topic;
        if topic.key.kind() == TopicKind::Feed {
            return if principal.has(Permission::FeedRead) { Ok(()) } else { Err(Code::Forbidden.into()) };
        }
        let member = topic.members.iter().any(|member| member.sub == principal.sub);
        if principal.role.administers()
            || member
            || topic.creator == principal.sub
            || topic.visibility != Visibility::Private
        {
            return Ok(());
        }
        Err(Code::Forbidden.into())
    }

    /// The token is the new role.
    fn renew(self: Rc<Self>, identity: &Identity, _: IpAddr, token: String) -> Proving<Identity> {
        let Identity { proved, origin } = identity.clone();
        let renewed = Principal { role: Role::parse(&token).expect("a role"), ..(*proved.principal).clone() };
        let proved = Proved { principal: Arc::new(renewed), lease: None };
        Box::pin(std::future::ready(Ok(Identity { proved, origin })))
    }

    fn review(&self, _: &Arc<Principal>) -> Reviewed {
        self.over.lock().map_or(Ok(None), |code| Err(code.into()))
    }

    fn goes_on(&self, _: &Principal, _: &dyn Hold) -> Result<(), Refusal> {
        Ok(())
    }

    fn reads(&self, _: &Principal, kind: TopicKind) -> Result<(), Refusal> {
        if *self.off.lock() == Some(kind) { Err(Code::KillSwitch.into()) } else { Ok(()) }
    }

    fn writes(&self, _: &Principal, _: &Entry) -> Result<(), Refusal> {
        Ok(())
    }

    fn refused(&self, identity: &Identity, from: IpAddr, claim: Claim<'_>, refusal: &Refusal) {
        assert_eq!(from, Ipv4Addr::LOCALHOST);
        let sub = &identity.proved.principal.sub;
        self.refused.lock().push(format!("{sub} {} {:?} {}", claim.topic, claim.right, refusal.code.as_str()));
    }
}

pub(crate) fn scope() -> Scope {
    Scope { tenant: Tenant::parse("t_demo").unwrap(), env: Env::Dev }
}

pub(crate) fn key(topic: &str) -> TopicKey {
    TopicKey::parse(&scope(), topic).unwrap()
}

pub(crate) fn origin(sub: &str) -> Origin {
    Origin { routing: format!("\"actor_id\":\"{sub}\"").into(), meta: Bytes::from_static(b"\"request_id\":\"r\"") }
}

pub(crate) fn new_event(data: &str) -> NewEvent {
    NewEvent { kind: EventType::parse("note").unwrap(), data: Bytes::copy_from_slice(data.as_bytes()), target: None }
}

/// Runs a test on a system of its own.
pub(crate) fn run<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let asked_for = panic.payload_as_str().is_some_and(|text| text.contains(BOMB));
            if !asked_for {
                loud(panic);
            }
        }));
    });
    actix::System::new().block_on(test());
}

/// Waits until `holds` does.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "in vain waited for: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

impl Hub {
    pub(crate) async fn start(setup: Setup) -> Self {
        let log = Flaky::new();
        let directory = Directory::new(Ground {
            log: Arc::new(log.clone()),
            topics: Arc::new(log.clone()),
            feeds: Some(Arc::new(log.clone())),
            limits: setup.limits,
            sleep_after_ms: setup.sleep_after_ms,
            workers: setup.workers,
        });
        let arbiters: Vec<_> = (0..setup.workers).map(|_| Arbiter::new()).collect();
        for arbiter in &arbiters {
            let (directory, log) = (directory.clone(), log.clone());
            // One after the other, so that the first thread is the first worker.
            let (seated, wait) = std::sync::mpsc::channel();
            arbiter.spawn_fn(move || {
                let worker = directory.seat_next(|index| {
                    let worker = Worker::new(index, directory.clone());
                    outlet::start(&worker);
                    let appender = Appender::new(Arc::new(log)).start();
                    (Seat { arbiter: Arbiter::current(), appender }, worker)
                });
                WORKER.with(|slot| *slot.borrow_mut() = Some(worker));
                seated.send(()).expect("somebody waits");
            });
            wait.recv().expect("the worker is seated");
        }
        until("all workers are seated", || directory.complete()).await;
        Self {
            directory,
            log,
            workers: arbiters.iter().map(Arbiter::handle).collect(),
            permits: Arc::default(),
            pace: setup.pace,
            trimmed: Arc::default(),
            stale: Arc::default(),
            over: Arc::default(),
            off: Arc::default(),
            refused: Arc::default(),
            sessions: Arc::default(),
            incarnations: AtomicUsize::new(1),
            connections: AtomicUsize::new(1),
            _arbiters: arbiters,
        }
    }

    /// Does something on a worker's thread.
    pub(crate) async fn on<T: Send + 'static>(
        &self,
        worker: usize,
        act: impl FnOnce(&Rc<Worker>) -> T + Send + 'static,
    ) -> T {
        let (send, answer) = oneshot::channel();
        self.workers[worker].spawn_fn(move || {
            let done = WORKER.with(|worker| act(worker.borrow().as_ref().expect("the worker is seated")));
            let _ = send.send(done);
        });
        answer.await.expect("the worker lives")
    }

    pub(crate) async fn create(&self, topic: &str) -> TopicRecord {
        let incarnation = Incarnation(self.incarnations.fetch_add(1, Ordering::SeqCst) as u64);
        let new = NewTopic {
            key: key(topic),
            creator: "alice".into(),
            title: None,
            visibility: Visibility::Team,
            members: Vec::new(),
            created_at_ms: 0,
            incarnation,
        };
        self.log.memory.create(new, deed()).await.expect("the topic is new")
    }

    pub(crate) async fn find(&self, topic: &str) -> Option<TopicHandle> {
        self.directory.find(&key(topic)).await.expect("the store answers")
    }

    /// Asks a topic to append; the answer comes later.
    pub(crate) async fn write(&self, topic: &str, write: Write) -> oneshot::Receiver<Result<Published, Refusal>> {
        let (send, answer) = oneshot::channel();
        let reply = Reply::new(move |result| drop(send.send(result)));
        match self.find(topic).await {
            Some(handle) => self.directory.publish_now(&handle, Publish { write, origin: origin("alice"), reply }),
            None => reply.send(Err(Refusal::topic_unknown())),
        }
        answer
    }

    pub(crate) async fn publish(&self, topic: &str, data: &str) -> Result<Published, Refusal> {
        self.write(topic, Write::events(vec![new_event(data)])).await.await.expect("every writer is answered")
    }

    /// Publishes events whose data is their number.
    pub(crate) async fn publish_many(&self, topic: &str, numbers: std::ops::RangeInclusive<u64>) {
        for number in numbers {
            self.publish(topic, &number.to_string()).await.expect("published");
        }
    }

    pub(crate) fn trim(&self, record: &TopicRecord, seq: Seq) {
        let mut trimmed = self.trimmed.lock();
        let newest = trimmed.entry(record.mark()).or_default();
        *newest = seq.max(*newest);
        drop(self.log.memory.trim(record.log, seq + 1));
    }

    /// Opens a session.
    pub(crate) async fn open(&self, net: &Net, visit: Visit) {
        self.permits.fetch_add(1, Ordering::SeqCst);
        let (permit, socket, pace) = (Permit(self.permits.clone()), net.socket(), self.pace);
        let sessions = self.sessions.clone();
        let Visit { worker, wire, sub, topics, composite, rights: (role, permissions) } = visit;
        let (stale, over, off, refused) =
            (self.stale.clone(), self.over.clone(), self.off.clone(), self.refused.clone());
        let connection_id = Uuid::from_u128(self.connections.fetch_add(1, Ordering::SeqCst) as u128);
        self.on(worker, move |worker| {
            let principal = Principal {
                sub: sub.into(),
                scope: scope(),
                granted: Granted { role, permissions },
                role,
                actor_type: ActorType::Human,
                read_only: false,
                permissions,
                acts_for: None,
                proof: Proof::Main { jti: None, issued_at_ms: 0 },
                expires_at_ms: now_ms() + 3_600_000,
            };
            let proved = Proved { principal: Arc::new(principal), lease: Some(Rc::new(TestLease(sessions))) };
            let identity = Identity { proved, origin: origin(sub) };
            let opening = Opening {
                wire,
                socket: Box::new(socket),
                early: Bytes::new(),
                greeting: Box::new(Greeting { connection_id, request_id: "r".into() }),
                who: Who::Known(Box::new(identity)),
                topics,
                composite,
                hold: Rc::new(permit),
                gate: Rc::new(TestGate { directory: worker.directory.clone(), stale, over, off, refused }),
                limits: Arc::new(SessionLimits {
                    messages_per_second: 0,
                    frame_bytes_max: 1 << 18,
                    topics_max: 128,
                    publishes_in_flight_max: 64,
                    hello_timeout_ms: 5_000,
                    sse_retry_ms: 2_000,
                    expiry_warning_ms: 60_000,
                    pace,
                }),
            };
            session::open(worker, opening);
        })
        .await;
    }

    /// How many lines all workers have.
    pub(crate) async fn lines(&self) -> usize {
        let mut lines = 0;
        for worker in 0..self.workers.len() {
            lines += self.on(worker, |worker| worker.lines()).await;
        }
        lines
    }

    /// Every session ends: no permit is held and no line is left. Then every topic can sleep.
    pub(crate) async fn expect_nothing_left(&self) {
        until("every permit is given back", || self.permits.load(Ordering::SeqCst) == 0).await;
        let deadline = Instant::now() + PATIENCE;
        while self.lines().await > 0 {
            assert!(Instant::now() < deadline, "lines are left");
        }
        until("every topic sleeps", || {
            (0..self.workers.len()).for_each(|worker| self.directory.sweep(worker));
            self.directory.awake() == 0 && self.counts_nobody()
        })
        .await;
    }

    /// Whether no topic and no reader is counted any more, however they went.
    fn counts_nobody(&self) -> bool {
        self.directory.meters().counted().values().all(|counted| (counted.topics, counted.readers) == (0, 0))
    }
}
