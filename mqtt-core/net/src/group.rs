//! Datagrams to a multicast group. Who asks a whole group is answered from the listener's own address, later, at a time
//! chosen by chance, so that not all members answer at once; and only if the protocol has something to say.

use std::hash::BuildHasher;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bus::Chance;
use socket2::{Domain, SockRef, Type};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};

use crate::listener::Shared;

/// How many answers may wait for their time; who asks more is not answered.
const WAITING: usize = 64;

/// The largest datagram that is read.
const LARGEST: usize = 2_048;

/// A socket that hears a group, and the one that answers.
pub(crate) struct Group {
    heard: UdpSocket,
    own: UdpSocket,
}

struct Answer {
    due: Instant,
    to: SocketAddr,
    bytes: Vec<u8>,
}

impl Group {
    /// Joins a group on the port of a socket, and on its interface if it is bound to one.
    pub(crate) fn join(group: IpAddr, own: &UdpSocket) -> io::Result<Self> {
        let bound = own.local_addr()?;
        let heard = socket2::Socket::new(Domain::for_address(bound), Type::DGRAM, None)?;
        heard.set_nonblocking(true)?;
        // Both hear the port; the group is heard by the one that joined alone.
        let shared = SockRef::from(own);
        shared.set_reuse_address(true)?;
        heard.set_reuse_address(true)?;
        let wrong_family =
            || io::Error::new(io::ErrorKind::InvalidInput, "the group is of another IP version");
        match (group, bound.ip()) {
            (IpAddr::V4(group), IpAddr::V4(interface)) => {
                #[cfg(target_os = "linux")]
                shared.set_multicast_all_v4(false)?;
                heard.bind(&SocketAddr::from((group, bound.port())).into())?;
                heard.join_multicast_v4(&group, &interface)?;
            }
            (IpAddr::V6(group), IpAddr::V6(_)) => {
                #[cfg(target_os = "linux")]
                shared.set_multicast_all_v6(false)?;
                heard.set_only_v6(true)?;
                heard.bind(&SocketAddr::from((group, bound.port())).into())?;
                heard.join_multicast_v6(&group, 0)?;
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return Err(wrong_family()),
        }
        let own = UdpSocket::from_std(shared.try_clone()?.into())?;
        Ok(Self { heard: UdpSocket::from_std(heard.into())?, own })
    }

    /// Answers until the listener stops.
    pub(crate) async fn serve(self, shared: Arc<Shared>) {
        let mut stopped = std::pin::pin!(shared.stopped());
        let mut waiting = Vec::<Answer>::new();
        let mut chance = Chance::new(std::hash::RandomState::new().hash_one(self.own.local_addr().ok()));
        let mut input = vec![0; LARGEST];
        loop {
            let next = waiting.iter().map(|answer| answer.due).min();
            let due = sleep_until(next.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600)));
            tokio::select! {
                received = self.heard.recv_from(&mut input) => {
                    let Ok((length, from)) = received else { continue };
                    let datagram = input.get(..length).unwrap_or_default();
                    let is_known = waiting.iter().any(|answer| answer.to == from);
                    if is_known || waiting.len() >= WAITING || is_group(from.ip()) {
                        continue;
                    }
                    if let Some(bytes) = shared.protocol.answer_group(datagram, chance.next(), Instant::now().into_std()) {
                        let leisure = shared.config.leisure.mul_f64(chance.fraction());
                        waiting.push(Answer { due: Instant::now() + leisure, to: from, bytes });
                    }
                }
                () = due => {
                    let now = Instant::now();
                    waiting.retain(|answer| {
                        let is_due = answer.due <= now;
                        if is_due {
                            let _ = self.own.try_send_to(&answer.bytes, answer.to); // lost, as on any network
                        }
                        !is_due
                    });
                }
                () = &mut stopped => return,
            }
        }
    }
}

/// Whether an address is that of a group; nobody sends from such a one.
pub fn is_group(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_multicast() || address == Ipv4Addr::BROADCAST,
        IpAddr::V6(address) => address.is_multicast() || address == Ipv6Addr::UNSPECIFIED,
    }
}
