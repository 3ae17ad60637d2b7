use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::fleet::PATIENCE;
use super::inbox::{Inbox, acknowledged};
use super::pace::Pace;
use super::{Client, Filters, Fleet};
use crate::frame::{Batch, Version};
use crate::histogram::Histogram;
use crate::scenario::{Beside, Scenario, Shape, digits};
use crate::sequence::Sequence;
use crate::stamp::Stamp;

/// The connections of a scenario, and what is on its way. They are numbered: subscribers, publishers, bystanders.
pub(crate) struct Load<'a> {
    scenario: &'a Scenario,
    fleet: Fleet,
    publishers: Vec<Publisher>,
    first_publisher: usize,
    windows: Vec<Window>,
    /// The next number of each stream.
    sequences: Vec<u32>,
    sequence: Sequence,
    batch: Batch,
    digits: Option<usize>,
    busy: Option<Busy>,
    turn: usize,
    sent: u64,
    received: u64,
    unfinished: u64,
    latency: Histogram,
    acknowledgements: Vec<u8>,
    began: Instant,
}

/// What a run came to.
pub(crate) struct Outcome {
    pub(crate) deliveries: u64,
    /// What `cost` told of the time from the start to the last delivery.
    pub(crate) cost: Duration,
    /// How long that took.
    pub(crate) span: Duration,
    pub(crate) latency: Histogram,
}

struct Publisher {
    stream: u32,
    unfinished: u32,
    id: u16,
}

/// What one publisher has on its way.
#[derive(Clone, Default)]
pub(super) struct Window {
    sent: u64,
    pub(super) received: u64,
}

/// The publisher of a topic whose subscriber reads no more.
struct Busy {
    wire: usize,
    batch: Batch,
    pace: Pace,
}

/// How many messages above QoS 0 a publisher leaves unacknowledged.
const UNFINISHED: u32 = 64;

/// How long the load listens for what comes twice.
const QUIET: Duration = Duration::from_millis(50);

/// How long nothing may come while something is due before it counts as lost.
const LOST: Duration = Duration::from_secs(5);

/// What goes to a subscriber that does not read: 40 MB a second.
const BUSY_RATE: u32 = 10_000;
const BUSY_PAYLOAD: usize = 4_096;
const BUSY_TOPIC: &str = "busy/0000000";

impl<'a> Load<'a> {
    /// Connects everybody.
    pub(crate) fn connect(scenario: &'a Scenario, address: SocketAddr) -> Result<Self, String> {
        let shape = scenario.shape;
        let mut fleet = Fleet::new(address, scenario.version)?;
        fleet.open(clients("s", shape.subscribers()))?;
        let first_publisher = fleet.wires.len();
        fleet.open(clients("p", shape.publishers()))?;
        let busy = bystanders(scenario.beside, &mut fleet)?;
        let (topic, digits) = shape.topic();
        let batch =
            Batch::new(scenario.per_write, &topic, scenario.payload, scenario.qos, false, scenario.version);
        let places = shape.received() as usize * shape.subscribers() as usize;
        let streams = shape.streams() as usize;
        let sequence = match shape {
            Shape::Shared(_) => Sequence::shared(places, streams),
            _ => Sequence::new(places),
        };
        let publisher = |stream| Publisher { stream, unfinished: 0, id: 0 };
        Ok(Self {
            scenario,
            fleet,
            publishers: (0..shape.publishers()).map(publisher).collect(),
            first_publisher,
            windows: vec![Window::default(); shape.publishers() as usize],
            sequences: vec![0; streams],
            sequence,
            batch,
            digits,
            busy,
            turn: 0,
            sent: 0,
            received: 0,
            unfinished: 0,
            latency: Histogram::new(),
            acknowledgements: Vec::with_capacity(64 << 10),
            began: Instant::now(),
        })
    }

    /// Subscribes what the scenario asks for.
    pub(crate) fn subscribe(&mut self) -> Result<(), String> {
        let subscribers = 0..self.scenario.shape.subscribers();
        let scenario = self.scenario;
        self.fleet.subscribe(subscribers.map(|number| (number as usize, scenario.filters(number))))
    }

