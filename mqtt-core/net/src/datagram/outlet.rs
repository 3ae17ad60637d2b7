use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

/// A datagram socket, and what it did not take yet.
pub(crate) struct Outlet {
    socket: UdpSocket,
    unsent: VecDeque<(SocketAddr, Vec<u8>)>,
}

/// How many datagrams may wait for a full socket; further ones are lost, as on any network.
const UNSENT: usize = 4_096;

impl Outlet {
    pub(crate) fn new(socket: UdpSocket) -> Self {
        Self { socket, unsent: VecDeque::new() }
    }

    pub(crate) fn send(&mut self, datagram: &[u8], to: SocketAddr) {
        if self.unsent.is_empty() {
            match self.socket.try_send_to(datagram, to) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Too large, or unreachable: to the protocol it is a lost datagram.
                _ => return,
            }
        }
        if self.unsent.len() < UNSENT {
            self.unsent.push_back((to, datagram.to_vec()));
        }
    }

    /// Sends what waits, as far as the socket takes it.
    pub(crate) fn flush(&mut self, cx: &mut Context<'_>) {
        while let Some((address, bytes)) = self.unsent.front() {
            if self.socket.poll_send_to(cx, bytes, *address).is_pending() {
                return;
            }
            self.unsent.pop_front();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.unsent.is_empty()
    }

    /// The next datagram: how long it is, and who sent it. An error is the echo of one that could not be delivered to
    /// some peer.
    pub(crate) fn receive(
        &self,
        input: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut buffer = ReadBuf::new(input);
        let received = self.socket.poll_recv_from(cx, &mut buffer);
        received.map_ok(|address| (buffer.filled().len(), address))
    }
}
