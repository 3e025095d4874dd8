//! The harness: inputs for a target, from its corpus and from changes of it, and what to do when one fails.
//!
//! It knows nothing of what is parsed. What it does is decided by a seed, so a run can be repeated.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{cell, env, fs, panic, sync};

/// Inputs of a short run, beside those of the corpus.
const SHORT_INPUTS: usize = 5_000;
/// What they have together, at most, in bytes.
const SHORT_BYTES: usize = 32 * 1024 * 1024;
/// How long a long run takes, for each target.
const LONG: Duration = Duration::from_secs(60);
/// The seed of short runs: the same one always, so that a run that was green stays green.
const SEED: u64 = 0x7461_6d62_6f75_7200;
/// Most inputs that are kept because they led somewhere new.
const POOL_MAX: usize = 2_000;
/// How long a failing input is made smaller.
const SHRINK: Duration = Duration::from_secs(5);

/// How much of a failing input is printed; its file has all of it.
const SHOWN_BYTES_MAX: usize = 2_048;

/// Something that is fuzzed.
pub(crate) struct Target {
    /// Its name, and that of its folder in the corpus.
    pub(crate) name: &'static str,
    /// What its inputs are made of.
    pub(crate) words: &'static [&'static [u8]],
    /// Longest input.
    pub(crate) bytes_max: usize,
    /// Panics when something does not hold; else says what became of the input, in few words. An input that comes to something
    /// new is kept, and changed in its turn.
    pub(crate) check: fn(&[u8]) -> String,
}

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound.max(1) as u64).unwrap()
    }
}

/// Runs everything of a target's corpus, then changes of it: so many, or with `TAMBOUR_SOAK=1` for a minute with a seed that
/// nobody had before. `TAMBOUR_SEED` repeats one.
pub(crate) fn run(target: &Target) {
    let corpus = corpus(target.name);
    assert!(!corpus.is_empty(), "{} has no corpus", target.name);
    let mut seen = HashSet::new();
    let mut pool = Vec::new();
    for input in corpus {
        seen.insert(attempt(target, &input, None));
        pool.push(input);
    }
    let soak = env::var_os("TAMBOUR_SOAK").is_some_and(|value| value == "1");
    let said = env::var("TAMBOUR_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = said.unwrap_or_else(|| if soak { fresh() } else { SEED });
    let mut random = Random(seed);
    let began = Instant::now();
    let (mut inputs, mut bytes) = (0, 0);
    while if soak { began.elapsed() < LONG } else { inputs < SHORT_INPUTS && bytes < SHORT_BYTES } {
        let input = changed(&mut random, &pool, target);
        (inputs, bytes) = (inputs + 1, bytes + input.len());
        let outcome = attempt(target, &input, Some(seed));
        if seen.insert(outcome) && pool.len() < POOL_MAX {
            pool.push(input);
        }
    }
    println!("{}: {inputs} inputs came to {} things in {:?}", target.name, seen.len(), began.elapsed());
}

/// Runs something and fails when it holds more memory at one moment than it may.
pub(crate) fn within<T>(bytes_max: usize, run: impl FnOnce() -> T) -> T {
    let mut result = None;
    // What counts can't be left by a panic.
    let counted = allocation_counter::measure(|| result = Some(catch_unwind(AssertUnwindSafe(run))));
    let value = result.expect("it has run").unwrap_or_else(|panic| resume_unwind(panic));
    assert!(counted.bytes_max <= bytes_max as u64, "held {} bytes, and may hold {bytes_max}", counted.bytes_max);
    value
}

/// Cuts that an input itself says, so that who looks for cuts that matter changes it: pieces of 0 to 255 bytes, by the
/// bytes of `rhythm` in turn.
pub(crate) fn cut<'a>(rhythm: &[u8], mut rest: &'a [u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut steps = rhythm.iter().cycle();
    while !rest.is_empty() {
        // Two of nothing one behind the other would never end.
        let step = usize::from(*steps.next().unwrap_or(&255));
        let step = if step == 0 && pieces.last().is_none_or(|piece: &&[u8]| piece.is_empty()) { 1 } else { step };
        let (piece, behind) = rest.split_at(step.min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

/// The first line of an input, and what is behind it.
pub(crate) fn head(input: &[u8]) -> (&[u8], &[u8]) {
    let at = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    (&input[..at], input.get(at + 1..).unwrap_or_default())
}

fn fresh() -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one((std::process::id(), std::time::SystemTime::now()))
}

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name)
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(place(name)).unwrap_or_else(|error| panic!("the corpus of {name}: {error}"));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// One input. One that fails is made smaller, printed and written to a file, and fails the test.
fn attempt(target: &Target, input: &[u8], seed: Option<u64>) -> String {
    let first = match quietly(|| (target.check)(input)) {
        Ok(outcome) => return outcome,
        Err(first) => first,
    };
    let small = shrunk(target, input.to_vec());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{:x}", target.name, name_of(&small)));
    fs::write(&path, &small).unwrap();
    let shown = &small[..small.len().min(SHOWN_BYTES_MAX)];
    eprintln!("{} fails (seed {seed:?}) with {} bytes:\nb\"{}\"", target.name, small.len(), shown.escape_ascii());
    eprintln!("add {} to {} when it is mended", path.display(), place(target.name).display());
    // Said loudly, once, with the place.
    (target.check)(&small);
    resume_unwind(first)
}

fn name_of(input: &[u8]) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(input)
}

/// The same failure, or another, with less.
fn shrunk(target: &Target, mut input: Vec<u8>) -> Vec<u8> {
    let (began, mut step) = (Instant::now(), input.len() / 2);
    while step > 0 {
        let (mut at, mut smaller) = (0, false);
        while at < input.len() && began.elapsed() < SHRINK {
            let mut less = input.clone();
            less.drain(at..(at + step).min(input.len()));
            if quietly(|| (target.check)(&less)).is_err() {
                (input, smaller) = (less, true);
            } else {
                at += step;
            }
        }
        if !smaller {
            step /= 2;
        }
    }
    input
}

/// Catches a panic without a word of it.
fn quietly<T>(run: impl FnOnce() -> T) -> std::thread::Result<T> {
    thread_local!(static QUIET: cell::Cell<bool> = const { cell::Cell::new(false) });
    static HOOK: sync::Once = sync::Once::new();
    HOOK.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |panicked| {
            if !QUIET.get() {
                loud(panicked);
            }
        }));
    });
    QUIET.set(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    QUIET.set(false);
    result
}

