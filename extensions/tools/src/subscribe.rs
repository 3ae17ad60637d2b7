use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bus::{Chance, Filter, Publish, Qos, RetainHandling, SubscribeOptions};
use bytes::Bytes;
use clap::Args;
use dial::{Event, Line, Lost, Reconnect};
use mqtt::{ClientEvent, PacketId, ReasonCode, Received, Version};
use tokio::time::{Instant, sleep_until};

use crate::connection::{Connection, Ready, qos, seed};
use crate::exit::{Ended, say};
use crate::output::{Output, Printing};
use crate::property::Properties;

/// Subscribe and print messages, with the flags of mosquitto_sub
///
/// The exit code is 0 after Ctrl-C and when -C, -E or --retained-only are done, 27 when -W has passed, the code of
/// the CONNACK if the server refuses the connection, else 1.
#[derive(Args, Debug)]
#[command(after_help = "Example: watersmeet sub -t 'demo/#' -v")]
pub(crate) struct Subscribe {
    /// A topic filter; may be repeated
    #[arg(
        short = 't',
        long,
        value_name = "FILTER",
        help_heading = "Subscription",
        allow_hyphen_values = true
    )]
    topic: Vec<String>,
    /// The highest guarantee wanted: 0, 1 or 2
    #[arg(short = 'q', long, value_name = "QOS", help_heading = "Subscription", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// A topic filter to unsubscribe from, once subscribed; may be repeated
    #[arg(
        short = 'U',
        long,
        value_name = "FILTER",
        help_heading = "Subscription",
        allow_hyphen_values = true
    )]
    unsubscribe: Vec<String>,
    /// Keep the publisher's retain flag (MQTT 5)
    #[arg(long, help_heading = "Subscription")]
    retain_as_published: bool,
    /// Leave out what this client published itself (MQTT 5)
    #[arg(long, help_heading = "Subscription")]
    no_local: bool,
    /// When retained messages are sent: 0 always, 1 if the subscription is new, 2 never (MQTT 5)
    #[arg(long, value_name = "NUMBER", help_heading = "Subscription", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    retain_handling: u8,

    /// End after so many messages
    #[arg(short = 'C', value_name = "COUNT", help_heading = "End", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after so many seconds
    #[arg(short = 'W', value_name = "SECONDS", help_heading = "End")]
    seconds: Option<f64>,
    /// End once the server has answered the subscriptions
    #[arg(short = 'E', help_heading = "End")]
    end_subscribed: bool,
    /// Print retained messages only, and end with the first that is not
    #[arg(long, help_heading = "End")]
    retained_only: bool,

    /// Leave out topics that match this filter; may be repeated
    #[arg(short = 'T', long, value_name = "FILTER", help_heading = "Output", allow_hyphen_values = true)]
    filter_out: Vec<String>,
    /// Remove the retained messages that come from the server
    #[arg(long, help_heading = "Subscription")]
    remove_retained: bool,
    /// Print only so many of a hundred messages, by chance
    #[arg(long, value_name = "PERCENT", help_heading = "Output", default_value_t = 100.0)]
    random_filter: f64,
    #[command(flatten)]
    printing: Printing,
    #[command(flatten)]
    connection: Connection,
}

/// A subscriber at work.
struct Subscriber<'a> {
    flags: &'a Subscribe,
    filters: Vec<(Filter, SubscribeOptions)>,
    unwanted: Vec<Filter>,
    left_out: Vec<Filter>,
    properties: Properties,
    output: Output,
    line: Line,
    chance: Chance,
    opened: bool,
    /// Requests that the server has not answered.
    asked: Vec<PacketId>,
    printed: u64,
    /// Whether all is done but for what the server has to acknowledge.
    done: bool,
}

impl Subscribe {
    pub(crate) fn is_quiet(&self) -> bool {
        self.connection.quiet
    }

    pub(crate) async fn run(&self) -> anyhow::Result<()> {
        let until = self.seconds.map(deadline).transpose()?;
        let mut subscriber = self.subscriber()?;
        let farewell = subscriber.properties.farewell();
        let result = tokio::select! {
            result = subscriber.run() => result,
            () = passed(until) => Err(Ended::TimedOut.into()),
            () = interrupted() => Ok(()),
        };
        let flushed = subscriber.output.flush();
        let left = subscriber.line.close(&farewell).await;
        result?;
        flushed.or_else(ignore_closed)?;
        Ok(left?)
    }

    fn subscriber(&self) -> anyhow::Result<Subscriber<'_>> {
        let Ready { dial, mut options, properties, topic } = self.connection.ready(self.version())?;
        let topics = self.topic.iter().chain(&topic);
        let filters: Vec<_> = filters(topics)?.into_iter().map(|filter| (filter, self.options())).collect();
        let unwanted = filters_of(&self.unsubscribe)?;
        ensure!(!filters.is_empty() || !unwanted.is_empty(), "no topic filter: name one with -t");
        ensure!((0.0..=100.0).contains(&self.random_filter), "--random-filter is a number from 0 to 100");
        ensure!(
            !(self.retained_only && self.printing.no_retained),
            "--retained-only and -R together leave nothing to print"
        );
        options.unacknowledged = 10_000;
        Ok(Subscriber {
            flags: self,
            filters,
            unwanted,
            left_out: filters_of(&self.filter_out)?,
            properties,
            output: self.printing.ready(self.connection.quiet)?,
            line: Line::new(dial, options, Some(Reconnect::default()), seed()),
            chance: Chance::new(seed()),
            opened: false,
            asked: Vec::new(),
            printed: 0,
            done: false,
        })
    }

    /// The version that these flags need.
    fn version(&self) -> Version {
        match self.retain_as_published || self.no_local || self.retain_handling > 0 {
            true => Version::V5,
            false => Version::V311,
        }
    }

    fn options(&self) -> SubscribeOptions {
        SubscribeOptions {
            qos: qos(self.qos),
            no_local: self.no_local,
            retain_as_published: self.retain_as_published,
            retain_handling: match self.retain_handling {
                0 => RetainHandling::Always,
                1 => RetainHandling::IfNew,
                _ => RetainHandling::Never,
            },
        }
    }
}

