//! Where to listen.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::str::FromStr;

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

const BACKLOG: i32 = 1024;

/// A socket address, or `:PORT`. No resolver is asked: an image from scratch has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// Exactly this address.
    Exact(SocketAddr),
    /// This port on every address of the node, of both families.
    AnyFamily(u16),
}

/// What was given is neither a socket address nor `:PORT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an address is IP:PORT, such as `127.0.0.1:23333` or `[::1]:23333`, or `:PORT` for every address of the node")]
pub struct BadAddress;

impl ListenAddress {
    /// Listens there.
    ///
    /// # Errors
    ///
    /// When the kernel refuses, for instance because the port is taken.
    pub fn bind(self) -> io::Result<TcpListener> {
        match self {
            Self::Exact(address) => listen(address, false),
            Self::AnyFamily(port) => match listen((Ipv6Addr::UNSPECIFIED, port).into(), true) {
                Err(error) if has_no_ipv6(&error) => listen((Ipv4Addr::UNSPECIFIED, port).into(), false),
                other => other,
            },
        }
    }
}

impl FromStr for ListenAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        match text.strip_prefix(':') {
            // `u16` would take a plus sign.
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                port.parse().map(Self::AnyFamily).map_err(|_| BadAddress)
            }
            Some(_) => Err(BadAddress),
            None => text.parse().map(Self::Exact).map_err(|_| BadAddress),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(address) => address.fmt(out),
            Self::AnyFamily(port) => write!(out, ":{port}"),
        }
    }
}

fn listen(address: SocketAddr, both_families: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if both_families {
        socket.set_only_v6(false)?;
    }
    // A restart must not wait for the connections of the process before to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The kernel was built or started without IPv6, or no interface has it.
fn has_no_ipv6(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_addresses_and_bare_ports_are_addresses() {
        for text in ["0.0.0.0:23333", "127.0.0.1:0", "[::1]:80", "[::]:23333", ":23333", ":0"] {
            assert_eq!(text.parse::<ListenAddress>().map(|address| address.to_string()), Ok(text.to_string()));
        }
        assert_eq!(":65535".parse(), Ok(ListenAddress::AnyFamily(65535)));
    }

    #[test]
    fn names_and_halves_are_not() {
        for text in ["", ":", ":65536", ":+1", ": 1", "localhost:80", "127.0.0.1", "::1:80", "80", "1.2.3.4:http"] {
            assert_eq!(text.parse::<ListenAddress>(), Err(BadAddress), "{text:?}");
        }
    }

    #[test]
    fn a_bare_port_answers_both_families_where_there_are_two() {
        let listener = ListenAddress::AnyFamily(0).bind().unwrap();
        let port = listener.local_addr().unwrap().port();
        std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        if listener.local_addr().unwrap().is_ipv6() && TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            std::net::TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
        }
    }
}
