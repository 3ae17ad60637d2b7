use std::time::Duration;

use crate::generator::Load;
use crate::process;
use crate::scenario::PAIRS;
use crate::subject::{Manner, Subject};
use crate::table::{Figure, Measure};

/// One thread on one core, then two threads on both, which the load needs too. The rate says little on so small a
/// machine; what a message costs says how much more two cores can do than one: 1.6 times as much, if it costs 1.25
/// times as much.
pub(crate) fn cores(subject: &Subject, span: Duration) -> Result<Vec<Figure>, String> {
    let figure = |row: &str, value| Figure::new(Measure::Cores, row, value);
    let one = run(subject, Manner { pinned: true, threads: Some(1), ..Manner::default() }, span)?;
    let two = run(subject, Manner { pinned: false, threads: Some(2), ..Manner::default() }, span)?;
    Ok(vec![
        figure("one core, 1 thread: CPU per delivery, µs", one.cpu),
        figure("two cores, 2 threads: CPU per delivery, µs", two.cpu),
        figure("so two cores can do so many times what one does", 2.0 * one.cpu / two.cpu),
        figure("one core: deliveries per second", one.rate),
        figure("two cores, one of them shared with the load: deliveries per second", two.rate),
        figure("two cores: the broker's share of a core, %", two.broker),
        figure("two cores: the load's share of a core, %", two.load),
    ])
}

struct Run {
    cpu: f64,
    rate: f64,
    broker: f64,
    load: f64,
}

fn run(subject: &Subject, manner: Manner, span: Duration) -> Result<Run, String> {
    let broker = subject.start(manner)?;
    let mut load = Load::connect(&PAIRS, broker.address)?;
    load.subscribe()?;
    let own = process::own_cpu();
    let outcome = load.run(span, || broker.cpu())?;
    let own = process::own_cpu() - own;
    let (cost, seconds) = (outcome.cost.as_secs_f64(), outcome.span.as_secs_f64());
    Ok(Run {
        cpu: cost * 1e6 / outcome.deliveries.max(1) as f64,
        rate: outcome.deliveries as f64 / seconds,
        broker: cost / seconds * 100.0,
        load: own.as_secs_f64() / seconds * 100.0,
    })
}
