//! A program that is run: its input, its output as text while it comes, and its end, with that of whatever it started.
//!
//! It knows nothing of hubs and events.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use mio::unix::pipe;
use mio::{Events, Interest, Poll, Token, Waker};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tambour_actors::event::DATA_BYTES_MAX;

/// Most output that is given on at once, in bytes: as JSON it may be six times as long, and is one append.
const PIECE_BYTES: usize = DATA_BYTES_MAX / 8;
const OUTPUT: Token = Token(0);
const ENDED: Token = Token(1);

/// A program and its arguments; there is at least the program.
#[derive(Clone)]
pub(super) struct Program(pub(super) Vec<String>);

/// The process group of a program that runs; whoever has it may end all of it.
#[derive(Clone, Default)]
pub(super) struct Group(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    leader: Option<Pid>,
    is_killed: bool,
}

impl Group {
    /// Ends the program and whatever it started that did not leave its group; one that is not started yet, too.
    pub(super) fn kill(&self) {
        let mut state = self.0.lock();
        state.is_killed = true;
        if let Some(leader) = state.leader {
            // It may have ended by itself.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }

    /// Whether somebody ended it.
    pub(super) fn is_killed(&self) -> bool {
        self.0.lock().is_killed
    }

    /// The program is started. Nobody could end it before.
    fn begins(&self, leader: Pid) {
        let mut state = self.0.lock();
        state.leader = Some(leader);
        if state.is_killed {
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }

    /// Waits for the program's end, ends what it left behind, and only then lets go of its number, which another process
    /// may get.
    fn waits(&self, child: &mut Child, leader: Pid) -> io::Result<ExitStatus> {
        let waited = loop {
            match waitid(WaitId::Pid(leader), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
                Err(rustix::io::Errno::INTR) => {}
                waited => break waited,
            }
        };
        let mut state = self.0.lock();
        let _ = kill_process_group(leader, Signal::KILL);
        state.leader = None;
        waited?;
        child.wait()
    }
}

impl Program {
    /// Runs it to its end. `take` gets its output as it comes, in whole characters, and says whether more is wanted; what is
    /// not UTF-8 becomes the replacement character. What is written by somebody who outlives the program is not waited for.
    ///
    /// # Errors
    /// It can't be started or read.
    pub(super) fn run(
        &self,
        text: String,
        group: &Group,
        mut take: impl FnMut(String) -> bool,
    ) -> io::Result<ExitStatus> {
        let mut child = self.start()?;
        let leader = Pid::from_child(&child);
        group.begins(leader);
        if let Some(mut stdin) = child.stdin.take() {
            // A program that reads nothing is none the worse for it.
            std::thread::spawn(move || stdin.write_all(text.as_bytes()));
        }
        let stdout = child.stdout.take().ok_or(ErrorKind::BrokenPipe)?;
        let mut output = pipe::Receiver::from(stdout);
        output.set_nonblocking(true)?;
        let mut poll = Poll::new()?;
        poll.registry().register(&mut output, OUTPUT, Interest::READABLE)?;
        let ended = Waker::new(poll.registry(), ENDED)?;
        let waiting = {
            let group = group.clone();
            std::thread::spawn(move || {
                let status = group.waits(&mut child, leader);
                ended.wake().and(status)
            })
        };
        let read = give_on(&mut poll, &mut output, &mut take);
        if !matches!(read, Ok(true)) {
            group.kill();
        }
        let status = waiting.join().unwrap_or_else(|_| Err(ErrorKind::Other.into()));
        read.and(status)
    }

    /// Starts it in a process group of its own, so that all of it can be ended, and without what is the hub's.
    fn start(&self) -> io::Result<Child> {
        let mut command = Command::new(&self.0[0]);
        command.args(&self.0[1..]).process_group(0);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TAMBOUR")) {
            command.env_remove(name);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()
    }
}

/// Gives on what comes until there is no more, or the program has ended and what it wrote is read. `false`: no more is wanted.
fn give_on(poll: &mut Poll, output: &mut pipe::Receiver, take: &mut impl FnMut(String) -> bool) -> io::Result<bool> {
    let (mut events, mut buffer, mut cut) = (Events::with_capacity(2), vec![0; PIECE_BYTES], Vec::new());
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let mut is_over = events.iter().any(|event| event.token() == ENDED);
        loop {
            match output.read(&mut buffer) {
                Ok(0) => is_over = true,
                Ok(read) => {
                    cut.extend_from_slice(&buffer[..read]);
                    let text = whole(&mut cut, false);
                    if !text.is_empty() && !take(text) {
                        return Ok(false);
                    }
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            break;
        }
        if is_over {
            let text = whole(&mut cut, true);
            return Ok(text.is_empty() || take(text));
        }
    }
}

/// Takes the text that is whole; a character that was cut stays for the next read, unless there is none. What is not UTF-8
/// becomes the replacement character.
fn whole(bytes: &mut Vec<u8>, last: bool) -> String {
    let end = match std::str::from_utf8(bytes) {
        Err(error) if !last && error.error_len().is_none() => error.valid_up_to(),
        Err(error) if !last => {
            // What can't become a character is not waited for; what follows it may have been cut in its turn.
            let rest = &bytes[error.valid_up_to()..];
            let is_cut =
                |tail: &[u8]| std::str::from_utf8(tail).is_err_and(|e| e.valid_up_to() == 0 && e.error_len().is_none());
            let cut = (1..=rest.len().min(3)).find(|&n| is_cut(&rest[rest.len() - n..]));
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

    /// What a shell script writes, and how it ended.
    fn script(script: &str, input: &str) -> (String, io::Result<ExitStatus>) {
        let program = Program(["sh", "-c", script].map(str::to_owned).to_vec());
        let mut said = String::new();
        let ended = program.run(input.to_owned(), &Group::default(), |text| {
            said += &text;
            true
        });
        (said, ended)
    }

    #[test]
    fn all_that_it_writes_comes_and_its_end() {
        let (said, ended) = script("cat; printf ' and \\303'; printf '\\274 \\377'; exit 3", "in");
        assert_eq!((said.as_str(), ended.unwrap().code()), ("in and ü \u{fffd}", Some(3)));
        assert!(Program(vec!["/no/such/program".to_owned()]).run(String::new(), &Group::default(), |_| true).is_err());
    }

    #[test]
    fn who_outlives_it_is_ended_or_not_waited_for() {
        let (said, ended) = script("sleep 1000 & echo done", "");
        assert!(said == "done\n" && ended.unwrap().success());
        // Who leaves the group is not ended, and is not waited for either. It ends when its input does.
        let (said, ended) = script("exec 3<&0; setsid cat <&3 & echo done", "");
        assert!(said == "done\n" && ended.unwrap().success());
    }

    #[test]
    fn who_was_ended_before_it_began_ends_at_once_and_so_does_whose_output_is_not_wanted() {
        let (group, program) = (Group::default(), Program(["sleep", "1000"].map(str::to_owned).to_vec()));
        group.kill();
        assert!(!program.run(String::new(), &group, |_| true).unwrap().success() && group.is_killed());
        let (group, program) = (Group::default(), Program(vec!["yes".to_owned()]));
        assert!(!program.run(String::new(), &group, |_| false).unwrap().success() && group.is_killed());
    }

    #[test]
    fn nothing_of_the_hub_is_in_its_environment() {
        // Cargo names the binary for the tests of this package by such a variable.
        let (said, _) = script("env", "");
        assert!(said.contains("PATH=") && !said.contains("TAMBOUR"), "{said}");
    }

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
