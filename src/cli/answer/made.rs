//! Lines that are made once, at their own pace, and read as often as it takes, each time from the first.
//!
//! A reader waits for the next line; it never sees half of one.

use std::io::{self, Read};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

/// Lines, more of which may come.
#[derive(Clone, Default)]
pub(super) struct Made(Arc<(Mutex<Lines>, Condvar)>);

#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    over: bool,
}

impl Made {
    /// Another line, of JSON.
    pub(super) fn line(&self, line: &serde_json::Value) {
        let mut lines = self.0.0.lock();
        if !lines.over {
            lines.bytes.extend_from_slice(format!("{line}\n").as_bytes());
        }
        self.0.1.notify_all();
    }

    /// No more lines.
    pub(super) fn end(&self) {
        self.0.0.lock().over = true;
        self.0.1.notify_all();
    }

    /// Waits for the first line; `false`: there is none.
    pub(super) fn begins(&self) -> bool {
        let mut lines = self.0.0.lock();
        while lines.bytes.is_empty() && !lines.over {
            self.0.1.wait(&mut lines);
        }
        !lines.bytes.is_empty()
    }

    /// All of them from the first.
    pub(super) fn reader(&self) -> Reader {
        Reader { made: self.clone(), at: 0 }
    }
}

/// Reads what was made and what will be.
pub(super) struct Reader {
    made: Made,
    at: usize,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (lines, more) = &*self.made.0;
        let mut lines = lines.lock();
        while lines.bytes.len() == self.at && !lines.over {
            more.wait(&mut lines);
        }
        let rest = &lines.bytes[self.at..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reader_reads_all_of_it() {
        let made = Made::default();
        made.line(&serde_json::json!(1));
        let text = |mut reader: Reader| {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text)
        };
        assert!(made.begins());
        let early = made.reader();
        let reading = std::thread::spawn(move || text(early));
        made.line(&serde_json::json!("a\nb"));
        made.end();
        made.line(&serde_json::json!("too late"));
        assert_eq!(reading.join().unwrap().unwrap(), "1\n\"a\\nb\"\n");
        assert_eq!(text(made.reader()).unwrap(), "1\n\"a\\nb\"\n");
        let none = Made::default();
        none.end();
        assert!(!none.begins());
    }
}
