//! Turns against the topic's own rules and a log in memory, with others who write between: whatever happens, what is
//! on disk of a request is the lines before the one that was refused, in their order, and nothing else.

use std::collections::HashMap;
use std::task::{Context, Poll, Waker};
use tambour_actors::log::contract::deed;

use proptest::prelude::*;
use tambour_actors::cursor::Incarnation;
use tambour_actors::event::{Event, Origin};
use tambour_actors::log::memory::MemoryLog;
use tambour_actors::log::{
    Append, Bounds, EventLog as _, NewTopic, PageLimit, PortFuture, TopicRecord, Topics as _, Visibility,
};
use tambour_actors::topic::state::{Effect, TopicLimits, TopicState, What};
use tambour_actors::topic_key::{Env, Scope, Tenant, TopicKey};

use super::super::lines::Lines;
use super::*;

fn now<T>(mut future: PortFuture<T>) -> T {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("memory answers at once"),
    }
}

fn origin(sub: &str) -> Origin {
    Origin { routing: format!("\"actor_id\":\"{sub}\"").into(), meta: "\"request_id\":\"r\"".into() }
}

/// Who is answered: nobody, or the sender of lines for one of their writes.
type Reply = Option<usize>;

/// A topic that does what it is told when it is told.
struct Topic {
    state: TopicState<Reply>,
    log: MemoryLog,
    record: Arc<TopicRecord>,
    effects: Vec<Effect<Reply>>,
    append: Option<Append>,
    answers: HashMap<usize, Result<Published, Refusal>>,
}

impl Topic {
    fn new(backlog_bytes: usize) -> Self {
        let log = MemoryLog::default();
        let scope = Scope { tenant: Tenant::parse("t_demo").unwrap(), env: Env::Dev };
        let topic = NewTopic {
            key: TopicKey::parse(&scope, "thread/x").unwrap(),
            creator: "alice".into(),
            title: None,
            visibility: Visibility::Team,
            members: Vec::new(),
            created_at_ms: 0,
            incarnation: Incarnation(7),
        };
        let record = Arc::new(now(log.create(topic, deed())).unwrap());
        let limits = TopicLimits { tail_events: 8, tail_bytes: 4_000, backlog_bytes, delivery_bytes: 1_000 };
        let state = TopicState::new(record.clone(), Bounds::EMPTY, limits);
        Self { state, log, record, effects: Vec::new(), append: None, answers: HashMap::new() }
    }

    fn write(&mut self, write: Write, sub: &str, reply: Reply) {
        self.state.write(write, origin(sub), 1, reply, &mut self.effects);
        self.perform();
    }

    fn perform(&mut self) {
        while let Some(effect) = self.effects.pop() {
            match effect {
                Effect::Append(events, once, closing, class) => {
                    self.append = Some(Append { log: self.record.log, events, once, closing, class });
                }
                Effect::Answer(Some(number), answer) => drop(self.answers.insert(number, answer)),
                Effect::Answer(None, _) | Effect::Deliver(..) => {}
                Effect::Recall(recall) => {
                    let once = recall.once();
                    let found = now(self.log.recall(self.record.log, &once.sub, &once.key, 1));
                    self.state.recalled(*recall, &found, 1, &mut self.effects);
                }
            }
        }
    }

    /// The append in flight is carried out.
    fn commit(&mut self) {
        if let Some(append) = self.append.take() {
            let result = now(self.log.append(vec![append])).remove(0);
            self.state.appended(result, 1, &mut self.effects);
            self.perform();
        }
    }

    fn events(&self) -> Vec<Event> {
        let limit = PageLimit { events: usize::MAX, bytes: usize::MAX };
        now(self.log.read(self.record.log, 0, limit)).unwrap().events
    }
}

/// What happens between two writes of a turn.
#[derive(Debug, Clone)]
enum Meanwhile {
    Nothing,
    Commits,
    SomebodyWrites(usize),
    SomebodyCloses,
}

