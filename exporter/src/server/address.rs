//! Where to listen.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::str::FromStr;

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Linux' default limit (`net.core.somaxconn`). When the queue is full, the kernel drops a client's SYN, which is sent again only after a second.
const BACKLOG: i32 = 4096;
/// Requested socket buffer per direction, in bytes; Linux doubles it. Fits a whole response; 256 stalled clients fit into
/// the memory limit of the manifest.
const SOCKET_BUFFER: usize = 8 * 1024;

const ADDRESS_SHAPE: &str =
    "expected IP:PORT, localhost:PORT or :PORT, such as `127.0.0.1:23333`, `[::1]:23333` or `:23333`";
const NO_RESOLVER: &str =
    "names other than `localhost` are not supported: this binary has no resolver; give the IP address";

/// A socket address, or a port of this node. No resolver is asked: a static binary has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// Exactly this address.
    Exact(SocketAddr),
    /// This port on every address of the node, of both families.
    AnyFamily(u16),
    /// This port on 127.0.0.1 and on `::1`.
    Localhost(u16),
}

impl ListenAddress {
    /// Listens there. `others` are all addresses that are listened on: `[::]:PORT` serves IPv4 as well, unless
    /// `0.0.0.0:PORT` is one of them.
    ///
    /// # Errors
    ///
    /// When the kernel refuses, for instance because the port is taken.
    pub fn bind(self, others: &[Self]) -> io::Result<Vec<TcpListener>> {
        match self {
            Self::Exact(address) => {
                let ipv4 = Self::Exact((Ipv4Addr::UNSPECIFIED, address.port()).into());
                let shared = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && others.contains(&ipv4);
                Ok(vec![listen(address, shared.then_some(true))?])
            }
            Self::AnyFamily(port) => match listen((Ipv6Addr::UNSPECIFIED, port).into(), Some(false)) {
                Err(error) if has_no_ipv6(&error) => Ok(vec![listen((Ipv4Addr::UNSPECIFIED, port).into(), None)?]),
                other => Ok(vec![other?]),
            },
            Self::Localhost(port) => {
                let ipv4 = listen((Ipv4Addr::LOCALHOST, port).into(), None)?;
                // Port 0 is any free one, which is then the same for both.
                match listen((Ipv6Addr::LOCALHOST, ipv4.local_addr()?.port()).into(), None) {
                    Err(error) if has_no_ipv6(&error) => Ok(vec![ipv4]),
                    ipv6 => Ok(vec![ipv4, ipv6?]),
                }
            }
        }
    }
}

impl FromStr for ListenAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Exact(address));
        }
        let (host, port) = text.rsplit_once(':').ok_or(ADDRESS_SHAPE)?;
        // `u16` would take a plus sign.
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| digits).ok_or(ADDRESS_SHAPE)?;
        match host {
            "" => Ok(Self::AnyFamily(port)),
            "localhost" => Ok(Self::Localhost(port)),
            _ if host.contains(':') || host.parse::<IpAddr>().is_ok() => Err(ADDRESS_SHAPE),
            _ => Err(NO_RESOLVER),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(address) => address.fmt(out),
            Self::AnyFamily(port) => write!(out, ":{port}"),
            Self::Localhost(port) => write!(out, "localhost:{port}"),
        }
    }
}

fn listen(address: SocketAddr, only_v6: Option<bool>) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if let Some(only_v6) = only_v6 {
        socket.set_only_v6(only_v6)?;
    }
    // A restart must not wait for the connections of the previous process to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    start_listening(&SockRef::from(&socket))?;
    Ok(socket.into())
}

/// Listens on a bound socket, whose connections inherit its options.
pub(super) fn start_listening(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    socket.listen(BACKLOG)
}

/// The kernel was built or started without IPv6, or no interface has it.
fn has_no_ipv6(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL))
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn has_ipv6() -> bool {
        TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
    }

    #[test]
    fn socket_addresses_ports_and_localhost_are_addresses() {
        for text in
            ["0.0.0.0:23333", "127.0.0.1:0", "[::1]:80", "[::]:23333", ":23333", ":0", "localhost:9100", "localhost:0"]
        {
            assert_eq!(text.parse::<ListenAddress>().map(|address| address.to_string()), Ok(text.to_string()));
        }
        assert_eq!(":65535".parse(), Ok(ListenAddress::AnyFamily(65535)));
        assert_eq!("localhost:1".parse(), Ok(ListenAddress::Localhost(1)));
    }

    #[test]
    fn names_and_halves_are_not() {
        for text in [
            "",
            ":",
            ":65536",
            ":+1",
            ": 1",
            "localhost",
            "localhost:",
            "localhost:+1",
            "127.0.0.1",
            "::1:80",
            "a:b:80",
            "80",
            "1.2.3.4:http",
            "[::1]:",
            "127.0.0.1:65536",
        ] {
            assert_eq!(text.parse::<ListenAddress>(), Err(ADDRESS_SHAPE), "{text:?}");
        }
        for text in ["node-1:80", "LOCALHOST:80", "127.0.0:80", "localhost.:80"] {
            assert_eq!(text.parse::<ListenAddress>(), Err(NO_RESOLVER), "{text:?}");
        }
    }

    #[test]
    fn a_bare_port_answers_both_families_where_there_are_two() {
        let [listener] = <[_; 1]>::try_from(ListenAddress::AnyFamily(0).bind(&[]).unwrap()).unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert_eq!(TcpStream::connect((Ipv6Addr::LOCALHOST, port)).is_ok(), has_ipv6());
    }

    #[test]
    fn localhost_is_one_port_of_both_families_where_there_are_two() {
        let listeners = ListenAddress::Localhost(0).bind(&[]).unwrap();
        let addresses: Vec<SocketAddr> = listeners.iter().map(|one| one.local_addr().unwrap()).collect();
        let port = addresses[0].port();
        let both = [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()];
        assert_eq!(addresses, if has_ipv6() { &both[..] } else { &both[..1] });
    }

    #[test]
    fn a_port_that_is_taken_in_one_family_is_taken() {
        let Ok(taken) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else { return };
        let port = taken.local_addr().unwrap().port();
        for address in [ListenAddress::AnyFamily(port), ListenAddress::Localhost(port)] {
            assert_eq!(address.bind(&[]).unwrap_err().kind(), io::ErrorKind::AddrInUse, "{address}");
        }
    }

    #[test]
    fn the_two_wildcards_share_a_port() {
        let free = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap().local_addr().unwrap().port();
        let both = [format!("0.0.0.0:{free}").parse().unwrap(), format!("[::]:{free}").parse().unwrap()];
        for order in [both, [both[1], both[0]]] {
            let listeners: Vec<_> = order.iter().map(|address: &ListenAddress| address.bind(&order)).collect();
            let failed: Vec<_> = listeners.iter().filter_map(|one| one.as_ref().err()).collect();
            assert!(failed.iter().all(|error| has_no_ipv6(error)), "{failed:?}");
            assert!(failed.is_empty() || !has_ipv6(), "{failed:?}");
        }
    }
}
