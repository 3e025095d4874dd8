//! `tambour answer thread/x -- PROGRAM`: what is said in the thread is answered by what a program writes, as it writes it.
//!
//! Each question is one run of the program: the text on its standard input, its standard output one event that grows
//! (docs/token-streams.md). An event `stop` ends the run. Nothing here makes a request or starts a program: a run does.

mod made;
mod program;
mod run;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Deserialize;

use self::program::Program;
use self::run::Run;
use super::CliError;
use super::follow::{Follower, Following, Step, note};
use super::names::{TopicName, topic};
use super::remote::{Hub, Remote};
use super::signals::told_to_stop;
use super::sse_parser::SseEvent;

/// Questions that are answered at the same time; what is asked beyond is told so at once.
const RUNS_MAX: usize = 8;
/// Stops that are remembered: one may be read before its run knows how its event is called.
const STOPS_KEPT: usize = 64;
/// How long the runs have to say how they ended, when all of it is told to end.
const GOODBYE: Duration = Duration::from_secs(3);

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

/// Answers what is said from now on, until the topic is closed or deleted, or the process is told to stop.
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
    let runs = Runs::default();
    let program = Arc::new(Program(args.program));
    let answering = Answering { topic: args.topic, program, hub: hub.clone(), runs: runs.clone() };
    end_with_the_process(runs.clone());
    let followed = Following::new(answering).run(&hub, &path, &[]);
    runs.end();
    followed
}

/// The runs under way, by the id that their events have, and the events that were asked to stop.
#[derive(Clone, Default)]
struct Runs {
    running: Arc<Mutex<HashMap<String, Run>>>,
    stops: Arc<Mutex<VecDeque<String>>>,
}

impl Runs {
    fn stop(&self, event_id: &str) {
        let mut stops = self.stops.lock();
        stops.push_back(event_id.to_owned());
        if stops.len() > STOPS_KEPT {
            stops.pop_front();
        }
        drop(stops);
        self.running.lock().values().filter(|run| run.is(event_id)).for_each(Run::stop);
    }

    fn was_stopped(&self, event_id: &str) -> bool {
        self.stops.lock().iter().any(|stopped| stopped == event_id)
    }

    /// Ends all of them, and lets them say so.
    fn end(&self) {
        self.running.lock().values().for_each(Run::stop);
        let until = Instant::now() + GOODBYE;
        while !self.running.lock().is_empty() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// No program outlives the process that started it, however that is told to end.
fn end_with_the_process(runs: Runs) {
    let told = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    std::thread::spawn(move || {
        let Ok(runtime) = told() else { return };
        runtime.block_on(told_to_stop(false));
        runs.end();
        std::process::exit(0);
    });
}

struct Answering {
    topic: TopicName,
    program: Arc<Program>,
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
        match (said.kind.as_str(), said.text("text"), said.text("event_id")) {
            // What a model says is no question, or two of them would never stop.
            ("chat_message", Some(text), _) if said.text("role") != Some("assistant") => self.ask(&said.id, text),
            ("stop", _, Some(event_id)) => self.runs.stop(event_id),
            _ => {}
        }
        Ok(Step::GoOn)
    }

    fn live(&mut self) {
        note(&format!("answering in {}", self.topic));
    }
}

impl Answering {
    fn ask(&self, question: &str, text: &str) {
        let id = format!("run-{question}");
        let mut running = self.runs.running.lock();
        if running.contains_key(&id) {
            return;
        }
        let run = Run::new(&id);
        if running.len() >= RUNS_MAX {
            drop(running);
            return run.refuse(&self.hub, &self.topic.events(), &format!("{RUNS_MAX} answers are under way already"));
        }
        running.insert(id.clone(), run.clone());
        let (hub, path, runs) = (self.hub.clone(), self.topic.events(), self.runs.clone());
        let (program, text) = (self.program.clone(), text.to_owned());
        std::thread::spawn(move || {
            run.answer(&hub, &path, &program, text, |event_id| runs.was_stopped(event_id));
            runs.running.lock().remove(&id);
        });
    }
}
