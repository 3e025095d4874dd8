//! One run of a program: what it writes becomes lines of one upload, which is sent again from its first line whenever a hub
//! went away. The lines have keys, so what is on disk already is answered, not written again.
//!
//! It never reads the topic: who does tells it how its event is called, and to stop.

use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;
use tambour_actors::event::DATA_BYTES_MAX;

use super::super::CliError;
use super::super::follow::{chance, may_pass, note, retry_wait};
use super::super::remote::Hub;
use super::made::Made;

/// Most text of one append, in bytes: as JSON it may be six times as long.
const APPEND_BYTES: usize = DATA_BYTES_MAX / 8;
/// The wait before an upload is sent again; it doubles.
const RETRY_MS: u64 = 500;

/// A run.
#[derive(Clone)]
pub(super) struct Run {
    made: Made,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The event that its text is appended to, once it was seen.
    event_id: Option<String>,
    /// The process group of the program, while it runs.
    group: Option<Pid>,
    stopped: bool,
}

impl Run {
    /// Starts the program.
    pub(super) fn of(id: &str, program: &[String], text: &str) -> Self {
        let run = Self { made: Made::default(), state: Arc::default() };
        run.begin(id);
        match start(program) {
            Ok(child) => {
                run.state.lock().group = Pid::from_raw(i32::try_from(child.id()).unwrap_or_default());
                let (run, id, text) = (run.clone(), id.to_owned(), text.to_owned());
                std::thread::spawn(move || run.follow(&id, child, text));
            }
            Err(error) => {
                note(&format!("{}: {error}", program[0]));
                run.end(id, "the program can't be started");
            }
        }
        run
    }

    /// A run that is none.
    pub(super) fn refused(id: &str, why: &str) -> Self {
        let run = Self { made: Made::default(), state: Arc::default() };
        run.begin(id);
        run.end(id, why);
        run
    }

    /// Its event was seen in the topic.
    pub(super) fn is_shown_as(&self, event_id: &str) {
        self.state.lock().event_id = Some(event_id.to_owned());
    }

    /// Whether an event is its.
    pub(super) fn is(&self, event_id: &str) -> bool {
        self.state.lock().event_id.as_deref() == Some(event_id)
    }

    /// Ends the program, and whatever it started.
    pub(super) fn stop(&self) {
        let mut state = self.state.lock();
        state.stopped = true;
        if let Some(group) = state.group {
            // It may have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// Sends the lines as they are made, until all of them are on the hub's disk or it refuses one.
    pub(super) fn publish(&self, hub: &Hub, path: &str) {
        let mut attempts = 0;
        loop {
            match hub.upload(path, self.made.reader()) {
                Ok(_) => return,
                Err(failure) if may_pass(&failure) => {
                    std::thread::sleep(retry_wait(RETRY_MS, attempts, chance()));
                    attempts += 1;
                }
                Err(failure) => {
                    note(&match failure {
                        CliError::Refused(problem) => format!("an answer was refused: {problem}"),
                        other => other.to_string(),
                    });
                    return self.stop();
                }
            }
        }
    }

    fn begin(&self, id: &str) {
        self.made
            .line(&json!({ "type": "message", "data": { "role": "assistant", "run_id": id }, "idempotency_key": id }));
    }

    fn end(&self, id: &str, reason: &str) {
        let key = format!("{id}-end");
        let data = json!({ "run_id": id, "reason": reason });
        self.made.line(&json!({ "type": "run_end", "data": data, "idempotency_key": key }));
        self.made.end();
    }

    /// Gives the program its question, and turns what it writes into appends.
    fn follow(&self, id: &str, mut child: Child, text: String) {
        if let Some(mut stdin) = child.stdin.take() {
            // A program that reads nothing is none the worse for it.
            std::thread::spawn(move || stdin.write_all(text.as_bytes()));
        }
        if let Some(stdout) = child.stdout.take() {
            self.append_all(id, stdout);
        }
        let ended = child.wait();
        let mut state = self.state.lock();
        state.group = None;
        let reason = match ended {
            _ if state.stopped => "stopped".to_owned(),
            Ok(status) if status.success() => "stop".to_owned(),
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        drop(state);
        self.end(id, &reason);
    }

    fn append_all(&self, id: &str, mut stdout: ChildStdout) {
        let mut buffer = vec![0; APPEND_BYTES];
        let mut cut = Vec::new();
        let mut count = 0_u64;
        loop {
            let read = match stdout.read(&mut buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Ok(read) => read,
                Err(_) => 0,
            };
            cut.extend_from_slice(&buffer[..read]);
            let text = whole(&mut cut, read == 0);
            if !text.is_empty() {
                count += 1;
                self.made.line(&json!({ "append": { "data": text }, "idempotency_key": format!("{id}-{count}") }));
            }
            if read == 0 {
                return;
            }
        }
    }
}

/// Starts a program in a process group of its own, so that all of it can be ended.
fn start(program: &[String]) -> std::io::Result<Child> {
    let mut command = Command::new(&program[0]);
    command.args(&program[1..]).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()
}

/// Takes the text that is whole; a character that was cut stays for the next read, unless there is none. What is not UTF-8
/// becomes the replacement character.
fn whole(bytes: &mut Vec<u8>, last: bool) -> String {
    let end = match std::str::from_utf8(bytes) {
        Err(error) if !last && error.error_len().is_none() => error.valid_up_to(),
        Err(error) if !last => {
            // What can't become a character is not waited for; what follows it may have been cut in its turn.
            let rest = &bytes[error.valid_up_to()..];
            let cut = (1..=rest.len().min(3)).find(|&n| {
                std::str::from_utf8(&rest[rest.len() - n..])
                    .is_err_and(|e| e.valid_up_to() == 0 && e.error_len().is_none())
            });
            bytes.len() - cut.unwrap_or(0)
        }
        _ => bytes.len(),
    };
    let rest = bytes.split_off(end);
    String::from_utf8_lossy(&std::mem::replace(bytes, rest)).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However a text is cut, what is taken together is the text.
        #[test]
        fn characters_are_never_cut(text in "\\PC{0,40}", at in 0_usize..160) {
            let bytes = text.as_bytes();
            let mut cut = bytes[..at.min(bytes.len())].to_vec();
            let mut taken = whole(&mut cut, false);
            cut.extend_from_slice(&bytes[at.min(bytes.len())..]);
            taken += &whole(&mut cut, true);
            prop_assert_eq!(taken, text);
        }

        /// What is no text keeps nothing waiting for ever.
        #[test]
        fn at_most_three_bytes_wait(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut cut = bytes;
            whole(&mut cut, false);
            prop_assert!(cut.len() <= 3);
            whole(&mut cut, true);
            prop_assert!(cut.is_empty());
        }
    }
}
