//! A TCP proxy that does to connections what networks do: cuts, half-closes, stalls, delays and crumbs, at bytes
//! that a seed decides.
//!
//! It never changes, drops or swaps a byte of a connection that goes on. It heals by itself, so that whatever goes
//! through it comes to an end.

use std::io::ErrorKind;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::future::try_join;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::support::WITHIN;
use crate::support::random::Random;

/// Most bytes that are read at once.
const PIECE_BYTES: u64 = 16 * 1024;
/// What the kernel keeps of what comes and was not read yet: what more is sent stays with the sender.
const BUFFER_BYTES: usize = 32 * 1024;
/// Most bytes that crumble in one fault.
const CRUMBLING_BYTES_MAX: u64 = 2_000;
/// Most pieces that are delayed in one fault.
const DELAYED_PIECES_MAX: u64 = 20;
/// How late a delayed piece is, at most.
const DELAY_MS_MAX: u64 = 10;
/// How long what still comes is read and thrown away after a clean cut, so that it is not seen as a reset.
const LINGER: Duration = Duration::from_millis(200);

/// What is done to one direction of connections, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    /// What happens, all as often.
    pub(crate) kinds: &'static [Fault],
    /// Between two faults of a direction lie at most 2 to this power bytes, all orders of magnitude alike.
    pub(crate) gap_bits: u64,
    /// How long nothing passes in a stall, or before a drop, at most.
    pub(crate) pause_ms_max: u64,
    /// Then there are no more faults.
    pub(crate) heal_after: Duration,
}

/// Nothing is done.
pub(crate) const CALM: Faults = Faults { kinds: &[], gap_bits: 0, pause_ms_max: 0, heal_after: Duration::ZERO };

/// What happens to one direction of a connection, behind a byte that the seed chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Both sides see a reset.
    Reset,
    /// Both sides see the end.
    Finish,
    /// Who receives sees the end, and may go on to send.
    HalfClose,
    /// Nothing passes for a while.
    Stall,
    /// The next pieces come late, one by one.
    Delay,
    /// The next bytes come in tiny segments.
    Crumbs,
    /// The next bytes come in tiny segments with a pause before each.
    Drip,
}

/// What a bad network does. Who drips is slow on purpose.
pub(crate) const BAD: &[Fault] =
    &[Fault::Reset, Fault::Finish, Fault::HalfClose, Fault::Stall, Fault::Delay, Fault::Crumbs];

/// Why both directions of a connection end at once.
enum Cut {
    Reset,
    Finish,
}

/// How often there was what.
#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    faults: [AtomicU64; Fault::Drip as usize + 1],
}

/// A proxy in front of one hub. Runs until it is dropped.
pub(crate) struct FaultProxy {
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    counts: Arc<Counts>,
    kinds: [&'static [Fault]; 2],
    thread: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// Starts a proxy in front of `hub`, which need not be there all the time. `up` is done to what clients send,
    /// `down` to what they receive.
    pub(crate) fn start(hub: SocketAddr, up: Faults, down: Faults, random: &mut Random) -> Self {
        let (ready, readied) = mpsc::channel();
        let stop = watch::channel(false).0;
        let counts = Arc::new(Counts::default());
        let door =
            Door { hub, up, down, random: Random::from(1 + random.below(u64::from(u32::MAX))), counts: counts.clone() };
        let mut stopped = stop.subscribe();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                ready.send(listener.local_addr().unwrap()).unwrap();
                let open = tokio::spawn(door.open(listener));
                // Told or dropped: both mean to stop.
                let _ = stopped.wait_for(|stop| *stop).await;
                open.abort();
            });
        });
        let kinds = [up.kinds, down.kinds];
        let addr = readied.recv_timeout(WITHIN).expect("the proxy starts");
        Self { addr, stop, counts, kinds, thread: Some(thread) }
    }

    /// Where clients connect.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many connections there were, and how many of them it broke; fails if some fault never happened.
    #[track_caller]
    pub(crate) fn toll(&self) -> (u64, u64) {
        let count = |fault: Fault| self.counts.faults[fault as usize].load(Ordering::Relaxed);
        for fault in self.kinds.into_iter().flatten() {
            assert!(count(*fault) > 0, "{fault:?} was never tried");
        }
        let broken = count(Fault::Reset) + count(Fault::Finish) + count(Fault::HalfClose);
        (self.counts.connections.load(Ordering::Relaxed), broken)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the proxy panicked");
        }
    }
}

/// Where connections come in.
struct Door {
    hub: SocketAddr,
    up: Faults,
    down: Faults,
    random: Random,
    counts: Arc<Counts>,
}

impl Door {
    async fn open(mut self, listener: TcpListener) {
        let healed = [self.up, self.down].map(|faults| {
            let (heal, healed) = watch::channel(faults.heal_after.is_zero());
            tokio::spawn(async move {
                tokio::time::sleep(faults.heal_after).await;
                heal.send_replace(true);
            });
            healed
        });
        while let Ok((client, _)) = listener.accept().await {
            self.counts.connections.fetch_add(1, Ordering::Relaxed);
            let [up, down] =
                [(self.up, &healed[0]), (self.down, &healed[1])].map(|(f, healed)| self.weather(f, healed));
            tokio::spawn(connect(client, self.hub, up, down));
        }
    }

    fn weather(&mut self, faults: Faults, healed: &watch::Receiver<bool>) -> Weather {
        let random = Random::from(1 + self.random.below(u64::from(u32::MAX)));
        let (healed, counts) = (healed.clone(), self.counts.clone());
        let mut weather = Weather { random, faults, healed, counts, left: 0, late: 0, crumbling: 0, dripping: false };
        weather.brew();
        weather
    }
}

