use std::time::{Duration, Instant};

use super::Mark;
use crate::generator::Load;
use crate::scenario::Scenario;
use crate::subject::{Manner, Subject};
use crate::table::{Figure, Measure};

/// Many filters: what each costs to have, and what a message costs that must find its own.
pub(crate) fn filters(
    scenario: &Scenario,
    subject: &Subject,
    manner: Manner,
    span: Duration,
) -> Result<Vec<Figure>, String> {
    let broker = subject.start(manner)?;
    let mut load = Load::connect(scenario, broker.address)?;
    let (mark, began) = (Mark::of(&broker)?, Instant::now());
    load.subscribe()?;
    let took = began.elapsed().as_secs_f64();
    let (many, name) = (u64::from(scenario.shape.streams()), scenario.name);
    let figure = |row, value| Figure::new(Measure::Filters, row, value);
    let mut figures = vec![
        figure(format!("CPU for each of {name}, µs"), mark.cpu_each(&broker, many)?),
        figure(format!("memory for each of {name}, bytes"), mark.bytes_each(&broker, many)?),
        figure(format!("in a second, of {name}"), many as f64 / took),
    ];
    let outcome = load.run(span, || broker.cpu())?;
    let each = outcome.cost.as_secs_f64() * 1e6 / outcome.deliveries.max(1) as f64;
    figures.push(Figure::new(Measure::Matching, name, each));
    Ok(figures)
}