fn meanwhile() -> impl Strategy<Value = Meanwhile> {
    prop_oneof![
        6 => Just(Meanwhile::Nothing),
        3 => Just(Meanwhile::Commits),
        3 => (1_usize..400).prop_map(Meanwhile::SomebodyWrites),
        1 => Just(Meanwhile::SomebodyCloses),
    ]
}

fn line() -> impl Strategy<Value = String> {
    let mark = || Topic::new(0).record.mark();
    let event = |n: u32| format!("{{\"type\":\"note\",\"data\":{n}");
    prop_oneof![
        8 => (0_u32..1_000).prop_map(move |n| event(n) + "}"),
        2 => (0_u32..2, 0_u32..4).prop_map(move |(n, key)| event(n) + &format!(",\"idempotency_key\":\"k{key}\"}}")),
        3 => Just("{\"append\":{\"data\":\"a\"}}".to_owned()),
        2 => (1_u64..12).prop_map(move |seq| {
            format!("{{\"append\":{{\"event_id\":\"{}\",\"data\":\"b\"}}}}", mark().at(seq))
        }),
        1 => (0_u64..12).prop_map(move |seq| event(5) + &format!(",\"expect\":\"{}\"}}", mark().at(seq))),
        1 => Just(String::new()),
    ]
}

/// Sends the lines; the place reached, and the line that was refused.
fn send(
    topic: &mut Topic,
    queue: &mut VecDeque<Line>,
    script: &mut dyn Iterator<Item = Meanwhile>,
) -> (Place, Option<u64>) {
    let (mark, sub) = (topic.record.mark(), Arc::<str>::from("alice"));
    let (mut place, mut split, mut patience) = (Place::default(), 0, 100);
    while !queue.is_empty() {
        let mut turn = match form(queue, mark, &sub, place, split) {
            Ok(turn) => turn,
            Err(bad) => return (place, Some(bad.line)),
        };
        assert!(!turn.writes.is_empty() && turn.writes.len() <= WRITES_MAX, "a turn has something to send");
        topic.answers.clear();
        let writes = std::mem::take(&mut turn.writes);
        let count = writes.len();
        for (number, write) in writes.into_iter().enumerate() {
            match script.next().unwrap_or(Meanwhile::Nothing) {
                Meanwhile::Nothing => {}
                Meanwhile::Commits => topic.commit(),
                Meanwhile::SomebodyWrites(bytes) => {
                    let event = NewEvent { kind: kind("theirs"), data: vec![b'1'; bytes].into(), target: None };
                    topic.write(Write::events(vec![event]), "bob", None);
                }
                Meanwhile::SomebodyCloses => topic.write(What::Close(deed()).into(), "bob", None),
            }
            topic.write(write, "alice", Some(number));
        }
        while topic.append.is_some() {
            topic.commit();
        }
        let answers =
            (0..count).map(|number| topic.answers.remove(&number).expect("every write is answered")).collect();
        split = 0;
        let line = |queue: &VecDeque<Line>| queue.front().map(|line| line.number);
        match turn.judge(answers, queue, &mut place) {
            Then::Go => {}
            Then::Split(lines) => split = lines,
            Then::Refuse(_) => return (place, line(queue)),
            Then::Wait(_) => {
                patience -= 1;
                assert!(patience > 0, "nothing is in the way any more");
            }
        }
    }
    (place, None)
}