impl Subscriber<'_> {
    async fn run(&mut self) -> anyhow::Result<()> {
        while !(self.done && self.line.unacknowledged() == 0) {
            let event = match self.output.next(&mut self.line).await {
                Ok(event) => event,
                Err(error) => return Ok(ignore_closed(error)?),
            };
            match event {
                Some(Event::Mqtt(event)) => self.take(event)?,
                Some(Event::Room) => {}
                Some(Event::Lost(lost, wait)) => self.lost(lost, wait)?,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    fn take(&mut self, event: ClientEvent) -> anyhow::Result<()> {
        match event {
            ClientEvent::Connected(granted) => {
                self.say(|| {
                    format!("CONNACK: connected; an earlier session goes on: {}", granted.session_present)
                });
                self.opened = true;
                self.ask()
            }
            ClientEvent::Subscribed(id, codes) => self.subscribed(id, &codes),
            ClientEvent::Unsubscribed(id, codes) => {
                self.say(|| format!("UNSUBACK {id}: {codes:?}"));
                self.answered(id);
                Ok(())
            }
            ClientEvent::Message(message) if !self.done => self.message(&message),
            _ => Ok(()),
        }
    }

    fn ask(&mut self) -> anyhow::Result<()> {
        self.asked.clear();
        if !self.filters.is_empty() {
            let (identifier, said) = (self.properties.identifier(), self.properties.subscribe());
            self.asked.push(self.line.subscribe(&self.filters, identifier, &said)?);
        }
        if !self.unwanted.is_empty() {
            let said = self.properties.unsubscribe();
            self.asked.push(self.line.unsubscribe(&self.unwanted, &said)?);
        }
        Ok(())
    }

    fn subscribed(&mut self, id: PacketId, codes: &[ReasonCode]) -> anyhow::Result<()> {
        self.say(|| format!("SUBACK {id}: {codes:?}"));
        for ((filter, _), code) in self.filters.iter().zip(codes).filter(|(_, code)| code.is_error()) {
            let why =
                if code.0 == 0x80 { "the server does not say why".to_owned() } else { code.to_string() };
            if !self.flags.connection.quiet {
                say(&format!("watersmeet sub: the subscription to {filter} was refused: {why}"));
            }
        }
        ensure!(codes.iter().any(|code| !code.is_error()), "all subscriptions were refused");
        self.answered(id);
        Ok(())
    }

    fn answered(&mut self, id: PacketId) {
        self.asked.retain(|asked| *asked != id);
        self.done |= self.flags.end_subscribed && self.asked.is_empty();
    }

    fn message(&mut self, message: &Received) -> anyhow::Result<()> {
        let publish = &message.publish;
        self.say(|| {
            let (topic, size) = (&publish.topic, publish.payload.len());
            format!("PUBLISH of {size} bytes on {topic}, QoS {}", publish.qos.level())
        });
        if self.flags.retained_only && !publish.retain {
            self.done = true;
            return Ok(());
        }
        if self.left_out.iter().any(|filter| filter.matches(publish.topic.as_str())) {
            return Ok(());
        }
        if self.flags.remove_retained && publish.retain {
            let removal = Publish::new(publish.topic.clone(), Bytes::new(), Qos::AtLeastOnce).retained();
            self.line.publish(removal).with_context(|| format!("removing what {} retains", publish.topic))?;
        }
        if publish.retain && self.flags.printing.no_retained {
            return Ok(());
        }
        if self.chance.fraction() * 100.0 < self.flags.random_filter
            && let Err(error) = self.output.print(message)
        {
            self.done = true;
            return Ok(ignore_closed(error)?);
        }
        self.printed += 1;
        self.done |= self.flags.count == Some(self.printed);
        Ok(())
    }

    fn lost(&mut self, lost: Lost, wait: Option<Duration>) -> anyhow::Result<()> {
        match wait {
            Some(wait) if self.opened && !matches!(lost, Lost::Refused(_)) => {
                if !self.flags.connection.quiet {
                    say(&format!("watersmeet sub: {lost}; trying again in {wait:.1?}"));
                }
                Ok(())
            }
            _ => bail!(Ended::from(lost)),
        }
    }

    fn say(&self, text: impl FnOnce() -> String) {
        if self.flags.connection.debug {
            say(&text());
        }
    }
}

fn filters_of(texts: &[String]) -> anyhow::Result<Vec<Filter>> {
    filters(texts.iter())
}

pub(crate) fn filters<'a>(texts: impl Iterator<Item = &'a String>) -> anyhow::Result<Vec<Filter>> {
    texts.map(|text| Filter::parse(text).with_context(|| format!("the topic filter {text:?}"))).collect()
}

pub(crate) fn deadline(seconds: f64) -> anyhow::Result<Instant> {
    let span = Duration::try_from_secs_f64(seconds).ok().filter(|span| !span.is_zero());
    let until = span.and_then(|span| Instant::now().checked_add(span));
    until.with_context(|| format!("-W {seconds}: name a number of seconds above 0"))
}

/// Ends when the time has come, if one was named.
pub(crate) async fn passed(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// Ends when the user or the system asks to.
pub(crate) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Whoever reads the output may have seen enough.
pub(crate) fn ignore_closed(error: std::io::Error) -> std::io::Result<()> {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    }
}
