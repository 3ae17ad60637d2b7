use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use socket2::{Domain, Socket, Type};

use crate::frame;

/// One connection. It holds memory only while a frame is incomplete in either direction.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    /// The beginning of a frame whose end has not come.
    held: Vec<u8>,
    /// What the socket did not take yet.
    pending: Vec<u8>,
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr, source: Ipv4Addr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // It ends without lingering, or tens of thousands would be in the way of the next run's.
        socket.set_linger(Some(Duration::ZERO))?;
        if address.is_ipv4() && source != Ipv4Addr::LOCALHOST {
            socket.bind(&SocketAddr::from((source, 0)).into())?;
        }
        socket.connect(&address.into())?;
        socket.set_tcp_nodelay(true)?;
        socket.set_nonblocking(true)?;
        Ok(Self::new(TcpStream::from_std(socket.into())))
    }

    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, held: Vec::new(), pending: Vec::new() }
    }

    /// Whether what was sent has been taken by the socket.
    pub(crate) fn is_clear(&self) -> bool {
        self.pending.is_empty()
    }

    /// Takes in what has come, frame by frame.
    pub(crate) fn receive(
        &mut self,
        scratch: &mut [u8],
        mut take: impl FnMut(u8, &[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        self.read(scratch, |bytes| frame::cut(bytes, &mut take))
    }

    /// Takes in what has come until nothing more is there: a read that comes back short says so itself. `take` tells how
    /// much it took; the rest is there again before what comes next.
    pub(crate) fn read(
        &mut self,
        scratch: &mut [u8],
        mut take: impl FnMut(&[u8]) -> Result<usize, String>,
    ) -> Result<(), String> {
        loop {
            let held = self.held.len();
            scratch[..held].copy_from_slice(&self.held);
            let read = match self.stream.read(&mut scratch[held..]) {
                Ok(0) => return Err("the broker closed a connection".to_owned()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("a connection ended: {error}")),
            };
            let end = held + read;
            let taken = take(&scratch[..end])?;
            self.held.clear();
            self.held.extend_from_slice(&scratch[taken..end]);
            if end < scratch.len() {
                return Ok(());
            }
        }
    }

    /// Sends at once what the socket takes, and keeps the rest for `flush`.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        let sent = if self.is_clear() { self.write(bytes)? } else { 0 };
        self.pending.extend_from_slice(&bytes[sent..]);
        Ok(())
    }

    /// The socket has room again.
    pub(crate) fn flush(&mut self) -> Result<(), String> {
        if self.is_clear() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        let sent = self.write(&pending)?;
        self.pending = pending;
        self.pending.drain(..sent);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, String> {
        loop {
            match self.stream.write(bytes) {
                Ok(sent) => return Ok(sent),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("a connection ended: {error}")),
            }
        }
    }
}
