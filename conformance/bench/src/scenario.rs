//! Who publishes what to whom.

use crate::frame::Version;
use crate::generator::Filters;

/// A load of messages.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    /// How many messages go out in one write.
    pub(crate) per_write: usize,
    /// How many writes of a publisher may be on their way until the last subscriber has them: what is measured is a
    /// broker that keeps up, not its queues, and not how much gathers in a socket while the machine does something else.
    pub(crate) window: u64,
    pub(crate) payload: usize,
    pub(crate) qos: u8,
    pub(crate) version: Version,
    /// How many messages a second are due, each in a write of its own; without it, as many as the windows let through.
    pub(crate) rate: Option<u32>,
    pub(crate) beside: Beside,
}

/// Publishers, topics and subscribers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Many publish on one topic, one receives.
    FanIn(u32),
    /// Each pair has a topic of its own.
    Pairs(u32),
    /// One publishes, many receive.
    FanOut(u32),
    /// As many publish on one topic as share what comes.
    Shared(u32),
    /// So many wildcard filters; publishers go through topics that match one each.
    Filters(u32),
}

/// What else the broker has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    Nothing,
    /// Connections that do nothing.
    Idle(u32),
    /// The subscriber of a busy topic reads no more.
    Slow,
}

/// Publishers in the scenarios where many filters wait.
const FILTER_PUBLISHERS: u32 = 50;

/// Who holds those filters.
const FILTER_HOLDERS: u32 = 100;

const PLAIN: Scenario = Scenario {
    name: "",
    shape: Shape::Pairs(50),
    per_write: 16,
    window: 2,
    payload: 16,
    qos: 0,
    version: Version::V311,
    rate: None,
    beside: Beside::Nothing,
};

const fn at(rate: u32, name: &'static str, shape: Shape, payload: usize, qos: u8) -> Scenario {
    Scenario { name, shape, per_write: 1, payload, qos, rate: Some(rate), ..PLAIN }
}

/// As fast as goes: the broker has no rest.
pub(crate) const BATCHED: [Scenario; 20] = [
    Scenario { name: "fan-in b1", shape: Shape::FanIn(50), per_write: 1, window: 1, ..PLAIN },
    Scenario { name: "fan-in b16", shape: Shape::FanIn(50), ..PLAIN },
    Scenario { name: "fan-in q1", shape: Shape::FanIn(50), qos: 1, ..PLAIN },
    Scenario { name: "fan-in q2", shape: Shape::FanIn(50), qos: 2, ..PLAIN },
    Scenario { name: "pairs b1", per_write: 1, window: 1, ..PLAIN },
    Scenario { name: "pairs b16", ..PLAIN },
    Scenario { name: "pairs b16 v5", version: Version::V5, ..PLAIN },
    Scenario { name: "pairs 256 B", payload: 256, ..PLAIN },
    Scenario { name: "pairs 4 KiB", payload: 4_096, ..PLAIN },
    Scenario { name: "pairs q1", qos: 1, ..PLAIN },
    Scenario { name: "pairs q1 v5", qos: 1, version: Version::V5, ..PLAIN },
    Scenario { name: "pairs q2", qos: 2, ..PLAIN },
    Scenario { name: "fan-out 1:100", shape: Shape::FanOut(100), ..PLAIN },
    Scenario { name: "fan-out 1:100 4 KiB", shape: Shape::FanOut(100), payload: 4_096, ..PLAIN },
    Scenario { name: "fan-out 1:1000", shape: Shape::FanOut(1_000), ..PLAIN },
    Scenario { name: "fan-out 1:1000 q1", shape: Shape::FanOut(1_000), qos: 1, ..PLAIN },
    Scenario { name: "shared q0", shape: Shape::Shared(50), ..PLAIN },
    Scenario { name: "shared q1", shape: Shape::Shared(50), qos: 1, ..PLAIN },
    Scenario { name: "filters 1k", shape: Shape::Filters(1_000), ..PLAIN },
    Scenario { name: "filters 100k", shape: Shape::Filters(100_000), ..PLAIN },
];

/// What it costs to subscribe, and to find one of so many filters.
pub(crate) const MATCHING: [Scenario; 4] = [
    Scenario { name: "1,000", shape: Shape::Filters(1_000), ..PLAIN },
    Scenario { name: "10,000", shape: Shape::Filters(10_000), ..PLAIN },
    Scenario { name: "100,000", shape: Shape::Filters(100_000), ..PLAIN },
    Scenario { name: "1,000,000", shape: Shape::Filters(1_000_000), ..PLAIN },
];

/// What two cores are compared with one by, and several transports with one another.
pub(crate) const PAIRS: Scenario = Scenario { name: "pairs b16", ..PLAIN };

/// At the pace of devices: each message wakes somebody.
pub(crate) const PACED: [Scenario; 8] = [
    at(20_000, "iot_q0", Shape::Pairs(4_000), 256, 0),
    at(20_000, "iot_q1", Shape::Pairs(4_000), 256, 1),
    at(40_000, "tele_q0", Shape::FanIn(4_000), 64, 0),
    at(1_000, "lat_q0", Shape::Pairs(10), 16, 0),
    at(1_000, "lat_q1", Shape::Pairs(10), 16, 1),
    Scenario {
        beside: Beside::Idle(10_000),
        ..at(1_000, "lat_q0 beside 10,000 idle", Shape::Pairs(10), 16, 0)
    },
    Scenario { beside: Beside::Slow, ..at(1_000, "lat_q0 beside a slow consumer", Shape::Pairs(10), 16, 0) },
    Scenario { beside: Beside::Slow, ..at(1_000, "lat_q1 beside a slow consumer", Shape::Pairs(10), 16, 1) },
];