    /// Publishes for a while and waits for the rest. What is lost, out of order or there twice is an error.
    pub(crate) fn run(
        mut self,
        span: Duration,
        cost: impl Fn() -> Option<Duration>,
    ) -> Result<Outcome, String> {
        let cost = || cost().ok_or_else(|| "the broker has ended".to_owned());
        let before = cost()?;
        self.began = Instant::now();
        let mut pace = self.scenario.rate.map(Pace::new);
        self.publish_and_receive(span, &mut pace)?;
        let (cost, span) = (cost()? - before, self.began.elapsed());
        self.listen()?;
        let faults = self.sequence.close(self.due(), self.received);
        if faults.any() {
            return Err(format!("{faults}, of {}", self.due()));
        }
        Ok(Outcome { deliveries: self.received, cost, span, latency: self.latency })
    }

    fn due(&self) -> u64 {
        self.sent * u64::from(self.scenario.shape.copies())
    }

    fn publish_and_receive(&mut self, span: Duration, pace: &mut Option<Pace>) -> Result<(), String> {
        let mut moved = Instant::now();
        loop {
            let now = Instant::now();
            let elapsed = now - self.began;
            let ends = elapsed >= span;
            if ends && self.received >= self.due() {
                return Ok(());
            }
            let sent = match (ends, pace.as_mut()) {
                (true, _) => false,
                (false, Some(pace)) => self.publish_due(pace, elapsed)?,
                (false, None) => self.publish()?,
            };
            // With a schedule the load never sleeps, so that what it measures is not its own waking up.
            let spins = sent || (!ends && pace.is_some());
            self.fleet.wait(Some(if spins { Duration::ZERO } else { Duration::from_millis(10) }))?;
            if self.receive()? || sent {
                moved = now;
            } else if now - moved > LOST {
                return Ok(());
            }
        }
    }

    /// Waits for the last acknowledgements, and a little for what nobody expects.
    fn listen(&mut self) -> Result<(), String> {
        let ended = Instant::now();
        while ended.elapsed() < QUIET || self.unfinished > 0 {
            if ended.elapsed() > PATIENCE {
                return Err(format!("{} messages are not acknowledged", self.unfinished));
            }
            self.fleet.wait(Some(Duration::from_millis(5)))?;
            self.receive()?;
        }
        Ok(())
    }

    /// A write of each publisher that may; returns whether there was any. Each turn begins with another.
    fn publish(&mut self) -> Result<bool, String> {
        let Scenario { shape, per_write: many, window: writes, .. } = *self.scenario;
        let copies = u64::from(shape.copies());
        let mut any = false;
        for step in 0..self.publishers.len() {
            let index = (self.turn + step) % self.publishers.len();
            let window = &self.windows[index];
            if (window.sent + many as u64) * copies > window.received + writes * many as u64 * copies {
                continue;
            }
            let wire = self.first_publisher + index;
            let waits = self.scenario.qos > 0 && self.publishers[index].unfinished + many as u32 > UNFINISHED;
            if waits || !self.fleet.wires[wire].is_clear() {
                continue;
            }
            let due = if self.scenario.is_timed() { self.began.elapsed().as_nanos() as u64 } else { 0 };
            for message in 0..many {
                self.fill(message, index, due);
            }
            self.fleet.wires[wire].send(self.batch.bytes(many))?;
            any = true;
        }
        self.turn += 1;
        Ok(any)
    }

    /// All that is due by now, each message in a write of its own and from another publisher.
    fn publish_due(&mut self, pace: &mut Pace, elapsed: Duration) -> Result<bool, String> {
        let mut any = false;
        while let Some(due) = pace.next(elapsed) {
            let index = self.turn % self.publishers.len();
            self.turn += 1;
            self.fill(0, index, due);
            self.fleet.wires[self.first_publisher + index].send(self.batch.bytes(1))?;
            any = true;
        }
        if let Some(busy) = &mut self.busy {
            while busy.pace.next(elapsed).is_some() {
                // A broker may hold up the publisher of what nobody reads.
                if self.fleet.wires[busy.wire].is_clear() {
                    self.fleet.wires[busy.wire].send(busy.batch.bytes(1))?;
                }
            }
        }
        Ok(any)
    }

