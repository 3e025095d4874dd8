//! Bytes to lines, and lines to entries, in whatever pieces they come.
//!
//! A line is parsed once, where it lies; only what is cut by the end of a piece is kept, and no more of it than a
//! line may have. This file never waits and knows no topic.

use std::collections::VecDeque;

use tambour_actors::entry::{Entry, Object, RawEntry};
use tambour_actors::event::DATA_BYTES_MAX;
use tambour_actors::refusal::{Code, Refusal};

/// Longest line, in bytes: the largest data, and room for everything around it.
pub const LINE_BYTES_MAX: usize = DATA_BYTES_MAX + 4 * 1024;

/// An entry, and where it came from.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its number, from 1; blank lines have one, too.
    pub number: u64,
    /// What it asks for.
    pub entry: Entry,
    /// How long it was.
    pub bytes: usize,
}

/// A line that can't be written.
#[derive(Debug)]
pub struct Bad {
    /// Its number.
    pub line: u64,
    /// Why.
    pub refusal: Refusal,
}

/// Cuts a body into lines.
#[derive(Debug, Default)]
pub struct Lines {
    /// The beginning of a line whose end has not come.
    rest: Vec<u8>,
    /// How many lines are complete.
    complete: u64,
}

impl Lines {
    /// The number of the line that is not complete.
    pub fn next(&self) -> u64 {
        self.complete + 1
    }

    /// How much of a line is kept whose end has not come, in bytes.
    pub fn rest_bytes(&self) -> usize {
        self.rest.len()
    }

    /// Takes a piece of the body; the entries of complete lines go into `queue`.
    ///
    /// # Errors
    /// The first line that is none. Those before it are in the queue; nothing more may be fed.
    pub fn feed(&mut self, mut piece: &[u8], queue: &mut VecDeque<Line>) -> Result<(), Bad> {
        while let Some(end) = memchr::memchr(b'\n', piece) {
            let (line, behind) = (&piece[..end], &piece[end + 1..]);
            piece = behind;
            if self.rest.is_empty() {
                self.line(line, queue)?;
            } else {
                self.keep(line)?;
                let line = std::mem::take(&mut self.rest);
                self.line(&line, queue)?;
            }
        }
        self.keep(piece)
    }

    /// The body has ended: the last line needs no line feed.
    ///
    /// # Errors
    /// That line is none.
    pub fn end(&mut self, queue: &mut VecDeque<Line>) -> Result<(), Bad> {
        let line = std::mem::take(&mut self.rest);
        // What ends with a line feed, or is empty, has no line behind it.
        if line.is_empty() { Ok(()) } else { self.line(&line, queue) }
    }

    fn keep(&mut self, piece: &[u8]) -> Result<(), Bad> {
        if self.rest.len() + piece.len() > LINE_BYTES_MAX {
            return Err(self.bad(too_long()));
        }
        self.rest.extend_from_slice(piece);
        Ok(())
    }

    fn line(&mut self, line: &[u8], queue: &mut VecDeque<Line>) -> Result<(), Bad> {
        if line.len() > LINE_BYTES_MAX {
            return Err(self.bad(too_long()));
        }
        if !line.iter().all(u8::is_ascii_whitespace) {
            let raw = serde_json::from_slice::<Object<RawEntry<'_>>>(line).map_err(|error| no_entry(&error));
            let entry = raw.and_then(|Object(raw)| raw.parse()).map_err(|refusal| self.bad(refusal))?;
            queue.push_back(Line { number: self.next(), entry, bytes: line.len() });
        }
        self.complete += 1;
        Ok(())
    }

    fn bad(&self, refusal: Refusal) -> Bad {
        Bad { line: self.next(), refusal }
    }
}

fn too_long() -> Refusal {
    Refusal::new(Code::EventTooLarge, format!("a line has at most {LINE_BYTES_MAX} bytes"))
}