/// An input of the pool after one to five changes, mostly few.
fn changed(random: &mut Random, pool: &[Vec<u8>], target: &Target) -> Vec<u8> {
    let mut input = pool[random.below(pool.len())].clone();
    let most = random.below(5) + 1;
    let changes = random.below(most);
    for _ in 0..=changes {
        change(random, &mut input, pool, target);
    }
    input.truncate(target.bytes_max);
    input
}

fn change(random: &mut Random, input: &mut Vec<u8>, pool: &[Vec<u8>], target: &Target) {
    let at = random.below(input.len() + 1);
    let end = at + random.below((input.len() - at + 1).min(64));
    match random.below(10) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => {
            let telling = b"\0\n\r\"\\{}[]:,.~=%\xff\x7f\x80 -09azAZ_";
            input[at] = telling[random.below(telling.len())];
        }
        2 => input.insert(at, u8::try_from(random.below(256)).unwrap()),
        3 => drop(input.drain(at..end)),
        4 | 5 if !target.words.is_empty() => {
            let word = target.words[random.below(target.words.len())];
            let at = beside_a_delimiter(random, input).unwrap_or(at);
            input.splice(at..at, word.iter().copied());
        }
        6 if !target.words.is_empty() => {
            let word = target.words[random.below(target.words.len())];
            input.splice(at..end, word.iter().copied());
        }
        7 => {
            let other = &pool[random.below(pool.len())];
            let from = random.below(other.len() + 1);
            input.splice(at.., other[from..].iter().copied());
        }
        8 => {
            let piece = input[at..end].to_vec();
            input.splice(at..at, piece);
        }
        // Seldom something large: what is bounded must be met.
        9 if random.below(20) == 0 && at < end => {
            let piece = input[at..end].to_vec();
            let times = random.below(target.bytes_max / piece.len() + 1);
            input.splice(at..at, piece.repeat(times));
        }
        _ => input.truncate(at),
    }
}

/// A place before or behind something that separates parts, where a whole part may stand.
fn beside_a_delimiter(random: &mut Random, input: &[u8]) -> Option<usize> {
    let places: Vec<_> = (0..input.len()).filter(|at| b"{}[]\",:&;.\n ".contains(&input[*at])).collect();
    (!places.is_empty()).then(|| places[random.below(places.len())] + random.below(2))
}
