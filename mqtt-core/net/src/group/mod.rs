//! Datagrams to a multicast group. Who asks a whole group is answered from the listener's own address, later, at a time
//! chosen by chance, so that not all members answer at once; and only if the protocol has something to say.

mod ears;
mod interfaces;

use std::hash::BuildHasher;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bus::Chance;
use socket2::SockRef;
use tokio::net::UdpSocket;
use tokio::time::{Instant, interval, sleep_until};

use self::ears::Ears;
use crate::listener::Shared;

/// How many answers may wait for their time; who asks more is not answered.
const WAITING: usize = 64;

/// The largest datagram that is read.
const LARGEST: usize = 2_048;

/// How often it is looked whether there are other interfaces.
const LOOK: Duration = Duration::from_secs(10);

/// A group that is heard, and the socket that answers.
pub(crate) struct Group {
    ears: Ears,
    own: UdpSocket,
}

struct Answer {
    due: Instant,
    to: SocketAddr,
    bytes: Vec<u8>,
}

impl Group {
    /// Joins a group on the port of a socket: on every interface, or on that of the socket's address.
    pub(crate) fn join(group: IpAddr, own: &UdpSocket) -> io::Result<Self> {
        let ears = Ears::open(group, own)?;
        let own = UdpSocket::from_std(SockRef::from(own).try_clone()?.into())?;
        Ok(Self { ears, own })
    }

    /// Answers until the listener stops.
    pub(crate) async fn serve(mut self, shared: Arc<Shared>) {
        let mut stopped = std::pin::pin!(shared.stopped());
        let mut waiting = Vec::<Answer>::new();
        let mut chance = Chance::new(std::hash::RandomState::new().hash_one(self.own.local_addr().ok()));
        let mut input = vec![0; LARGEST];
        let mut looks = interval(LOOK);
        loop {
            let next = waiting.iter().map(|answer| answer.due).min();
            let due = sleep_until(next.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600)));
            tokio::select! {
                received = self.ears.receive(&mut input) => {
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
                _ = looks.tick() => drop(self.ears.look()),
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
