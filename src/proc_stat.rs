//! What a process costs, as the kernel counts it: CPU and resident memory, of this process or of one that is measured from
//! outside, and the one clock that all processes of a run share. Never asks the process itself.

use std::fs;

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of the machine's monotonic clock: comparable between processes.
pub(crate) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

/// CPU that this process has used, with all its threads, ended ones too, in nanoseconds.
pub(crate) fn own_cpu_ns() -> u64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec.cast_unsigned() * 1_000_000_000 + used.tv_nsec.cast_unsigned()
}

/// CPU that a process has used up to some moment.
#[derive(Debug, Clone)]
pub(crate) struct CpuMark {
    /// Nanoseconds of each live thread, by thread id.
    threads: Vec<(u32, u64)>,
    /// User and system time of the process with all its threads, ended ones too, in ticks of
    /// (mostly) 10 ms.
    ticks_ns: u64,
}

impl CpuMark {
    /// Reads the marks of a process.
    ///
    /// # Errors
    /// When the process is gone.
    pub(crate) fn of(pid: u32) -> std::io::Result<Self> {
        let mut threads = Vec::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            let entry = entry?;
            // A thread may end between the listing and the reading.
            let Ok(text) = fs::read_to_string(entry.path().join("schedstat")) else { continue };
            let id = entry.file_name().to_string_lossy().parse().unwrap_or_default();
            let ns = text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_default();
            threads.push((id, ns));
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let tick_ns = 1_000_000_000 / rustix::param::clock_ticks_per_second();
        Ok(Self { threads, ticks_ns: ticks(&stat).unwrap_or_default() * tick_ns })
    }

    /// Nanoseconds used between two marks: to the nanosecond when no thread of the first has
    /// ended, else to the tick.
    pub(crate) fn until(&self, later: &Self) -> u64 {
        let mut earlier_ns = 0;
        for (id, ns) in &self.threads {
            if !later.threads.iter().any(|(other, _)| other == id) {
                return later.ticks_ns.saturating_sub(self.ticks_ns);
            }
            earlier_ns += ns;
        }
        later.threads.iter().map(|(_, ns)| ns).sum::<u64>().saturating_sub(earlier_ns)
    }
}

/// CPU of a server and of the generator that loads it, over the same time.
pub(crate) struct Meter {
    pid: u32,
    server: CpuMark,
    load: CpuMark,
}

/// What a [`Meter`] has measured.
pub(crate) struct Spent {
    /// By the server, all its threads.
    pub(crate) server_ns: u64,
    /// By this process, all its threads.
    pub(crate) load_ns: u64,
}

impl Meter {
    /// Begins to count.
    ///
    /// # Errors
    /// When the server is gone.
    pub(crate) fn start(pid: u32) -> std::io::Result<Self> {
        Ok(Self { pid, server: CpuMark::of(pid)?, load: CpuMark::of(std::process::id())? })
    }

    /// What was spent since the start.
    ///
    /// # Errors
    /// When the server is gone.
    pub(crate) fn stop(self) -> std::io::Result<Spent> {
        let server_ns = self.server.until(&CpuMark::of(self.pid)?);
        Ok(Spent { server_ns, load_ns: self.load.until(&CpuMark::of(std::process::id())?) })
    }
}

/// `utime` and `stime` of a line of `/proc/PID/stat`; the name in it may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Resident memory of a process in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// All of it.
    pub(crate) rss: u64,
    /// Its anonymous part: heap and stacks, without files that are mapped.
    pub(crate) anon: u64,
}

impl Memory {
    /// Reads the memory of a process.
    ///
    /// # Errors
    /// When the process is gone.
    pub(crate) fn of(pid: u32) -> std::io::Result<Self> {
        Ok(Self::parse(&fs::read_to_string(format!("/proc/{pid}/status"))?))
    }

    fn parse(status: &str) -> Self {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim_end_matches("kB").trim().parse::<u64>().ok().map(|kib| kib * 1024)
        };
        Self { rss: field("VmRSS:").unwrap_or_default(), anon: field("RssAnon:").unwrap_or_default() }
    }

    /// How much it has grown since `before`, each part; negative when it shrank.
    pub(crate) fn growth(self, before: Self) -> (f64, f64) {
        (self.rss as f64 - before.rss as f64, self.anon as f64 - before.anon as f64)
    }

    /// The larger of both, each part.
    pub(crate) fn max(self, other: Self) -> Self {
        Self { rss: self.rss.max(other.rss), anon: self.anon.max(other.anon) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        assert_eq!(ticks("12 (a b) c) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0"), Some(42));
        assert_eq!(ticks("12 (tambour"), None);
        let memory = Memory::parse("Name:\tx\nVmRSS:\t    1732 kB\nRssAnon:\t     116 kB\n");
        assert_eq!(memory, Memory { rss: 1732 * 1024, anon: 116 * 1024 });
    }

    #[test]
    fn an_ended_thread_is_counted_by_ticks() {
        let mark = |threads: &[(u32, u64)], ticks_ns| CpuMark { threads: threads.to_vec(), ticks_ns };
        let before = mark(&[(1, 100), (2, 50)], 1_000);
        for (after, used) in [
            (mark(&[(1, 110), (2, 55)], 9_000), 15),
            (mark(&[(1, 110), (2, 50), (3, 7)], 9_000), 17),
            (mark(&[(1, 110)], 9_000), 8_000),
        ] {
            assert_eq!(before.until(&after), used);
        }
    }

    #[test]
    fn work_is_seen_from_outside() {
        let pid = std::process::id();
        let before = CpuMark::of(pid).unwrap();
        let start = now_ns();
        while before.until(&CpuMark::of(pid).unwrap()) < 1_000_000 {
            assert!(now_ns() - start < 20_000_000_000, "a busy process has no CPU time");
        }
        assert!(Memory::of(pid).unwrap().rss > 0);
        assert!(own_cpu_ns() >= 1_000_000, "it sees it itself, too");
    }
}