    /// Makes one message of a batch the next of its publisher.
    fn fill(&mut self, message: usize, index: usize, due: u64) {
        let publisher = &mut self.publishers[index];
        let stream = publisher.stream;
        publisher.stream += self.scenario.shape.publishers();
        if publisher.stream >= self.sequences.len() as u32 {
            publisher.stream = index as u32;
        }
        if self.scenario.qos > 0 {
            publisher.id = publisher.id.checked_add(1).unwrap_or(1);
            publisher.unfinished += 1;
            self.unfinished += 1;
            self.batch.set_id(message, publisher.id);
        }
        if let Some(at) = self.digits {
            digits(&mut self.batch.topic(message, at + 7)[at..], stream);
        }
        let number = &mut self.sequences[stream as usize];
        self.batch.set_stamp(message, Stamp { stream, sequence: *number, due });
        *number = number.wrapping_add(1);
        self.windows[index].sent += 1;
        self.sent += 1;
    }

    /// Takes all that has come; returns whether anything has.
    fn receive(&mut self) -> Result<bool, String> {
        let mut any = false;
        let Self { scenario, fleet, acknowledgements: answers, .. } = self;
        let Fleet { events, wires, scratch, .. } = fleet;
        // One look at the clock for all that came together.
        let now = if scenario.is_timed() { self.began.elapsed().as_nanos() as u64 } else { 0 };
        let last = self.first_publisher + self.publishers.len();
        for event in events.iter() {
            let number = event.token().0;
            let Some(wire) = wires.get_mut(number) else { continue };
            if event.is_writable() {
                wire.flush()?;
            }
            if number >= last || !event.is_readable() {
                continue;
            }
            answers.clear();
            if number < self.first_publisher {
                let mut inbox = Inbox {
                    scenario,
                    subscriber: number as u32,
                    windows: &mut self.windows,
                    sequence: &mut self.sequence,
                    received: &mut self.received,
                    latency: (now > 0).then_some((now, &mut self.latency)),
                };
                wire.receive(scratch, |first, body| inbox.take(first, body, answers))?;
            } else {
                let publisher = &mut self.publishers[number - self.first_publisher];
                wire.receive(scratch, |first, body| {
                    let finished = acknowledged(first, body, answers)?;
                    let rest = publisher.unfinished.checked_sub(finished);
                    publisher.unfinished = rest.ok_or("a message is acknowledged twice")?;
                    self.unfinished -= u64::from(finished);
                    Ok(())
                })?;
            }
            if !answers.is_empty() {
                wire.send(answers)?;
            }
            any = true;
        }
        Ok(any)
    }
}

fn clients(prefix: &str, many: u32) -> impl Iterator<Item = Client> {
    (0..many).map(move |number| Client { id: format!("{prefix}{number}"), filters: None })
}

/// Connects those who are there besides.
fn bystanders(beside: Beside, fleet: &mut Fleet) -> Result<Option<Busy>, String> {
    match beside {
        Beside::Nothing => Ok(None),
        Beside::Idle(many) => {
            fleet.open(clients("i", many))?;
            Ok(None)
        }
        Beside::Slow => {
            let filters = Filters { filter: |_| BUSY_TOPIC.to_owned(), numbers: 0..1, qos: 0 };
            let slow = Client { id: "slow".to_owned(), filters: Some(filters) };
            let busy = Client { id: "busy".to_owned(), filters: None };
            fleet.open([slow, busy].into_iter())?;
            let batch = Batch::new(1, BUSY_TOPIC, BUSY_PAYLOAD, 0, false, Version::V311);
            Ok(Some(Busy { wire: fleet.wires.len() - 1, batch, pace: Pace::new(BUSY_RATE) }))
        }
    }
}
