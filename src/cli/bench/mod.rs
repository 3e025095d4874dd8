//! `tambour bench`: a load generator over real sockets, far cheaper than the server it loads.
//!
//! The server runs in a process of its own and is looked at from outside: its CPU and memory
//! by the kernel's count, its answers by their bytes. In reading order: [`scan`] (cutting
//! streams), [`account`] (who has what), [`readers`], [`publisher`] and [`http_load`] (the
//! load), [`floor_server`] (the physical limit), [`fan`] (both next to each other), then a
//! file for each subcommand. Nothing of the hub is used here but its protocol.

mod account;
mod error;
mod fan;
mod fanout;
mod floor_server;
mod histogram;
mod http_load;
mod hub_process;
mod idle;
mod publish;
mod publisher;
mod readers;
mod replay;
mod report;
mod resume;
mod scan;
mod setup;
mod sleep;
mod small;
mod sockets;
mod tls;
mod upload;

use std::path::PathBuf;
use std::process::ExitCode;

use error::BenchError;
use report::Row;
use scan::Wire;

/// The tenant of all runs.
const TENANT: &str = "t_bench";
/// The env of all runs.
const ENV: &str = "dev";

/// Arguments of `tambour bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    mode: Mode,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Subcommand)]
enum Mode {
    /// One thread, many readers
    Fanout(fanout::FanoutArgs),
    /// Many threads, few readers each
    Small(small::SmallArgs),
    /// Memory of connections that hear nothing
    Idle(idle::IdleArgs),
    /// Durable events over HTTP
    Publish(publish::PublishArgs),
    /// Readers that come back
    Resume(resume::ResumeArgs),
    /// Many threads known, some awake
    Sleep(sleep::SleepArgs),
    /// The floor alone: one write for each reader and event
    Floor(fanout::FanoutArgs),
    /// The floor's own process; started by the others
    #[command(hide = true)]
    FloorServer(floor_server::FloorServerArgs),
}

/// Arguments of every mode.
#[derive(Debug, Clone, clap::Args)]
struct Common {
    /// Print one line of JSON instead of a table
    #[arg(long, global = true)]
    json: bool,
    /// Measure so often; figures are medians, faults the worst
    #[arg(long, global = true, default_value_t = 1)]
    runs: usize,
    /// The server's binary, if it is not this one
    #[arg(long, global = true)]
    server: Option<PathBuf>,
    /// A setting of the server, section.key=value; may be repeated
    #[arg(long, global = true)]
    set: Vec<String>,
    /// Where the servers' data is kept during a run, if not where temporary files go
    #[arg(long, global = true)]
    data: Option<PathBuf>,
    /// Threads that read what subscribers are sent
    #[arg(long, global = true, default_value_t = 1, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=64))]
    threads: usize,
}

impl Common {
    /// Whether this process may hold so many connections.
    fn room_for(&self, connections: usize) -> Result<(), BenchError> {
        let most = sockets::connections_max();
        if connections <= most {
            return Ok(());
        }
        Err(BenchError::Usage(format!(
            "{connections} connections: the limit on open files (ulimit -n) has room for {most}"
        )))
    }
}

/// Which transports a mode measures.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Transport {
    /// WebSocket
    Ws,
    /// Server-sent events
    Sse,
    /// One after the other
    Both,
}

impl Transport {
    fn wires(self) -> &'static [Wire] {
        match self {
            Self::Ws => &[Wire::Ws],
            Self::Sse => &[Wire::Sse],
            Self::Both => &[Wire::Ws, Wire::Sse],
        }
    }
}

/// Runs a measurement and prints it. The exit code is 0 when nothing was lost, doubled,
/// swapped or cut off, 1 when something was or the run failed, 2 for arguments that can't be
/// honoured.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    sockets::raise_open_files();
    if let Mode::FloorServer(floor) = &args.mode {
        return exit(floor_server::run(floor).map(|()| true));
    }
    exit(measure(args).map(|rows| {
        if args.common.json {
            println!("{}", report::json_line(&rows, args.common.runs));
        } else {
            print!("{}", report::table(&rows));
        }
        rows.iter().all(Row::sound)
    }))
}

fn exit(result: Result<bool, BenchError>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tambour bench: {error}");
            ExitCode::from(if matches!(error, BenchError::Usage(_)) { 2 } else { 1 })
        }
    }
}

fn measure(args: &Args) -> Result<Vec<Row>, BenchError> {
    let common = &args.common;
    match &args.mode {
        Mode::Fanout(fanout) => per_wire(common, fanout.transport(), |wire| Ok(vec![fanout.run(common, wire)?])),
        Mode::Small(small) => per_wire(common, small.transport(), |wire| Ok(vec![small.run(common, wire)?])),
        Mode::Idle(idle) => per_wire(common, idle.transport(), |wire| Ok(vec![idle.run(common, wire)?])),
        Mode::Resume(resume) => per_wire(common, resume.transport(), |wire| resume.run(common, wire)),
        Mode::Publish(publish) => repeated(common, || Ok(vec![publish.run(common)?])),
        Mode::Sleep(sleep) => repeated(common, || Ok(vec![sleep.run(common)?])),
        Mode::Floor(fanout) => {
            let floor = fanout.floor_only();
            per_wire(common, floor.transport(), |wire| Ok(vec![floor.run(common, wire)?]))
        }
        Mode::FloorServer(_) => Ok(Vec::new()),
    }
}

fn per_wire(
    common: &Common,
    transport: Transport,
    run: impl Fn(Wire) -> Result<Vec<Row>, BenchError>,
) -> Result<Vec<Row>, BenchError> {
    let mut rows = Vec::new();
    for wire in transport.wires() {
        rows.extend(repeated(common, || run(*wire))?);
    }
    Ok(rows)
}

/// Every row of `runs` runs, combined with its like.
fn repeated(common: &Common, run: impl Fn() -> Result<Vec<Row>, BenchError>) -> Result<Vec<Row>, BenchError> {
    let runs = (0..common.runs.max(1)).map(|_| run()).collect::<Result<Vec<_>, _>>()?;
    let rows = runs.first().map_or(0, Vec::len);
    Ok((0..rows)
        .filter_map(|at| report::combine(&runs.iter().map(|run| run[at].clone()).collect::<Vec<_>>()))
        .collect())
}
