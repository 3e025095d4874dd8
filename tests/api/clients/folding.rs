//! What a reader has who asked for texts instead of the appends that they grew by.
//!
//! Its rule is the one for clients: a folded event takes the place of what one has of it; an append behind its `until`
//! is added. Nothing else is ever put together here.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Event, seq_of};

/// The text of an event so far.
#[derive(Debug, Deserialize)]
pub(crate) struct Fold {
    text: String,
    appends: u64,
    /// The id of the last append that is in it.
    until: String,
}

impl Fold {
    /// The place of the last append that is in it.
    pub(crate) fn until(&self) -> &str {
        &self.until
    }
}

/// The `data` of an append.
#[derive(Debug, Deserialize)]
pub(crate) struct Append {
    pub(crate) event_id: String,
    pub(crate) data: String,
}

/// An event with all that was appended to it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Story {
    /// Of the event itself.
    pub(crate) digest: u64,
    pub(crate) text: String,
    pub(crate) appends: u64,
    /// Its own place, or that of its last append.
    pub(crate) until: u64,
}

/// Events by their seqs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Stories(BTreeMap<u64, Story>);

impl Stories {
    /// Takes what came, folded or not.
    #[track_caller]
    pub(crate) fn take(&mut self, event: &Event<'_>) {
        if event.kind == "append" {
            assert!(event.fold.is_none(), "its target is kept: {event:?}");
            return self.append(event);
        }
        let mut story = Story { digest: event.digest(), until: event.seq, ..Story::default() };
        if let Some(Fold { text, appends, until }) = &event.fold {
            (story.text, story.appends, story.until) = (text.clone(), *appends, seq_of(until));
        }
        let had = self.0.insert(event.seq, story);
        assert!(had.is_none_or(|had| had.until < seq_of(event.place())), "what is told again has more: {event:?}");
    }

    #[track_caller]
    fn append(&mut self, event: &Event<'_>) {
        let append: Append = serde_json::from_str(event.data.get()).unwrap();
        let target = seq_of(&append.event_id);
        let story = self.0.get_mut(&target).unwrap_or_else(|| panic!("nothing to append to: {event:?}"));
        if event.seq > story.until {
            story.text.push_str(&append.data);
            story.appends += 1;
            story.until = event.seq;
        }
    }

    /// The first event that is not the same in both.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        let seqs = self.0.keys().chain(other.0.keys());
        let mut seqs = seqs.filter(|seq| self.0.get(seq) != other.0.get(seq));
        seqs.next().map(|seq| format!("{seq}: {:?} and {:?}", self.0.get(seq), other.0.get(seq)))
    }
}
