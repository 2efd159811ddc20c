//! Prometheus as a client: its headers, kept connections, whole answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

const CONNECTIONS: usize = 4;
const DEADLINE: Duration = Duration::from_secs(10);

/// What Prometheus 3.14 says that it takes.
const ACCEPT: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                      application/openmetrics-text;version=0.0.1;q=0.5,\
                      text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

/// Whether the client offers to take a compressed answer. Prometheus does, unless it is told otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Gzip,
    Plain,
}

/// One answer.
pub struct Answer {
    pub bytes: usize,
    pub compressed: bool,
}

/// One scrape on a connection of its own.
pub fn scrape(address: SocketAddr, encoding: Encoding) -> Result<Answer> {
    Connection::open(address, encoding)?.scrape()
}

/// So many scrapes, over four connections at once. Returns how long they took.
pub fn load(address: SocketAddr, encoding: Encoding, scrapes: usize) -> Result<Duration> {
    let began = Instant::now();
    std::thread::scope(|scope| {
        let share = |index: usize| (scrapes + index) / CONNECTIONS;
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|index| {
                scope.spawn(move || -> Result<()> {
                    let mut connection = Connection::open(address, encoding)?;
                    for _ in 0..share(index) {
                        connection.scrape()?;
                    }
                    Ok(())
                })
            })
            .collect();
        clients.into_iter().try_for_each(|client| match client.join() {
            Ok(outcome) => outcome,
            Err(_) => bail!("a client panicked"),
        })
    })?;
    Ok(began.elapsed())
}

struct Connection {
    stream: BufReader<TcpStream>,
    request: String,
    line: String,
    body: Vec<u8>,
}

impl Connection {
    fn open(address: SocketAddr, encoding: Encoding) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        let encoding = match encoding {
            Encoding::Gzip => "Accept-Encoding: gzip\r\n",
            Encoding::Plain => "Accept-Encoding: identity\r\n",
        };
        let request = format!(
            "GET /metrics HTTP/1.1\r\nHost: {address}\r\nUser-Agent: Prometheus/3.14.0\r\nAccept: {ACCEPT}\r\n\
             {encoding}X-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n"
        );
        Ok(Self { stream: BufReader::new(stream), request, line: String::new(), body: Vec::new() })
    }

    fn scrape(&mut self) -> Result<Answer> {
        self.stream.get_mut().write_all(self.request.as_bytes())?;
        let status = self.line()?.to_string();
        if !status.starts_with("HTTP/1.1 200") {
            bail!("a scrape was answered with {status:?}");
        }
        let (mut length, mut chunked, mut compressed) = (None, false, false);
        loop {
            let header = self.line()?.to_ascii_lowercase();
            match header.split_once(": ") {
                None => break,
                Some(("content-length", value)) => length = Some(value.parse()?),
                Some(("transfer-encoding", value)) => chunked = value == "chunked",
                Some(("content-encoding", _)) => compressed = true,
                Some(_) => {}
            }
        }
        let bytes = if chunked { self.chunks()? } else { self.skip(length.context("an answer without a length")?)? };
        Ok(Answer { bytes, compressed })
    }

    fn chunks(&mut self) -> Result<usize> {
        let mut sum = 0;
        loop {
            let size = usize::from_str_radix(self.line()?, 16)?;
            sum += self.skip(size)?;
            self.line()?;
            if size == 0 {
                return Ok(sum);
            }
        }
    }

    fn skip(&mut self, bytes: usize) -> Result<usize> {
        self.body.resize(bytes, 0);
        self.stream.read_exact(&mut self.body)?;
        Ok(bytes)
    }

    fn line(&mut self) -> Result<&str> {
        self.line.clear();
        if self.stream.read_line(&mut self.line)? == 0 {
            bail!("the connection was closed");
        }
        Ok(self.line.trim_end())
    }
}
