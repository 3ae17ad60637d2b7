//! What can be measured of one broker, by name.

use std::time::Duration;

use crate::generator::Load;
use crate::process;
use crate::scenario::{BATCHED, Beside, PACED, Scenario};
use crate::subject::{Kind, Manner, Subject};
use crate::table::{Figure, Measure};

/// One row or more of the tables.
pub(crate) struct Item {
    pub(crate) group: &'static str,
    pub(crate) name: String,
    work: Work,
}

enum Work {
    Load(&'static Scenario),
}

/// What all runs have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions {
    pub(crate) span: Duration,
    pub(crate) pinned: bool,
}

pub(crate) fn all() -> Vec<Item> {
    let load = |group, scenario: &'static Scenario| Item {
        group,
        name: scenario.name.to_owned(),
        work: Work::Load(scenario),
    };
    let batched = BATCHED.iter().map(|scenario| load("load", scenario));
    batched.chain(PACED.iter().map(|scenario| load("paced", scenario))).collect()
}

impl Item {
    /// What `--only` is looked for in.
    pub(crate) fn title(&self) -> String {
        format!("{}: {}", self.group, self.name)
    }

    pub(crate) fn suits(&self, kind: Kind) -> bool {
        match &self.work {
            Work::Load(scenario) => match kind {
                Kind::Relay => scenario.suits_relay(),
                Kind::Nats => scenario.suits_nats(),
                _ => true,
            },
        }
    }

    pub(crate) fn run(&self, subject: &Subject, conditions: Conditions) -> Result<Vec<Figure>, String> {
        let manner = Manner { pinned: conditions.pinned, threads: None, own_limits: false };
        match &self.work {
            Work::Load(scenario) => load(scenario, subject, manner, conditions.span),
        }
    }
}

fn load(
    scenario: &Scenario,
    subject: &Subject,
    manner: Manner,
    span: Duration,
) -> Result<Vec<Figure>, String> {
    // Beside a slow consumer the question is what the broker's own limits hold.
    let broker = subject.start(Manner { own_limits: scenario.beside == Beside::Slow, ..manner })?;
    let load = Load::prepare(scenario, broker.address)?;
    let (own, memory) = (process::cpu(std::process::id()).unwrap_or_default(), broker.resident()?);
    let outcome = load.run(span, || broker.cpu())?;
    let own = process::cpu(std::process::id()).unwrap_or_default() - own;
    let figure = |measure, value| Figure::new(measure, scenario.name, value);
    let seconds = outcome.span.as_secs_f64();
    let mut figures = vec![
        figure(Measure::Cpu, outcome.cost.as_secs_f64() * 1e6 / outcome.deliveries.max(1) as f64),
        figure(Measure::Rate, outcome.deliveries as f64 / seconds),
    ];
    if scenario.rate.is_none() {
        figures.push(figure(Measure::Load, own.as_secs_f64() / seconds * 100.0));
    } else {
        for (measure, share) in [(Measure::P50, 0.5), (Measure::P99, 0.99), (Measure::P999, 0.999)] {
            figures.extend(outcome.latency.quantile(share).map(|value| figure(measure, value)));
        }
    }
    if scenario.beside == Beside::Slow {
        let row = format!("growth in {} while a consumer of 40 MB/s reads nothing, MB", scenario.name);
        figures.push(Figure::new(Measure::Memory, row, (broker.resident()? - memory) / 1e6));
    }
    Ok(figures)
}
