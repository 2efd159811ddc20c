//! The floor: what no exporter can do without, and nothing else. One thread waits for requests, reads four files of
//! procfs with a `pread` each, and answers with as many bytes as the exporter does. It looks at no request and writes no
//! metric: whatever costs more than this is the exporter's own.
//!
//! `floor ADDRESS` runs until it is killed.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};

use fs_err::File;
use rustix::event::epoll;

const FILES: [&str; 4] = ["/proc/loadavg", "/proc/sys/kernel/hostname", "/proc/uptime", "/proc/self/stat"];

/// The bytes of a usual exposition.
const BODY: usize = 2150;

const LISTENER: u64 = 0;

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).ok_or_else(|| io::Error::other("usage: floor ADDRESS"))?;
    let listener = TcpListener::bind(address)?;
    let files = FILES.map(File::open).into_iter().collect::<io::Result<Vec<_>>>()?;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n";
    let answer = format!("{head}content-length: {BODY}\r\n\r\n{}\n", "x".repeat(BODY - 1));
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
    let mut connections: HashMap<u64, TcpStream> = HashMap::new();
    let mut next = LISTENER;
    let mut buffer = [0; 4096];
    let mut events = [MaybeUninit::<epoll::Event>::uninit(); 64];
    loop {
        let (ready, _) = epoll::wait(&poll, &mut events, None)?;
        for event in ready {
            let number = event.data.u64();
            if number == LISTENER {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                next += 1;
                epoll::add(&poll, &stream, epoll::EventData::new_u64(next), epoll::EventFlags::IN)?;
                connections.insert(next, stream);
            } else if let Some(stream) = connections.get_mut(&number) {
                // A request arrives in one piece over loopback.
                if matches!(stream.read(&mut buffer), Ok(0) | Err(_)) {
                    connections.remove(&number);
                    continue;
                }
                for file in &files {
                    rustix::io::pread(file, &mut buffer, 0)?;
                }
                stream.write_all(answer.as_bytes())?;
            }
        }
    }
}
