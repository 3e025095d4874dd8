//! Composite ids: where a reader of several topics stands, in one text, so that an `EventSource` that comes back with the
//! last id it saw goes on in all of them.
//!
//! In the text are a hash of which topics it is about, and for each of them, in the order of their names, a fingerprint of its
//! mark and a seq. Clients treat it as opaque. This file never decides what a reader is told about a place that can't be
//! honoured: `topic::start` does, as of any cursor.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::cursor::{MalformedCursor, Mark};
use crate::event::Seq;
use crate::topic::state::Start;
use crate::topic_key::TopicKey;

/// Most topics of one stream.
pub const STREAM_TOPICS_MAX: usize = 32;
/// Characters of the hash of the topics.
const SET_CHARS: usize = 8;
/// Characters of the fingerprint of a mark: 36 bits tell the lives of one topic apart.
const FINGERPRINT_CHARS: usize = 6;
/// Longest text of a composite id.
pub const COMPOSITE_BYTES_MAX: usize = SET_CHARS + STREAM_TOPICS_MAX * (1 + FINGERPRINT_CHARS + 1 + 20);

/// A short hash, as characters of base64url.
fn hash<const CHARS: usize>(bytes: &[u8]) -> [u8; CHARS] {
    let mut text = [0; 43];
    let written = URL_SAFE_NO_PAD.encode_slice(Sha256::digest(bytes), &mut text);
    debug_assert_eq!(written, Ok(43));
    *text.first_chunk().expect("a hash has 43 characters")
}

/// Which life of which topic a place is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fingerprint([u8; FINGERPRINT_CHARS]);

impl Fingerprint {
    fn of(mark: Mark) -> Self {
        Self(hash(&mark.text()))
    }
}

/// Where a reader of several topics stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composite {
    set: [u8; SET_CHARS],
    places: Vec<(Fingerprint, Seq)>,
}

/// Puts topics into the order in which composite ids have them. `false`: one of them is there twice.
pub fn put_in_order<T>(topics: &mut [T], key: impl Fn(&T) -> &TopicKey) -> bool {
    topics.sort_by_cached_key(|topic| key(topic).topic());
    topics.windows(2).all(|pair| key(&pair[0]) != key(&pair[1]))
}

impl Composite {
    /// Before the first event of each of these topics, which are [in order](put_in_order).
    #[must_use]
    pub fn new<'a>(topics: impl IntoIterator<Item = (&'a TopicKey, Mark)>) -> Self {
        let mut names = Vec::new();
        let mut places = Vec::new();
        for (key, mark) in topics {
            // A line break is in no name.
            names.extend_from_slice(format!("{key}\n").as_bytes());
            places.push((Fingerprint::of(mark), 0));
        }
        debug_assert!((1..=STREAM_TOPICS_MAX).contains(&places.len()));
        Self { set: hash(&names), places }
    }

    /// Parses a composite id's text. Exactly the texts that [`std::fmt::Display`] writes are accepted.
    ///
    /// # Errors
    /// [`MalformedCursor`].
    pub fn parse(text: &str) -> Result<Self, MalformedCursor> {
        if text.len() > COMPOSITE_BYTES_MAX {
            return Err(MalformedCursor);
        }
        let mut parts = text.split('~');
        let set = chars(parts.next().unwrap_or_default())?;
        let place = |part: &str| {
            let (fingerprint, digits) = part.split_once('.').ok_or(MalformedCursor)?;
            let plain = digits.bytes().all(|b| b.is_ascii_digit()) && (digits.len() == 1 || !digits.starts_with('0'));
            let seq = digits.parse().ok().filter(|_| plain).ok_or(MalformedCursor)?;
            Ok((Fingerprint(chars(fingerprint)?), seq))
        };
        // One more than there may be is enough to know.
        let places = parts.take(STREAM_TOPICS_MAX + 1).map(place).collect::<Result<Vec<_>, _>>()?;
        let count_fits = (1..=STREAM_TOPICS_MAX).contains(&places.len());
        if count_fits { Ok(Self { set, places }) } else { Err(MalformedCursor) }
    }

    /// Whether both are about the same topics.
    #[must_use]
    pub fn same_topics(&self, other: &Self) -> bool {
        self.set == other.set && self.places.len() == other.places.len()
    }

    /// Where a reader wants to start in the topic of an index, whose mark is this one now.
    #[must_use]
    pub fn start(&self, index: usize, mark: Mark) -> Start {
        let (fingerprint, seq) = self.places[index];
        let is_same = fingerprint == Fingerprint::of(mark);
        Start::After(if is_same { mark } else { mark.of_another_life() }.at(seq))
    }

    /// Goes to a place in the topic of an index.
    pub fn put(&mut self, index: usize, mark: Mark, seq: Seq) {
        self.places[index] = (Fingerprint::of(mark), seq);
    }

    /// Moves inside the same life of the topic of an index.
    pub fn advance(&mut self, index: usize, seq: Seq) {
        self.places[index].1 = seq;
    }

    /// Writes the text.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.set);
        let mut number = itoa::Buffer::new();
        for (fingerprint, seq) in &self.places {
            out.push(b'~');
            out.extend_from_slice(&fingerprint.0);
            out.push(b'.');
            out.extend_from_slice(number.format(*seq).as_bytes());
        }
    }
}

