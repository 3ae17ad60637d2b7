use std::time::Duration;

use anyhow::{Context, ensure};
use bus::{Qos, Topic};
use dial::Dial;
use mqtt::{ClientOptions, Version};

use super::stamp::Stamp;
use super::{Bench, Scenario};
use crate::connection::qos;

/// What a run does, all of it checked.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) scenario: Scenario,
    pub(super) dial: Dial,
    pub(super) options: ClientOptions,
    pub(super) clients: usize,
    pub(super) span: Duration,
    /// Messages or connections a second; `None` for as many as go.
    pub(super) rate: Option<f64>,
    pub(super) qos: Qos,
    pub(super) payload: usize,
    pub(super) window: u64,
    pub(super) unfinished: u16,
    pub(super) opening: usize,
    pub(super) prefix: String,
    pub(super) quiet: bool,
}

/// Longer than anybody waits.
const LONGEST: f64 = 86_400.0;

impl Bench {
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        let ready = self.connection.ready(Version::V311)?;
        let target = &ready.dial.target;
        ensure!(
            self.allow_remote || target.is_local(),
            "{target} is another machine: say --allow-remote if it is yours to load"
        );
        ensure!(
            self.seconds > 0.0 && self.seconds <= LONGEST,
            "--seconds {}: name a number above 0, at most {LONGEST}",
            self.seconds
        );
        let rate = self.rate.unwrap_or(if self.scenario == Scenario::Latency { 1_000.0 } else { 0.0 });
        ensure!((0.0..1e9).contains(&rate), "--rate {rate}: name a number from 0 to 1e9");
        ensure!(
            self.scenario != Scenario::Latency || rate > 0.0,
            "latency is measured at a rate: name one above 0"
        );
        ensure!(self.payload >= Stamp::LENGTH, "--payload: a message needs at least {} bytes", Stamp::LENGTH);
        ensure!(self.payload <= 64 << 20, "--payload: a message may have 64 MiB at most");
        Topic::parse(&self.prefix).with_context(|| format!("--prefix {:?}", self.prefix))?;
        let clients = self.clients.unwrap_or(match self.scenario {
            Scenario::Idle => 1_000,
            Scenario::Latency => 10,
            _ => 50,
        });
        let mut options = ready.options;
        options.receive_maximum = u16::MAX;
        if options.client_id.is_empty() {
            options.client_id = format!("bench-{}", std::process::id());
        }
        Ok(Settings {
            scenario: self.scenario,
            dial: ready.dial,
            options,
            clients: clients as usize,
            span: Duration::from_secs_f64(self.seconds),
            rate: (rate > 0.0).then_some(rate),
            qos: qos(self.qos),
            payload: self.payload,
            window: self.window,
            unfinished: self.inflight,
            opening: self.opening.into(),
            prefix: self.prefix.clone(),
            quiet: self.connection.quiet,
        })
    }
}

impl Settings {
    /// The options of one client of many.
    pub(super) fn options(&self, kind: &str, number: usize) -> ClientOptions {
        let client_id = format!("{}-{kind}{number}", self.options.client_id);
        ClientOptions { client_id, ..self.options.clone() }
    }
}
