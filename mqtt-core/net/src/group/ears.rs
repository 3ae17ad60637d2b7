//! The sockets that hear a group.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::task::Poll;

use socket2::{Domain, InterfaceIndexOrAddress, SockRef, Type};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tracing::debug;

use super::interfaces;

/// A group on one port: on every interface that takes multicast, or on the one whose address the port is bound to.
pub(super) struct Ears {
    group: IpAddr,
    /// Where it is asked for.
    bound: SocketAddr,
    ears: Vec<Ear>,
}

struct Ear {
    socket: UdpSocket,
    /// On which the group is joined; 0 is the one that the system finds by the address.
    interfaces: Vec<u32>,
}

impl Ears {
    /// Joins the group on what interfaces there are now; an error if it can be joined on none of them.
    pub(super) fn open(group: IpAddr, own: &UdpSocket) -> io::Result<Self> {
        let bound = own.local_addr()?;
        if group.is_ipv4() != bound.is_ipv4() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the group is of another IP version"));
        }
        // Both hear the port; the group is heard by those that joined alone.
        let own = SockRef::from(own);
        own.set_reuse_address(true)?;
        only_joined(&own, bound)?;
        let mut ears = Self { group, bound, ears: Vec::new() };
        match ears.look() {
            Some(error) if ears.ears.iter().all(|ear| ear.interfaces.is_empty()) => Err(error),
            _ => Ok(ears),
        }
    }

    /// Joins the group on interfaces that have come, and forgets those that are gone; returns what went wrong last.
    pub(super) fn look(&mut self) -> Option<io::Error> {
        let interfaces = self.interfaces();
        for ear in &mut self.ears {
            ear.interfaces.retain(|joined| interfaces.contains(joined));
        }
        let (group, bound) = (self.group, self.bound);
        self.ears.retain(|ear| !ear.interfaces.is_empty() && !ear.has_lost(group, bound));
        let mut fault = None;
        for interface in interfaces {
            if self.ears.iter().any(|ear| ear.interfaces.contains(&interface)) {
                continue;
            }
            if let Err(error) = self.join(interface) {
                debug!(group = %self.group, interface, %error, "A multicast group could not be joined.");
                fault = Some(error);
            }
        }
        fault
    }

    /// Hears the next datagram.
    pub(super) async fn receive(&self, input: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        poll_fn(|cx| {
            for ear in &self.ears {
                let mut buffer = ReadBuf::new(input);
                if let Poll::Ready(received) = ear.socket.poll_recv_from(cx, &mut buffer) {
                    return Poll::Ready(received.map(|from| (buffer.filled().len(), from)));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// The interfaces on which the group is to be joined.
    fn interfaces(&self) -> Vec<u32> {
        match self.bound {
            bound if bound.ip().is_unspecified() => interfaces::all(bound.is_ipv6()),
            SocketAddr::V4(_) => vec![0],
            SocketAddr::V6(bound) if bound.scope_id() != 0 => vec![bound.scope_id()],
            SocketAddr::V6(bound) => interfaces::with(*bound.ip()),
        }
    }

    fn join(&mut self, interface: u32) -> io::Result<()> {
        match self.group {
            IpAddr::V4(group) => {
                let socket = self.bind(0)?;
                join_v4(&socket, group, interface, self.bound)?;
                self.ears.push(Ear { socket, interfaces: vec![interface] });
            }
            IpAddr::V6(group) if is_of_a_link(group) => {
                let socket = self.bind(interface)?;
                SockRef::from(&socket).join_multicast_v6(&group, interface)?;
                self.ears.push(Ear { socket, interfaces: vec![interface] });
            }
            // The system gives what comes to such a group to all sockets that joined it, on whatever interface.
            IpAddr::V6(group) => {
                if self.ears.is_empty() {
                    self.ears.push(Ear { socket: self.bind(0)?, interfaces: Vec::new() });
                }
                for ear in &mut self.ears {
                    SockRef::from(&ear.socket).join_multicast_v6(&group, interface)?;
                    ear.interfaces.push(interface);
                }
            }
        }
        Ok(())
    }

    /// A socket at the group's address; that of a group of a link takes its interface.
    fn bind(&self, interface: u32) -> io::Result<UdpSocket> {
        let socket = socket2::Socket::new(Domain::for_address(self.bound), Type::DGRAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_address(true)?;
        only_joined(&SockRef::from(&socket), self.bound)?;
        let address = match self.group {
            IpAddr::V4(_) => SocketAddr::new(self.group, self.bound.port()),
            IpAddr::V6(group) => {
                socket.set_only_v6(true)?;
                SocketAddrV6::new(group, self.bound.port(), 0, interface).into()
            }
        };
        socket.bind(&address.into())?;
        UdpSocket::from_std(socket.into())
    }
}

impl Ear {
    /// Whether the address is on no interface any more, or on another: the group could be joined there once more.
    fn has_lost(&self, group: IpAddr, bound: SocketAddr) -> bool {
        let IpAddr::V4(group) = group else { return false };
        let again = || join_v4(&self.socket, group, 0, bound).map_err(|error| error.kind());
        self.interfaces.contains(&0) && again() != Err(io::ErrorKind::AddrInUse)
    }
}

fn join_v4(socket: &UdpSocket, group: Ipv4Addr, interface: u32, bound: SocketAddr) -> io::Result<()> {
    let interface = match (interface, bound.ip()) {
        (0, IpAddr::V4(address)) => InterfaceIndexOrAddress::Address(address),
        _ => InterfaceIndexOrAddress::Index(interface),
    };
    SockRef::from(socket).join_multicast_v4_n(&group, &interface)
}

/// A socket hears what others of this machine have joined too, unless told not to.
#[cfg(target_os = "linux")]
fn only_joined(socket: &SockRef<'_>, bound: SocketAddr) -> io::Result<()> {
    if bound.is_ipv4() { socket.set_multicast_all_v4(false) } else { socket.set_multicast_all_v6(false) }
}

#[cfg(not(target_os = "linux"))]
fn only_joined(_: &SockRef<'_>, _: SocketAddr) -> io::Result<()> {
    Ok(())
}

/// Whether the group is another one on each link [RFC4291 2.7].
fn is_of_a_link(group: Ipv6Addr) -> bool {
    matches!(group.octets(), [0xFF, flags_and_scope, ..] if matches!(flags_and_scope & 0x0F, 1 | 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    /// What went wrong: a group of one address was joined once, and not again when the address had gone and come back.
    #[test]
    fn a_group_of_one_address_is_joined_again_when_that_has_come_back() {
        let group = Ipv4Addr::new(224, 0, 1, 187);
        runtime().block_on(async {
            let own = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let bare = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
            if bare.join_multicast_v4(group, Ipv4Addr::LOCALHOST).is_err() {
                return; // this machine has no multicast
            }
            let mut ears = Ears::open(group.into(), &own).unwrap();
            let joins = |ears: &Ears| ears.ears.iter().any(|ear| !ear.has_lost(group.into(), ears.bound));
            assert_eq!((ears.look().is_none(), joins(&ears)), (true, true));
            // The system does the same when the interface goes.
            ears.ears[0].socket.leave_multicast_v4(group, Ipv4Addr::LOCALHOST).unwrap();
            assert_eq!((ears.look().is_none(), joins(&ears)), (true, true));
        });
    }

    #[test]
    fn a_group_is_left_with_its_address() {
        runtime().block_on(async {
            let own = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).await;
            let Ok(own) = own else { return }; // this machine has no IPv6
            let mut ears = Ears::open("ff02::fd".parse().unwrap(), &own).unwrap();
            assert_eq!(ears.ears.len(), 1);
            let here = std::mem::replace(&mut ears.bound, "[2001:db8::1]:9".parse().unwrap());
            ears.look();
            if std::path::Path::new("/proc/net/if_inet6").exists() {
                assert_eq!(ears.ears.len(), 0, "no interface has it");
            }
            ears.bound = here;
            assert!(ears.look().is_none());
            assert_eq!(ears.ears.len(), 1);
        });
    }
}