impl Scenario {
    /// Whether something that copies bytes can stand for a broker here.
    pub(crate) fn suits_relay(&self) -> bool {
        let plain = !matches!(self.shape, Shape::Shared(_) | Shape::Filters(_));
        plain && self.qos == 0 && self.version == Version::V311 && self.beside != Beside::Slow
    }

    /// It knows no MQTT 5 and no share groups, and stores what is above QoS 0.
    pub(crate) fn suits_nats(&self) -> bool {
        self.qos == 0 && self.version == Version::V311 && !matches!(self.shape, Shape::Shared(_))
    }

    /// Whether it is measured how long a message takes: from when it was due, else from when it was sent.
    pub(crate) fn is_timed(&self) -> bool {
        self.per_write == 1
    }

    pub(crate) fn filters(&self, subscriber: u32) -> Filters {
        let (filter, numbers): (fn(u32) -> String, _) = match self.shape {
            Shape::FanIn(_) | Shape::FanOut(_) => (plain, 0..1),
            Shape::Pairs(_) => (plain, subscriber..subscriber + 1),
            Shape::Shared(_) => (shared, 0..1),
            Shape::Filters(_) => {
                let held = self.shape.received();
                (wildcard, subscriber * held..(subscriber + 1) * held)
            }
        };
        Filters { filter, numbers, qos: self.qos }
    }
}

impl Shape {
    pub(crate) fn publishers(self) -> u32 {
        match self {
            Self::FanIn(many) | Self::Pairs(many) | Self::Shared(many) => many,
            Self::FanOut(_) => 1,
            Self::Filters(_) => FILTER_PUBLISHERS,
        }
    }

    pub(crate) fn subscribers(self) -> u32 {
        match self {
            Self::FanIn(_) => 1,
            Self::Pairs(many) | Self::FanOut(many) | Self::Shared(many) => many,
            Self::Filters(_) => FILTER_HOLDERS,
        }
    }

    /// Pairs of a publisher and a topic. Publisher `p` has the streams `p`, `p + publishers`, `p + 2 * publishers`, …
    pub(crate) fn streams(self) -> u32 {
        match self {
            Self::Filters(filters) => filters,
            _ => self.publishers(),
        }
    }

    /// How many streams come to one subscriber, and the first of them.
    pub(crate) fn received(self) -> u32 {
        match self {
            Self::Pairs(_) => 1,
            Self::Filters(filters) => filters / FILTER_HOLDERS,
            _ => self.streams(),
        }
    }

    pub(crate) fn first(self, subscriber: u32) -> u32 {
        match self {
            Self::Pairs(_) | Self::Filters(_) => subscriber * self.received(),
            _ => 0,
        }
    }

    /// How many deliveries a message makes.
    pub(crate) fn copies(self) -> u32 {
        if let Self::FanOut(many) = self { many } else { 1 }
    }

    /// A topic, and where the digits of its number are that differ from stream to stream.
    pub(crate) fn topic(self) -> (String, Option<usize>) {
        match self {
            Self::FanIn(_) | Self::FanOut(_) | Self::Shared(_) => (plain(0), None),
            Self::Pairs(_) => (plain(0), Some(6)),
            Self::Filters(_) => ("p/0000000/x/temp".to_owned(), Some(2)),
        }
    }
}

fn plain(number: u32) -> String {
    format!("bench/{number:07}")
}

fn shared(number: u32) -> String {
    format!("$share/group/bench/{number:07}")
}

pub(crate) fn wildcard(number: u32) -> String {
    format!("p/{number:07}/+/temp")
}

/// Writes a number of seven digits.
pub(crate) fn digits(into: &mut [u8], mut number: u32) {
    for digit in into.iter_mut().take(7).rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stream_comes_to_the_subscribers_that_its_topic_matches() {
        for scenario in BATCHED.iter().chain(&PACED).chain(&MATCHING) {
            let shape = scenario.shape;
            let received = shape.received() * shape.subscribers();
            let copies = if let Shape::Shared(members) = shape { members } else { shape.copies() };
            assert_eq!(received, shape.streams() * copies, "{}", scenario.name);
            for number in 0..2.min(shape.subscribers()) {
                let filters = scenario.filters(number);
                if matches!(shape, Shape::Pairs(_) | Shape::Filters(_)) {
                    assert_eq!(filters.numbers.start, shape.first(number), "{}", scenario.name);
                    assert_eq!(filters.numbers.len() as u32, shape.received(), "{}", scenario.name);
                }
            }
        }
    }

    #[test]
    fn the_digits_of_a_topic_are_those_of_its_filter() {
        let (mut topic, place) = Shape::Filters(1_000).topic();
        let mut bytes = std::mem::take(&mut topic).into_bytes();
        digits(&mut bytes[place.unwrap()..], 421);
        assert_eq!(String::from_utf8(bytes).unwrap(), "p/0000421/x/temp");
        assert_eq!(wildcard(421), "p/0000421/+/temp");
    }
}
