use std::time::{Duration, Instant};

use super::Mark;
use crate::frame::{self, Batch, Publish, Version, kind};
use crate::generator::{Client, Fleet};
use crate::scenario::digits;
use crate::stamp::Stamp;
use crate::subject::{Broker, Manner, Subject};
use crate::table::{Figure, Measure};

/// How many messages are retained.
const MESSAGES: u32 = 50_000;

const PUBLISHERS: u32 = 10;

/// Messages in one write of a publisher, which waits for their acknowledgements before the next.
const PER_WRITE: usize = 16;

/// Subscribers that get all of them, one after another.
const SUBSCRIBERS: usize = 3;

/// How long nothing may come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Messages that are retained, and come again for those who subscribe later.
pub(crate) fn retained(subject: &Subject, manner: Manner) -> Result<Vec<Figure>, String> {
    let broker = subject.start(manner)?;
    let mut fleet = Fleet::new(broker.address, Version::V311)?;
    let clients = PUBLISHERS as usize + SUBSCRIBERS;
    fleet.open((0..clients).map(|number| Client { id: format!("r{number}"), filters: None }))?;
    let (mark, began) = (Mark::of(&broker)?, Instant::now());
    set(&mut fleet)?;
    let took = began.elapsed().as_secs_f64();
    let (each, bytes) =
        (mark.cpu_each(&broker, MESSAGES.into())?, mark.bytes_each(&broker, MESSAGES.into())?);
    let (replayed, replay_took) = replay(&mut fleet, &broker)?;
    let figure = |row, value| Figure::new(Measure::Retained, row, value);
    Ok(vec![
        figure("CPU to set one at QoS 1, µs", each),
        figure("set in a second", f64::from(MESSAGES) / took),
        figure("memory of one, bytes", bytes),
        figure("CPU to replay one to a subscriber of p/+/r, µs", replayed),
        figure("replayed in a second", f64::from(MESSAGES) / replay_took),
    ])
}

/// Publisher `p` sets the topics `p`, `p + PUBLISHERS`, `p + 2 * PUBLISHERS`, …
fn set(fleet: &mut Fleet) -> Result<(), String> {
    let mut batch = Batch::new(PER_WRITE, "p/0000000/r", Stamp::LENGTH, 1, true, Version::V311);
    let mut next: Vec<u32> = (0..PUBLISHERS).collect();
    let mut awaited = vec![0; next.len()];
    let (mut acknowledged, mut moved) = (0, Instant::now());
    while acknowledged < MESSAGES {
        for (publisher, next) in next.iter_mut().enumerate().filter(|(_, next)| **next < MESSAGES) {
            if awaited[publisher] > 0 {
                continue;
            }
            let topics = (*next..MESSAGES).step_by(PUBLISHERS as usize).take(PER_WRITE);
            for (place, topic) in topics.enumerate() {
                digits(&mut batch.topic(place, 9)[2..], topic);
                batch.set_id(place, place as u16 + 1);
                batch.set_stamp(place, Stamp { stream: topic, sequence: 0, due: 0 });
                *next = topic + PUBLISHERS;
                awaited[publisher] += 1;
            }
            fleet.wires[publisher].send(batch.bytes(awaited[publisher]))?;
        }
        let any = fleet.turn(Duration::from_millis(10), |number, first, body, _| {
            if first != kind::PUBACK {
                return Err(format!("a publisher got {first:02x} {body:02x?}"));
            }
            awaited[number] -= 1;
            acknowledged += 1;
            Ok(())
        })?;
        wait(any, &mut moved, || format!("{acknowledged} of {MESSAGES} are acknowledged"))?;
    }
    Ok(())
}

/// Returns the CPU time for one message in microseconds, and how long it took until a subscriber had all, in seconds.
fn replay(fleet: &mut Fleet, broker: &Broker) -> Result<(f64, f64), String> {
    let (mark, began) = (Mark::of(broker)?, Instant::now());
    for subscriber in PUBLISHERS as usize..PUBLISHERS as usize + SUBSCRIBERS {
        let mut seen = vec![false; MESSAGES as usize];
        let (mut count, mut moved) = (0, Instant::now());
        let filter = std::iter::once("p/+/r".to_owned());
        fleet.wires[subscriber].send(&frame::subscribe(1, filter, 0, Version::V311))?;
        while count < MESSAGES {
            let any = fleet.turn(Duration::from_millis(10), |_, first, body, _| {
                if first & 0xf0 != kind::PUBLISH {
                    return Ok(());
                }
                let publish = Publish::parse(first, body, Version::V311).ok_or("a malformed PUBLISH")?;
                let stamp = Stamp::decode(publish.payload).ok_or("a payload that is too short")?;
                let seen = seen.get_mut(stamp.stream as usize).ok_or("a message that nobody sent")?;
                if std::mem::replace(seen, true) {
                    return Err(format!("retained message {} came twice", stamp.stream));
                }
                count += 1;
                Ok(())
            })?;
            wait(any, &mut moved, || format!("{count} of {MESSAGES} retained messages came"))?;
        }
    }
    let took = began.elapsed().as_secs_f64() / SUBSCRIBERS as f64;
    Ok((mark.cpu_each(broker, u64::from(MESSAGES) * SUBSCRIBERS as u64)?, took))
}

fn wait(any: bool, moved: &mut Instant, state: impl Fn() -> String) -> Result<(), String> {
    if any {
        *moved = Instant::now();
    }
    if moved.elapsed() > PATIENCE { Err(state()) } else { Ok(()) }
}
