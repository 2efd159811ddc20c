//! The exporter as a child process, a client that measures, and patience.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use fs_err as fs;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process};
use tempfile::NamedTempFile;

/// What a kind client sends.
pub const SCRAPE: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: abuse\r\n\r\n";
/// The last family of an answer, so that whoever has read it has read all.
const LAST: &str = "process_cpu_seconds_total ";
/// One attack at a time: they measure.
static ALONE: Mutex<()> = Mutex::new(());

/// A deadline for what should take far less; `LAB_PATIENCE` stretches it on a slow machine.
pub fn patience(seconds: u64) -> Duration {
    let factor = std::env::var("LAB_PATIENCE").ok().and_then(|text| text.parse().ok()).unwrap_or(1.0);
    Duration::from_secs(seconds).mul_f64(factor)
}

/// Looks again and again until it holds.
#[track_caller]
pub fn until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < limit, "{what}: not within {limit:?}");
        pause(Duration::from_millis(20));
    }
}

/// Lets the exporter go on for a moment.
pub fn pause(time: Duration) {
    let began = Instant::now();
    while let Some(left) = time.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}

/// The binary that is shipped, built once, or the one that `ABUSE_EXPORTER` names.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(named) = std::env::var_os("ABUSE_EXPORTER") {
            return named.into();
        }
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let built = Command::new(workspace.join("scripts/dist")).stdin(Stdio::null()).output().unwrap();
        assert!(built.status.success(), "scripts/dist: {}", String::from_utf8_lossy(&built.stderr));
        workspace.join("dist/mini-node-exporter")
    })
}

/// A running exporter, which ends with the test.
pub struct Exporter {
    child: Child,
    address: SocketAddr,
    log: NamedTempFile,
    /// A log that nobody reads after the line `listening`.
    unread: Option<ChildStderr>,
    _alone: MutexGuard<'static, ()>,
}

impl Exporter {
    /// On a free port of 127.0.0.1, with the usual limit of 1024 descriptors.
    pub fn start(arguments: &[&str]) -> Self {
        Self::limited(1024, arguments)
    }

    /// With another limit of descriptors.
    pub fn limited(descriptors: u32, arguments: &[&str]) -> Self {
        let log = NamedTempFile::new().unwrap();
        let stderr = Stdio::from(log.reopen().unwrap());
        let mut exporter = Self::spawn(descriptors, arguments, stderr, log);
        until("the exporter listens", patience(20), || {
            exporter.assert_lives();
            exporter.log().lines().any(|line| exporter.listens(line))
        });
        exporter
    }

    /// With a pipe as its log, which nobody empties.
    pub fn with_unread_log(arguments: &[&str]) -> Self {
        let mut exporter = Self::spawn(1024, arguments, Stdio::piped(), NamedTempFile::new().unwrap());
        let mut log = BufReader::with_capacity(1, exporter.child.stderr.take().unwrap());
        let mut line = String::new();
        while !exporter.listens(&line) {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "it ended");
        }
        exporter.unread = Some(log.into_inner());
        exporter
    }

    fn spawn(descriptors: u32, arguments: &[&str], stderr: Stdio, log: NamedTempFile) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let script = format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(binary()).arg("--web.listen-address=127.0.0.1:0").args(arguments);
        let child = command.env_remove("NODE_NAME").stdin(Stdio::null()).stderr(stderr).spawn().unwrap();
        let address = SocketAddr::from(([0, 0, 0, 0], 0));
        Self { child, address, log, unread: None, _alone: alone }
    }

    /// Whether this line of the log says where it listens.
    fn listens(&mut self, line: &str) -> bool {
        let address = line.split("message=listening address=").nth(1);
        address.is_some_and(|address| {
            self.address = address.trim().parse().unwrap();
            true
        })
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect_timeout(&self.address, patience(10)).unwrap();
        stream.set_read_timeout(Some(patience(10))).unwrap();
        stream.set_write_timeout(Some(patience(10))).unwrap();
        stream
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// One scrape over a connection of its own, as of a Prometheus that has just started.
    pub fn scrape(&self) -> String {
        Client::new(self.connect()).scrape()
    }

    /// Asserts that new clients are answered at once, whatever else goes on.
    #[track_caller]
    pub fn assert_answers_at_once(&self, while_what: &str) {
        self.assert_at_once(while_what, || {
            assert!(self.scrape().contains("node_scrape_collector_success{collector=\"load\"} 1\n"));
        });
    }

    /// Asserts that `scrape`, by a new client, takes 50 ms at the median and 1 s at worst. Other programs of a busy machine
    /// can delay any single round, so that one good round is enough.
    #[track_caller]
    pub fn assert_at_once(&self, while_what: &str, scrape: impl Fn()) {
        until(while_what, patience(10), || {
            let mut took: Vec<Duration> = (0..21)
                .map(|_| {
                    let began = Instant::now();
                    scrape();
                    began.elapsed()
                })
                .collect();
            took.sort();
            let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
            let resident = self.resident();
            println!("{while_what}: a fresh scrape takes {median:?}, at worst {worst:?}; resident {resident} bytes");
            median <= Duration::from_millis(50) && worst <= Duration::from_secs(1)
        });
    }

    /// Bytes of its memory that are resident.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect(&status);
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Those that are open without any client, once it has scraped: it keeps open what it reads again and again.
    pub fn idle_descriptors(&self) -> usize {
        let mut client = Client::new(self.connect());
        client.scrape();
        let idle = self.descriptors() - 1;
        drop(client);
        until("the client's descriptor is closed", patience(10), || self.descriptors() == idle);
        idle
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub fn ended(&mut self, limit: Duration) -> ExitStatus {
        let mut status = None;
        until("the exporter ends", limit, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    pub fn assert_lives(&mut self) {
        assert!(self.child.try_wait().unwrap().is_none(), "it ended: {}", self.log());
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection on which requests follow each other.
pub struct Client(BufReader<TcpStream>);

impl Client {
    pub fn new(stream: TcpStream) -> Self {
        Self(BufReader::with_capacity(4096, stream))
    }

    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// One scrape, which has to be whole.
    pub fn scrape(&mut self) -> String {
        self.send(SCRAPE).unwrap();
        let (status, body) = self.answer().unwrap();
        assert_eq!(status, 200, "{body}");
        assert!(body.contains(LAST), "{body}");
        body
    }

    /// The next answer: status and body, as long as its head says. `NotConnected` where it ended before the first byte.
    pub fn answer(&mut self) -> std::io::Result<(u16, String)> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match self.0.read_line(&mut head) {
                Err(error) if error.kind() != ErrorKind::ConnectionReset => return Err(error),
                Ok(1..) => {}
                _ if head.is_empty() => return Err(ErrorKind::NotConnected.into()),
                _ => return Err(ErrorKind::UnexpectedEof.into()),
            }
        }
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()).unwrap_or("0");
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.unwrap_or_else(|| panic!("no status in {head:?}")), String::from_utf8(body).unwrap()))
    }
}

/// Lets this process, the clients, open that many files.
pub fn allow_descriptors(count: u64) {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < count) {
        assert!(limit.maximum.is_none_or(|most| most >= count), "needs {count} descriptors: see `ulimit -Hn`");
        limit = Rlimit { current: Some(count), maximum: limit.maximum };
        rustix::process::setrlimit(Resource::Nofile, limit).unwrap();
    }
}
