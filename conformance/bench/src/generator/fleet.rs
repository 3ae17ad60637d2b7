use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use super::Wire;
use crate::frame::{self, Version, kind};

/// All connections of a load, by number.
pub(crate) struct Fleet {
    address: SocketAddr,
    version: Version,
    pub(super) poll: Poll,
    pub(super) events: Events,
    pub(crate) wires: Vec<Wire>,
    pub(crate) scratch: Vec<u8>,
}

/// Who connects, and what it subscribes.
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) filters: Option<Filters>,
}

/// Filters by number, all of one shape.
#[derive(Clone, Debug)]
pub(crate) struct Filters {
    pub(crate) filter: fn(u32) -> String,
    pub(crate) numbers: Range<u32>,
    pub(crate) qos: u8,
}

/// Handshakes that are under way at once.
const AT_ONCE: usize = 64;

/// Filters in one SUBSCRIBE.
const PER_SUBSCRIBE: u32 = 50;

/// Connections from one source address: with many more each must search long for a free port.
const PER_SOURCE: usize = 8_000;

/// How long nothing may happen before a broker counts as stuck.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// What one read may bring. A quarter of a megabyte would not stay in a core's own cache.
const SCRATCH: usize = 128 << 10;

/// How many files this process may have open, after asking for as many as possible.
pub(crate) fn open_files() -> usize {
    rlimit::increase_nofile_limit(u64::MAX).map_or(1_024, |limit| limit as usize)
}

/// Where an opening connection stands.
struct Opening {
    number: usize,
    filters: Option<Filters>,
    /// Those that the SUBSCRIBE on its way asks for.
    asked: usize,
}

impl Fleet {
    pub(crate) fn new(address: SocketAddr, version: Version) -> Result<Self, String> {
        let poll = Poll::new().map_err(|error| format!("epoll: {error}"))?;
        let (events, scratch) = (Events::with_capacity(1_024), vec![0; SCRATCH]);
        Ok(Self { address, version, poll, events, wires: Vec::new(), scratch })
    }

    pub(super) fn wait(&mut self, at_most: Option<Duration>) -> Result<(), String> {
        match self.poll.poll(&mut self.events, at_most) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => Err(format!("epoll: {error}")),
            _ => Ok(()),
        }
    }

    /// Connects everybody, some at a time, until the last has what it subscribed.
    pub(crate) fn open(&mut self, mut clients: impl Iterator<Item = Client>) -> Result<(), String> {
        self.drive(|fleet| clients.next().map(|client| fleet.begin(client)).transpose())
    }

    /// Subscribes for those who are connected, some at a time.
    pub(crate) fn subscribe(
        &mut self,
        mut wishes: impl Iterator<Item = (usize, Filters)>,
    ) -> Result<(), String> {
        self.drive(|fleet| {
            let Some((number, filters)) = wishes.next() else { return Ok(None) };
            let mut opening = Opening { number, filters: Some(filters), asked: 0 };
            fleet.ask(&mut opening)?;
            Ok(Some(opening))
        })
    }

    /// Hands over each frame that has come, with its connection's number and a place for what is answered.
    pub(crate) fn turn(
        &mut self,
        at_most: Duration,
        mut take: impl FnMut(usize, u8, &[u8], &mut Vec<u8>) -> Result<(), String>,
    ) -> Result<bool, String> {
        self.wait(Some(at_most))?;
        let Self { events, wires, scratch, .. } = self;
        let mut answers = Vec::new();
        for event in events.iter() {
            let number = event.token().0;
            let wire = &mut wires[number];
            wire.flush()?;
            wire.receive(scratch, |first, body| take(number, first, body, &mut answers))?;
            if !answers.is_empty() {
                wire.send(&answers)?;
                answers.clear();
            }
        }
        Ok(!events.is_empty())
    }

    fn drive(
        &mut self,
        mut next: impl FnMut(&mut Self) -> Result<Option<Opening>, String>,
    ) -> Result<(), String> {
        let mut opening: Vec<Opening> = Vec::with_capacity(AT_ONCE);
        let mut moved = Instant::now();
        loop {
            while opening.len() < AT_ONCE
                && let Some(another) = next(self)?
            {
                opening.push(another);
            }
            if opening.is_empty() {
                return Ok(());
            }
            self.wait(Some(Duration::from_millis(100)))?;
            let numbers: Vec<usize> = self.events.iter().map(|event| event.token().0).collect();
            for number in numbers {
                moved = Instant::now();
                self.wires[number].flush()?;
                let Some(place) = opening.iter().position(|opening| opening.number == number) else {
                    continue;
                };
                if self.advance(&mut opening[place])? {
                    opening.swap_remove(place);
                }
            }
            if moved.elapsed() > PATIENCE {
                return Err(format!("{} clients are not answered", opening.len()));
            }
        }
    }

    fn begin(&mut self, client: Client) -> Result<Opening, String> {
        let number = self.wires.len();
        let source = Ipv4Addr::new(127, 0, 0, 1 + (number / PER_SOURCE) as u8);
        let wire = Wire::connect(self.address, source);
        let mut wire = wire.map_err(|error| format!("connection {number} cannot be made: {error}"))?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(&mut wire.stream, Token(number), interest);
        registered.map_err(|error| format!("epoll: {error}"))?;
        wire.send(&frame::connect(&client.id, self.version))?;
        self.wires.push(wire);
        Ok(Opening { number, filters: client.filters, asked: 0 })
    }

    /// Reads answers and asks for more; returns whether the client has all it wanted.
    fn advance(&mut self, opening: &mut Opening) -> Result<bool, String> {
        let mut answered = false;
        let asked = opening.asked;
        self.wires[opening.number].receive(&mut self.scratch, |first, body| match first {
            kind::CONNACK if body.get(1) == Some(&0) => {
                answered = true;
                Ok(())
            }
            kind::SUBACK => {
                let refused = body.iter().rev().take(asked).find(|&&code| code > 2);
                answered = true;
                refused.map_or(Ok(()), |code| Err(format!("a filter is refused with {code:#04x}")))
            }
            _ => Err(format!("a client is answered {first:02x} {body:02x?}")),
        })?;
        Ok(answered && !self.ask(opening)?)
    }

    /// Sends the next SUBSCRIBE, if there is one.
    fn ask(&mut self, opening: &mut Opening) -> Result<bool, String> {
        let Some(filters) = opening.filters.as_mut().filter(|filters| !filters.numbers.is_empty()) else {
            return Ok(false);
        };
        let end = filters.numbers.end.min(filters.numbers.start + PER_SUBSCRIBE);
        let some = filters.numbers.start..end;
        opening.asked = some.len();
        filters.numbers.start = end;
        let subscribe = frame::subscribe(1, some.map(filters.filter), filters.qos, self.version);
        self.wires[opening.number].send(&subscribe)?;
        Ok(true)
    }
}
