//! The real binary as a child process: its log, its address, its end. Everything waits to a deadline.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use socket2::{Domain, Socket, Type};

/// Patience for what should take milliseconds, on a machine that is busy with other tests.
pub const SOON: Duration = Duration::from_secs(20);

/// The binary with a clean environment.
pub fn command() -> Command {
    let mut command = Command::new(super::binary());
    command.env_remove("NODE_NAME").env("RUST_BACKTRACE", "1").stdin(Stdio::null());
    command
}

/// Runs a command line that ends by itself.
#[track_caller]
pub fn output<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    let mut command = command();
    command.args(arguments);
    output_of(command)
}

/// Fails, rather than hang, where the exporter takes what it should refuse, and runs.
#[track_caller]
pub fn output_of(mut command: Command) -> Output {
    let mut child = Guarded(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let (mut stdout, mut stderr) = (child.0.stdout.take().unwrap(), child.0.stderr.take().unwrap());
    let (sender, ended) = channel();
    std::thread::spawn(move || {
        let (mut said, mut complained) = (Vec::new(), Vec::new());
        let read = stdout.read_to_end(&mut said).and_then(|_| stderr.read_to_end(&mut complained));
        sender.send(read.map(|_| (said, complained)))
    });
    let streams = ended.recv_timeout(SOON).unwrap_or_else(|error| panic!("{command:?} still runs: {error}"));
    let (stdout, stderr) = streams.unwrap();
    Output { status: child.0.wait().unwrap(), stdout, stderr }
}

/// A child process that does not outlive its test, even one that fails.
pub struct Guarded(pub Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running exporter.
#[must_use]
pub struct Running {
    child: Guarded,
    log: Receiver<String>,
    seen: Vec<String>,
    address: SocketAddr,
}

impl Running {
    /// Starts it on a free port of 127.0.0.1 and waits until it listens.
    #[track_caller]
    pub fn start<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Self {
        let mut command = command();
        command.args(["--web.listen-address", "127.0.0.1:0"]).args(arguments);
        Self::start_command(command)
    }

    #[track_caller]
    pub fn start_command(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, log) = channel();
        std::thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).all(|line| sender.send(line).is_ok())
        });
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut running = Self { child: Guarded(child), log, seen: Vec::new(), address: unknown };
        let line = running.wait_for_line("message=listening");
        running.address = address_in(&line);
        running
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// One request on a connection of its own: the status and the body.
    #[track_caller]
    pub fn get(&self, path: &str) -> (u16, String) {
        get(self.address, path)
    }

    /// The same with further lines of the head, and with the whole answer.
    #[track_caller]
    pub fn ask(&self, path: &str, lines: &str) -> (u16, String) {
        ask(self.address, path, lines)
    }

    /// From another address of this machine.
    pub fn connect_from(&self, address: IpAddr) -> TcpStream {
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((address, 0)).into()).unwrap();
        socket.connect_timeout(&self.address.into(), SOON).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        socket.into()
    }

    pub fn is_running(&self) -> bool {
        TcpStream::connect_timeout(&self.address, SOON).is_ok()
    }

    /// The next line of the log that contains `text`.
    #[track_caller]
    pub fn wait_for_line(&mut self, text: &str) -> String {
        let deadline = Instant::now() + SOON;
        loop {
            match self.log.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(error) => panic!("no line with {text:?} ({error}) in the log:\n{}", self.seen.join("\n")),
            }
        }
    }

    /// The first line of the log that contains `text`, from before it listened or after.
    #[track_caller]
    pub fn line(&mut self, text: &str) -> String {
        let seen = self.seen.iter().find(|line| line.contains(text)).cloned();
        seen.unwrap_or_else(|| self.wait_for_line(text))
    }

    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child.0), signal).unwrap();
    }

    /// The kernel's own word on the process: a file below its `/proc/PID`.
    pub fn proc(&self, file: &str) -> std::path::PathBuf {
        std::path::Path::new("/proc").join(self.child.0.id().to_string()).join(file)
    }

    /// How many sockets it has open: its listeners, its own, and a connection each.
    pub fn sockets(&self) -> usize {
        let links = std::fs::read_dir(self.proc("fd")).unwrap().filter_map(|entry| entry.ok()?.path().read_link().ok());
        links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
    }

    /// Waits for its end: the exit code (none if a signal killed it), the whole log, and how long it took.
    #[track_caller]
    pub fn wait(mut self, patience: Duration) -> (Option<i32>, Vec<String>, Duration) {
        let began = Instant::now();
        loop {
            match self.log.recv_timeout(patience.saturating_sub(began.elapsed())) {
                Ok(line) => self.seen.push(line),
                // Its end closes its stderr.
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("still running after {patience:?}:\n{}", self.seen.join("\n")),
            }
        }
        let status = self.child.0.wait().unwrap();
        (status.code(), std::mem::take(&mut self.seen), began.elapsed())
    }
}

/// The field `address` of a logfmt line.
#[track_caller]
pub fn address_in(line: &str) -> SocketAddr {
    let address = line.split("address=").nth(1).and_then(|rest| rest.split(' ').next());
    address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("no address in {line:?}"))
}

#[track_caller]
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, SOON).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.set_write_timeout(Some(SOON)).unwrap();
    stream
}

/// One request on a connection of its own: the status and the body.
#[track_caller]
pub fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = connect(address);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {path}: {answer:?}"));
    (status(head), body.to_string())
}

/// One request, with further lines of the head, each with its end: the status, and the whole answer.
#[track_caller]
pub fn ask(address: SocketAddr, path: &str, lines: &str) -> (u16, String) {
    let mut stream = connect(address);
    // In one piece, as clients send it: a reload may close a connection between two.
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{lines}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (status(&answer), answer)
}

/// The status of an answer.
#[track_caller]
pub fn status(answer: &str) -> u16 {
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("no status in {answer:?}"))
}

/// How long an answer's head says that its body is.
#[track_caller]
pub fn length(head: &str) -> usize {
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
    length.unwrap_or_else(|| panic!("no length in {head:?}"))
}
