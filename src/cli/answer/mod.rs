//! `tambour answer thread/x -- PROGRAM`: what is said in the thread is answered by what a program writes, as it writes it.
//!
//! Each question is one run of the program: the text on its standard input, its standard output one event that grows
//! (docs/token-streams.md). An event `stop` ends the run. Nothing here makes a request: a run does.

mod made;
mod run;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Deserialize;

use self::run::Run;
use super::CliError;
use super::follow::{Follower, Following, Step, note};
use super::names::{TopicName, topic};
use super::remote::{Hub, Remote};
use super::sse_parser::SseEvent;

/// Questions that are answered at the same time; what is asked beyond is told `busy`.
const RUNS_MAX: usize = 8;

/// Arguments of `tambour answer`.
#[derive(Debug, clap::Args)]
pub struct AnswerArgs {
    /// Where to listen: thread/{id} or canvas/{id}
    #[arg(value_name = "TOPIC", value_parser = topic)]
    pub topic: TopicName,
    /// What answers: reads a text from its standard input, writes the answer to its standard output
    #[arg(value_name = "PROGRAM", last = true, required = true, num_args = 1..)]
    pub program: Vec<String>,
    /// Where the hub is, and as whom it is asked.
    #[command(flatten)]
    pub remote: Remote,
}

/// Answers what is said from now on, until the topic is closed or deleted.
///
/// # Errors
/// What [`Following::run`] fails with.
pub fn run(mut args: AnswerArgs) -> Result<(), CliError> {
    if args.remote.sub == "cli" {
        // Who made no other name for it is not the one who asks.
        "model".clone_into(&mut args.remote.sub);
    }
    let hub = Arc::new(Hub::new(&args.remote)?);
    let path = args.topic.events();
    let answering = Answering { topic: args.topic, program: args.program, hub: hub.clone(), runs: Runs::default() };
    Following::new(answering).run(&hub, &path, &[])
}

/// The runs under way, by the id that their events have.
type Runs = Arc<Mutex<HashMap<String, Run>>>;

struct Answering {
    topic: TopicName,
    program: Vec<String>,
    hub: Arc<Hub>,
    runs: Runs,
}

/// What is read of an event.
#[derive(Deserialize)]
struct Said {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    data: serde_json::Value,
}

impl Said {
    fn text(&self, member: &str) -> Option<&str> {
        self.data.get(member)?.as_str()
    }
}

impl Follower for Answering {
    fn event(&mut self, event: &SseEvent) -> Result<Step, CliError> {
        let Ok(said) = serde_json::from_str::<Said>(&event.data) else { return Ok(Step::GoOn) };
        match said.kind.as_str() {
            // What a model says is no question, or two of them would never stop.
            "chat_message" if said.text("role") != Some("assistant") => self.ask(&said),
            "message" => {
                if let Some(run) = said.text("run_id").and_then(|id| self.runs.lock().get(id).cloned()) {
                    run.is_shown_as(&said.id);
                }
            }
            "stop" => {
                let stopped = said.text("event_id").unwrap_or_default();
                self.runs.lock().values().filter(|run| run.is(stopped)).for_each(Run::stop);
            }
            _ => {}
        }
        Ok(Step::GoOn)
    }

    fn live(&mut self) {
        note(&format!("answering in {}", self.topic));
    }
}

impl Answering {
    fn ask(&self, said: &Said) {
        let Some(text) = said.text("text") else { return };
        let id = format!("run-{}", said.id);
        let mut runs = self.runs.lock();
        if runs.contains_key(&id) {
            return;
        }
        let run = if runs.len() < RUNS_MAX {
            Run::of(&id, &self.program, text)
        } else {
            Run::refused(&id, &format!("{RUNS_MAX} questions are being answered already; ask again later"))
        };
        runs.insert(id.clone(), run.clone());
        let (hub, path, runs) = (self.hub.clone(), self.topic.events(), self.runs.clone());
        std::thread::spawn(move || {
            run.publish(&hub, &path);
            runs.lock().remove(&id);
        });
    }
}
