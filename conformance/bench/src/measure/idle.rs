use std::time::{Duration, Instant};

use super::Mark;
use crate::frame::Version;
use crate::generator::{Client, Filters, Fleet, open_files};
use crate::subject::{Manner, Subject};
use crate::table::{Figure, Measure};

/// Connections that are made before anything is counted: what a broker needs but once is there then.
const FIRST: u32 = 100;

/// As many as are measured, if that many files may be open.
const MOST: usize = 19_000;

/// Files this process needs for other things.
const OTHER_FILES: usize = 200;

/// How long a broker has to give back what it needed for connecting.
const REST: Duration = Duration::from_secs(1);

/// Connections that do nothing: what each holds, and what it took to make it.
pub(crate) fn idle(subscribed: bool, subject: &Subject, manner: Manner) -> Result<Vec<Figure>, String> {
    let broker = subject.start(manner)?;
    let mut fleet = Fleet::new(broker.address, Version::V311)?;
    let client = |number: u32| {
        let filters =
            Filters { filter: |number| format!("idle/{number:07}"), numbers: number..number + 1, qos: 0 };
        Client { id: format!("idle-{number:07}"), filters: subscribed.then_some(filters) }
    };
    fleet.open((0..FIRST).map(client))?;
    let many = (open_files() - OTHER_FILES).min(MOST) as u32 - FIRST;
    let (mark, began) = (Mark::of(&broker)?, Instant::now());
    fleet.open((FIRST..FIRST + many).map(client))?;
    let took = began.elapsed().as_secs_f64();
    let each = mark.cpu_each(&broker, many.into())?;
    let connected = Mark::of(&broker)?;
    std::thread::sleep(REST);
    let percent = connected.cpu_each(&broker, 1)? / REST.as_micros() as f64 * 100.0;
    let with = if subscribed { "with one subscription" } else { "without a subscription" };
    Ok(vec![
        Figure::new(
            Measure::Memory,
            format!("idle connection {with}, bytes"),
            mark.bytes_each(&broker, many.into())?,
        ),
        Figure::new(Measure::Connect, format!("CPU {with}, µs"), each),
        Figure::new(Measure::Connect, format!("connections made in a second {with}"), f64::from(many) / took),
        Figure::new(Measure::Connect, format!("CPU in the second after {with}, % of a core"), percent),
    ])
}