/// The parser knows one line only.
fn no_entry(error: &serde_json::Error) -> Refusal {
    Refusal::new(Code::BodyInvalid, error.to_string().replace(" at line 1 column ", " at column "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tambour_actors::entry::EntryWhat;

    use super::*;

    /// The numbers and data of the lines, and the number and code of a bad one.
    type Cut = (Vec<(u64, String)>, Option<(u64, Code)>);

    fn cut(pieces: &[&[u8]]) -> Cut {
        let (mut lines, mut queue) = (Lines::default(), VecDeque::new());
        let fed = pieces.iter().try_for_each(|piece| lines.feed(piece, &mut queue));
        let bad = fed.and_then(|()| lines.end(&mut queue)).err().map(|bad| (bad.line, bad.refusal.code));
        let data = |line: Line| match line.entry.what {
            EntryWhat::Event(event) => (line.number, String::from_utf8(event.data.to_vec()).unwrap()),
            EntryWhat::Append { text, .. } => (line.number, format!("+{}", String::from_utf8_lossy(&text))),
        };
        (queue.into_iter().map(data).collect(), bad)
    }

    #[track_caller]
    fn check(body: &str, expected: &[(u64, &str)], bad: Option<(u64, Code)>) {
        let expected: Vec<_> = expected.iter().map(|(number, data)| (*number, (*data).to_owned())).collect();
        assert_eq!(cut(&[body.as_bytes()]), (expected, bad), "{body:?}");
    }

    fn event(data: &str) -> String {
        format!(r#"{{"type":"note","data":{data}}}"#)
    }

    #[test]
    fn lines() {
        check("", &[], None);
        check("\n\r\n \t\n", &[], None);
        check(&event("1"), &[(1, "1")], None);
        check(&format!("{}\n", event("1")), &[(1, "1")], None);
        check(&format!("\n{}\r\n\n {} \n", event("1"), event("2")), &[(2, "1"), (4, "2")], None);
        check("{\"append\":{\"data\":\"a\"}}\n", &[(1, "+\"a\"")], None);
    }

    #[test]
    fn bad_lines() {
        let good = event("1");
        for (bad, code) in [
            ("{", Code::BodyInvalid),
            ("1", Code::BodyInvalid),
            ("[]", Code::BodyInvalid),
            ("[\"note\",1]", Code::BodyInvalid),
            ("{\"events\":[]}", Code::BodyInvalid),
            ("\u{feff}{}", Code::BodyInvalid),
            ("{\"type\":\"a\",\"data\":1}{\"type\":\"a\",\"data\":1}", Code::BodyInvalid),
            ("{\"type\":\"gap\",\"data\":1}", Code::TypeReserved),
        ] {
            check(&format!("{good}\n\n{bad}\n{good}"), &[(1, "1")], Some((3, code)));
        }
        let said = Lines::default().feed(b"{\"type\":}\n", &mut VecDeque::new()).unwrap_err().refusal.detail;
        assert!(said.contains("at column 9"), "{said}");
        assert_eq!(cut(&[b"\xff\n"]).1, Some((1, Code::BodyInvalid)));
    }

    #[test]
    fn long_lines() {
        let line = |bytes: usize| event(&format!("\"{}\"", "x".repeat(bytes)));
        check(&line(DATA_BYTES_MAX - 1), &[], Some((1, Code::EventTooLarge)));
        assert_eq!(cut(&[line(DATA_BYTES_MAX - 2).as_bytes()]).0.len(), 1);
        // Refused before it ends, and not kept.
        let (mut lines, mut queue) = (Lines::default(), VecDeque::new());
        for _ in 0..LINE_BYTES_MAX / 64 {
            lines.feed(&[b' '; 64], &mut queue).unwrap();
        }
        assert_eq!(lines.feed(b" ", &mut queue).unwrap_err().line, 1);
        assert!(lines.rest.capacity() <= 2 * LINE_BYTES_MAX);
        assert_eq!(cut(&[&vec![b' '; LINE_BYTES_MAX + 1], b"\n"]).1, Some((1, Code::EventTooLarge)));
        assert_eq!(
            cut(&[&[vec![b' '; LINE_BYTES_MAX + 1], b"\n".to_vec()].concat()]).1,
            Some((1, Code::EventTooLarge))
        );
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            lines in prop::collection::vec(prop_oneof![Just("{\"type\":\"a\",\"data\":1}"), Just(""), Just("\r"), Just("oops")], 0..6),
            cuts in prop::collection::vec(0_usize..120, 0..8),
            ends: bool,
        ) {
            let body = lines.join("\n") + if ends { "\n" } else { "" };
            let mut cuts: Vec<_> = cuts.into_iter().map(|at| at.min(body.len())).collect();
            cuts.extend([0, body.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|pair| &body.as_bytes()[pair[0]..pair[1]]).collect();
            prop_assert_eq!(cut(&pieces), cut(&[body.as_bytes()]));
        }
    }
}