impl std::fmt::Display for Composite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = Vec::with_capacity(COMPOSITE_BYTES_MAX);
        self.write(&mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

fn chars<const CHARS: usize>(text: &str) -> Result<[u8; CHARS], MalformedCursor> {
    let in_alphabet = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    text.as_bytes().try_into().ok().filter(|_| in_alphabet).ok_or(MalformedCursor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cursor::Incarnation;
    use crate::log::Bounds;
    use crate::topic::state::{GapReason, Started, locate};
    use crate::topic_key::{Env, Scope, Tenant};

    fn key(tenant: &str, topic: &str) -> TopicKey {
        TopicKey::parse(&Scope { tenant: Tenant::parse(tenant).unwrap(), env: Env::Dev }, topic).unwrap()
    }

    /// Topics in order, each with an incarnation and a seq.
    fn topics() -> impl Strategy<Value = Vec<(TopicKey, u64, Seq)>> {
        let name = (prop_oneof![Just("thread"), Just("canvas")], "[a-c]{1,3}").prop_map(|(k, id)| format!("{k}/{id}"));
        prop::collection::btree_map(name, (any::<u64>(), any::<u64>()), 1..=STREAM_TOPICS_MAX).prop_map(|topics| {
            let mut topics: Vec<_> = topics.into_iter().map(|(name, (i, s))| (key("t_a", &name), i, s)).collect();
            assert!(put_in_order(&mut topics, |(key, ..)| key));
            topics
        })
    }

    fn id(topics: &[(TopicKey, u64, Seq)]) -> Composite {
        let mark = |key: &TopicKey, incarnation: u64| Mark::new(key, Incarnation(incarnation));
        let mut id = Composite::new(topics.iter().map(|(key, incarnation, _)| (key, mark(key, *incarnation))));
        for (index, (key, incarnation, seq)) in topics.iter().enumerate() {
            id.put(index, mark(key, *incarnation), *seq);
        }
        id
    }

    proptest! {
        #[test]
        fn text_and_value_are_the_same(topics in topics()) {
            let id = id(&topics);
            let text = id.to_string();
            prop_assert!(text.len() <= COMPOSITE_BYTES_MAX && COMPOSITE_BYTES_MAX <= 1_024);
            prop_assert_eq!(Composite::parse(&text), Ok(id));
        }

        #[test]
        fn whatever_parses_prints_back(text in "[A-Za-z0-9_-]{8}(~[A-Za-z0-9_-]{6}\\.[0-9]{1,21}){0,40}") {
            if let Ok(id) = Composite::parse(&text) {
                prop_assert_eq!(id.to_string(), text);
            }
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = Composite::parse(&text);
        }

        /// Whoever comes back stands in each topic where they stood, and is told of each that is another now.
        #[test]
        fn a_reader_goes_on_in_each_topic(topics in topics(), anew in prop::collection::vec(any::<bool>(), 32)) {
            let back = Composite::parse(&id(&topics).to_string()).unwrap();
            for (index, (key, incarnation, seq)) in topics.iter().enumerate() {
                let life = Incarnation(incarnation.wrapping_add(u64::from(anew[index])));
                let mark = Mark::new(key, life);
                let bounds = Bounds { oldest: 1, head: *seq, closed: false };
                let expected = if anew[index] {
                    Started { cursor: 0, gap: Some(GapReason::Reset) }
                } else {
                    Started { cursor: *seq, gap: None }
                };
                prop_assert_eq!(locate(back.start(index, mark), mark, bounds), expected);
            }
        }

        #[test]
        fn other_topics_are_another_set(one in topics(), other in topics()) {
            let keys = |topics: &[(TopicKey, u64, Seq)]| topics.iter().map(|(key, ..)| key.clone()).collect::<Vec<_>>();
            prop_assert_eq!(id(&one).same_topics(&id(&other)), keys(&one) == keys(&other));
        }
    }

    #[test]
    fn the_order_is_that_of_the_names() {
        let mut keys = ["thread/b", "canvas/z", "thread/a"].map(|topic| key("t_a", topic));
        assert!(put_in_order(&mut keys, |key| key));
        assert_eq!(keys.map(|key| key.topic()), ["canvas/z", "thread/a", "thread/b"]);
        let mut twice = ["thread/b", "thread/a", "thread/b"].map(|topic| key("t_a", topic));
        assert!(!put_in_order(&mut twice, |key| key));
    }

    #[test]
    fn a_set_is_of_one_scope() {
        let id = |tenant: &str| {
            let key = key(tenant, "thread/x");
            Composite::new([(&key, Mark::new(&key, Incarnation(1)))])
        };
        assert!(!id("t_a").same_topics(&id("t_b")));
    }

    #[test]
    fn malformed() {
        let good = "AAAAAAAA~BBBBBB.0";
        assert_eq!(Composite::parse(good).unwrap().to_string(), good);
        for bad in [
            "",
            "AAAAAAAA",
            "AAAAAAAA~",
            "AAAAAAAA~BBBBBB",
            "AAAAAAAA~BBBBBB.",
            "AAAAAAAA~BBBBBB.01",
            "AAAAAAAA~BBBBBB.+1",
            "AAAAAAAA~BBBBBB.-1",
            "AAAAAAAA~BBBBBB.18446744073709551616",
            "AAAAAAAA~BBBBB.1",
            "AAAAAAAA~BBBBBBB.1",
            "AAAAAAA~BBBBBB.1",
            "AAAAAAA+~BBBBBB.1",
            "AAAAAAAA~BBBBB=.1",
            "AAAAAAAA~BBBBBB.1~",
            "AAAAAAAA~BBBBBB.1\n",
            "GzUtezx6Zl28O70t.1",
            &format!("AAAAAAAA{}", "~BBBBBB.1".repeat(33)),
        ] {
            assert_eq!(Composite::parse(bad), Err(MalformedCursor), "{bad:?}");
        }
    }
}
