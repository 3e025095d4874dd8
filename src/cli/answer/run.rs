//! One answer: an event, what a program writes appended to it, and how it ended. Each is sent until it is on the hub's disk;
//! what is sent again has the keys that it had, so it is written once.
//!
//! It never reads the topic: who does tells it to stop.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tambour_actors::event::APPENDED_BYTES_MAX;

use super::super::CliError;
use super::super::follow::{chance, may_pass, note, retry_wait};
use super::super::remote::Hub;
use super::made::Made;
use super::program::{Group, Program};

/// The wait before something is sent again; it doubles.
const RETRY_MS: u64 = 500;

/// An answer.
#[derive(Clone)]
pub(super) struct Run {
    id: Arc<str>,
    /// The event that its text is appended to, once it is there.
    event_id: Arc<Mutex<Option<String>>>,
    group: Group,
}

/// What a hub says of an event that is on its disk.
#[derive(Deserialize)]
struct Published {
    id: String,
}

impl Run {
    /// Nothing is done yet.
    pub(super) fn new(id: &str) -> Self {
        Self { id: id.into(), event_id: Arc::default(), group: Group::default() }
    }

    /// Whether an event is its.
    pub(super) fn is(&self, event_id: &str) -> bool {
        self.event_id.lock().as_deref() == Some(event_id)
    }

    /// Ends the program, and whatever it started.
    pub(super) fn stop(&self) {
        self.group.kill();
    }

    /// Says that there is no answer; once, because a hub that is away has others to answer.
    pub(super) fn refuse(&self, hub: &Hub, path: &str, why: &str) {
        let said = json!([self.begins(), self.ends(why)]);
        if let Err(failure) = hub.post(path, said.to_string().as_bytes()) {
            note(&failure.to_string());
        }
    }

    /// Runs the program and sends what it writes. `was_stopped` says whether somebody stopped its event before it was known
    /// here how that is called.
    pub(super) fn answer(
        &self,
        hub: &Hub,
        path: &str,
        program: &Program,
        text: String,
        was_stopped: impl Fn(&str) -> bool,
    ) {
        let begun = until_kept(|| hub.post(path, self.begins().to_string().as_bytes()));
        let begun = begun.and_then(|answer| {
            let strange = |_| CliError::Failed(format!("{} did not answer as a hub does", hub.url()));
            serde_json::from_slice::<Published>(&answer).map_err(strange)
        });
        let event_id = match begun {
            Ok(published) => published.id,
            Err(failure) => return note(&format!("no answer can be given: {failure}")),
        };
        *self.event_id.lock() = Some(event_id.clone());
        if was_stopped(&event_id) {
            self.stop();
        }
        let made = Made::default();
        let ended = {
            let (run, made, event_id) = (self.clone(), made.clone(), event_id);
            let program = program.clone();
            std::thread::spawn(move || run.make(&program, text, &event_id, &made))
        };
        let mut refused = None;
        if made.begins() {
            let sent = until_kept(|| hub.upload(path, made.reader()));
            refused = sent.err().map(|failure| {
                self.stop();
                reason(&failure)
            });
        }
        let ended = ended.join().unwrap_or_else(|_| "the answer was lost".to_owned());
        let last = self.ends(&refused.unwrap_or(ended));
        if let Err(failure) = until_kept(|| hub.post(path, last.to_string().as_bytes())) {
            note(&format!("the end of an answer can't be told: {failure}"));
        }
    }

    /// Makes lines of what the program writes, and says how it ended.
    fn make(&self, program: &Program, text: String, event_id: &str, made: &Made) -> String {
        let (mut bytes, mut count) = (0, 0_u64);
        let ended = program.run(text, &self.group, |text| {
            let text = Value::from(text);
            // As JSON, which is what the hub counts.
            bytes += text.to_string().len();
            if bytes > APPENDED_BYTES_MAX {
                return false;
            }
            count += 1;
            let append = json!({ "event_id": event_id, "data": text });
            made.line(&json!({ "append": append, "idempotency_key": format!("{}-{count}", self.id) }));
            true
        });
        made.end();
        match ended {
            _ if bytes > APPENDED_BYTES_MAX => format!("the answer is longer than {APPENDED_BYTES_MAX} bytes"),
            _ if self.group.is_killed() => "stopped".to_owned(),
            Ok(status) if status.success() => "stop".to_owned(),
            Ok(status) => status.to_string(),
            Err(error) => {
                note(&format!("the program can't be run: {error}"));
                "the program can't be run".to_owned()
            }
        }
    }

    fn begins(&self) -> Value {
        json!({ "type": "message", "data": { "role": "assistant", "run_id": &*self.id }, "idempotency_key": &*self.id })
    }

    fn ends(&self, reason: &str) -> Value {
        let data = json!({ "run_id": &*self.id, "reason": reason });
        json!({ "type": "run_end", "data": data, "idempotency_key": format!("{}-end", self.id) })
    }
}

/// Does something again for as long as it may pass.
fn until_kept<T>(mut send: impl FnMut() -> Result<T, CliError>) -> Result<T, CliError> {
    let mut attempts = 0;
    loop {
        match send() {
            Err(failure) if may_pass(&failure) => {
                std::thread::sleep(retry_wait(RETRY_MS, attempts, chance()));
                attempts += 1;
            }
            sent => return sent,
        }
    }
}

/// Why an answer ends early, as readers are told.
fn reason(failure: &CliError) -> String {
    note(&format!("an answer was refused: {failure}"));
    match failure {
        CliError::Refused(problem) => problem.code.clone(),
        _ => "the answer could not be sent".to_owned(),
    }
}
