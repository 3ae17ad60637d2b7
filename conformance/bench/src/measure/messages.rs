use std::time::Duration;

use crate::generator::Load;
use crate::process;
use crate::scenario::{Beside, Scenario};
use crate::subject::{Manner, Subject};
use crate::table::{Figure, Measure};

/// A load of messages: what each costs, how many there are, and how long they take.
pub(crate) fn messages(
    scenario: &Scenario,
    subject: &Subject,
    manner: Manner,
    span: Duration,
) -> Result<Vec<Figure>, String> {
    // Beside a slow consumer the question is what the broker's own limits hold.
    let broker = subject.start(Manner { own_limits: scenario.beside == Beside::Slow, ..manner })?;
    let mut load = Load::connect(scenario, broker.address)?;
    load.subscribe()?;
    let (own, memory) = (process::own_cpu(), broker.resident()?);
    let outcome = load.run(span, || broker.cpu())?;
    let own = process::own_cpu() - own;
    let figure = |measure, value| Figure::new(measure, scenario.name, value);
    let seconds = outcome.span.as_secs_f64();
    let mut figures = vec![
        figure(Measure::Cpu, outcome.cost.as_secs_f64() * 1e6 / outcome.deliveries.max(1) as f64),
        figure(Measure::Rate, outcome.deliveries as f64 / seconds),
    ];
    if scenario.rate.is_none() {
        figures.push(figure(Measure::Load, own.as_secs_f64() / seconds * 100.0));
    }
    if scenario.is_timed() {
        for (measure, share) in [(Measure::P50, 0.5), (Measure::P99, 0.99), (Measure::P999, 0.999)] {
            figures.extend(outcome.latency.quantile(share).map(|value| figure(measure, value)));
        }
    }
    if scenario.beside == Beside::Slow {
        let row = format!("growth in {} in {} s, MB", scenario.name, span.as_secs_f64());
        figures.push(Figure::new(Measure::Memory, row, (broker.resident()? - memory) / 1e6));
    }
    Ok(figures)
}