fn kind(text: &str) -> tambour_actors::event::EventType {
    tambour_actors::event::EventType::stored(text).unwrap()
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_before_the_refused_line(
        lines in prop::collection::vec(line(), 0..40),
        script in prop::collection::vec(meanwhile(), 0..40),
        backlog_bytes in prop_oneof![Just(60_usize), Just(300), Just(100_000)],
    ) {
        let mut topic = Topic::new(backlog_bytes);
        let mut queue = VecDeque::new();
        let body = lines.join("\n");
        let mut reader = Lines::default();
        reader.feed(body.as_bytes(), &mut queue).and_then(|()| reader.end(&mut queue)).unwrap();
        let asked: Vec<_> = queue.iter().cloned().collect();
        let (place, refused) = send(&mut topic, &mut queue, &mut script.into_iter());

        let accepted = usize::try_from(place.accepted).unwrap();
        prop_assert_eq!(refused, asked.get(accepted).map(|line| line.number));
        prop_assert_eq!(queue.len(), asked.len() - accepted);
        // What is on disk: each accepted line, but those whose key was used before in this very request.
        let mut keys = Vec::new();
        let fresh = asked[..accepted].iter().filter(|line| {
            let key = line.entry.conditions.idempotency_key.clone();
            let known = key.is_some() && keys.contains(&key);
            keys.push(key);
            !known
        });
        let text = |line: &Line| match &line.entry.what {
            EntryWhat::Event(event) => event.data.clone(),
            EntryWhat::Append { text, .. } => text.clone(),
        };
        let expected: Vec<_> = fresh.map(text).collect();
        let events = topic.events();
        let own = || events.iter().filter(|event| event.origin.routing == origin("alice").routing);
        prop_assert_eq!(own().map(|event| event.data.clone()).collect::<Vec<_>>(), expected);
        prop_assert_eq!(place.last.is_some(), accepted > 0);
        // An append goes to what stands before it in the request, or to what it names.
        for (event, line) in own().zip(asked[..accepted].iter()).take_while(|(_, line)| line.entry.conditions.is_none()) {
            if let EntryWhat::Append { event_id, .. } = &line.entry.what {
                let before = own().filter(|other| other.target.is_none() && other.seq < event.seq).last();
                prop_assert_eq!(event.target, event_id.map(|id| id.seq).or(before.map(|event| event.seq)));
            }
        }
    }
}

/// How many lines the writes of the first turn have.
#[track_caller]
fn formed(lines: &[&str], split: usize, expected: &[usize]) {
    let mut queue = VecDeque::new();
    Lines::default().feed((lines.join("\n") + "\n").as_bytes(), &mut queue).unwrap();
    let mark = Topic::new(0).record.mark();
    let place = Place { event: Some(1), ..Place::default() };
    let turn = form(&queue, mark, &"alice".into(), place, split).unwrap();
    assert_eq!(turn.lines, expected, "{lines:?}");
    let events = |write: &Write| match &write.what {
        What::Events(events) => events.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(turn.writes.iter().map(events).collect::<Vec<_>>(), expected);
}

#[test]
fn lines_are_joined_where_nothing_stands_between_them() {
    const EVENT: &str = r#"{"type":"note","data":1}"#;
    const KEYED: &str = r#"{"type":"note","data":1,"idempotency_key":"k"}"#;
    const EXPECTS: &str = r#"{"type":"note","data":1,"expect":"empty"}"#;
    const APPEND: &str = r#"{"append":{"data":"a"}}"#;
    formed(&[EVENT, EVENT, EVENT], 0, &[3]);
    formed(&[EVENT; 2_500], 0, &[1_000, 1_000, 500]);
    formed(&[EVENT, KEYED, KEYED, EVENT, EVENT], 0, &[1, 1, 1, 2]);
    formed(&[EVENT, EXPECTS, EVENT], 0, &[1]);
    formed(&[EXPECTS, EVENT, EVENT], 0, &[1, 2]);
    formed(&[APPEND, APPEND, EVENT, APPEND], 0, &[3]);
    formed(&[EVENT, EVENT, EVENT, EVENT], 2, &[1, 1, 2]);
    formed(&[KEYED; 1_500], 0, &[1; 1_000]);
    let large = format!(r#"{{"type":"note","data":"{}"}}"#, "x".repeat(60_000));
    formed(&[large.as_str(); 20], 0, &[17, 3]);
}