async fn connect(client: TcpStream, hub: SocketAddr, up: Weather, down: Weather) {
    let Ok(hub) = TcpStream::connect(hub).await else { return reset(&client) };
    for socket in [&client, &hub] {
        // Tiny writes are to be tiny segments, and who waits here is not to wait in a large buffer.
        let _ = socket.set_nodelay(true);
        let _ = SockRef::from(socket).set_recv_buffer_size(BUFFER_BYTES);
    }
    match try_join(up.carry(&client, &hub), down.carry(&hub, &client)).await {
        Ok(_) => {}
        Err(Cut::Reset) => [&client, &hub].into_iter().for_each(reset),
        Err(Cut::Finish) => {
            for socket in [&client, &hub] {
                let _ = SockRef::from(socket).shutdown(Shutdown::Write);
            }
            let _ = timeout(LINGER, try_join(swallow(&client), swallow(&hub))).await;
        }
    }
}

/// The socket is closed with a reset when it is dropped.
fn reset(socket: &TcpStream) {
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

async fn swallow(socket: &TcpStream) -> Result<(), Cut> {
    let mut piece = [0; 1024];
    while read(socket, &mut piece).await? > 0 {}
    Ok(())
}

async fn read(from: &TcpStream, piece: &mut [u8]) -> Result<usize, Cut> {
    loop {
        from.readable().await.map_err(|_| Cut::Reset)?;
        match from.try_read(piece) {
            Ok(read) => return Ok(read),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return Err(Cut::Reset),
        }
    }
}

async fn write(to: &TcpStream, mut piece: &[u8]) -> Result<(), Cut> {
    while !piece.is_empty() {
        to.writable().await.map_err(|_| Cut::Reset)?;
        match to.try_write(piece) {
            Ok(written) => piece = &piece[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return Err(Cut::Reset),
        }
    }
    Ok(())
}

/// One direction of one connection, and what becomes of it.
struct Weather {
    random: Random,
    faults: Faults,
    healed: watch::Receiver<bool>,
    counts: Arc<Counts>,
    /// Bytes until the next fault.
    left: u64,
    /// Pieces that are still delayed.
    late: u64,
    /// Bytes that still crumble.
    crumbling: u64,
    /// They come with pauses.
    dripping: bool,
}

impl Weather {
    /// Decides when there is the next fault.
    fn brew(&mut self) {
        let bits = self.random.below(self.faults.gap_bits + 1);
        self.left = 1 + self.random.below(1 << bits);
    }

    fn is_healed(&self) -> bool {
        *self.healed.borrow()
    }

    /// Passes on what comes, to the end of this direction.
    async fn carry(mut self, from: &TcpStream, to: &TcpStream) -> Result<(), Cut> {
        let mut piece = [0; PIECE_BYTES as usize];
        loop {
            if self.left == 0 && !self.is_healed() && self.strike(to).await? {
                return Ok(());
            }
            let most = if self.is_healed() { PIECE_BYTES } else { self.left.min(PIECE_BYTES) };
            let came = read(from, &mut piece[..usize::try_from(most).unwrap()]).await?;
            if came == 0 {
                // Who receives may have gone already.
                let _ = SockRef::from(to).shutdown(Shutdown::Write);
                return Ok(());
            }
            self.left = self.left.saturating_sub(came as u64);
            self.deliver(to, &piece[..came]).await?;
        }
    }

    async fn deliver(&mut self, to: &TcpStream, mut piece: &[u8]) -> Result<(), Cut> {
        if self.late > 0 {
            self.late -= 1;
            self.pause(DELAY_MS_MAX).await;
        }
        while self.crumbling > 0 && !piece.is_empty() && !self.is_healed() {
            let (crumb, rest) = piece.split_at(piece.len().min(1 + usize::try_from(self.random.below(7)).unwrap()));
            if self.dripping {
                self.pause(self.faults.pause_ms_max).await;
            }
            write(to, crumb).await?;
            // Whoever receives may look at each of them.
            tokio::task::yield_now().await;
            self.crumbling = self.crumbling.saturating_sub(crumb.len() as u64);
            piece = rest;
        }
        write(to, piece).await
    }

    /// Lets some time pass, less if it heals.
    async fn pause(&mut self, ms_max: u64) {
        let pause = Duration::from_millis(self.random.below(ms_max) + 1);
        // Over, healed, or the proxy goes: all the same to whoever waits.
        let _ = timeout(pause, self.healed.wait_for(|healed| *healed)).await;
    }

    /// The next fault. Whether this direction is at its end.
    async fn strike(&mut self, to: &TcpStream) -> Result<bool, Cut> {
        let kinds = self.faults.kinds;
        let fault = kinds[usize::try_from(self.random.below(kinds.len() as u64)).unwrap()];
        self.counts.faults[fault as usize].fetch_add(1, Ordering::Relaxed);
        match fault {
            Fault::Reset => return Err(Cut::Reset),
            Fault::Finish => return Err(Cut::Finish),
            Fault::HalfClose => {
                let _ = SockRef::from(to).shutdown(Shutdown::Write);
                return Ok(true);
            }
            Fault::Stall => self.pause(self.faults.pause_ms_max).await,
            Fault::Delay => self.late = 1 + self.random.below(DELAYED_PIECES_MAX),
            Fault::Crumbs | Fault::Drip => {
                self.crumbling = 1 + self.random.below(CRUMBLING_BYTES_MAX);
                self.dripping = fault == Fault::Drip;
            }
        }
        self.brew();
        Ok(false)
    }
}
