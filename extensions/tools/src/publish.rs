use std::io::BufRead;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bus::{Publish as Message, Topic};
use bytes::Bytes;
use clap::Args;
use dial::{Event, Line, Lost, Reconnect};
use mqtt::{ClientEvent, Version};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::connection::{Connection, Ready, qos, seed};
use crate::exit::{Ended, say};
use crate::payload::Payload;

/// Publish messages, with the flags of mosquitto_pub
///
/// The exit code is 0 once the server has taken every message, the code of the CONNACK if the server refuses the
/// connection, else 1.
#[derive(Args, Debug)]
#[command(after_help = "Example: watersmeet pub -t demo/temperature -m 21.5")]
pub(crate) struct Publish {
    /// The topic
    #[arg(short = 't', long, value_name = "TOPIC", help_heading = "Message", allow_hyphen_values = true)]
    topic: Option<String>,
    #[command(flatten)]
    payload: Payload,
    /// Each line of standard input is a payload
    #[arg(short = 'l', long, help_heading = "Message", group = "payload")]
    stdin_line: bool,
    /// The guarantee: 0, 1 or 2
    #[arg(short = 'q', long, value_name = "QOS", help_heading = "Message", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// The server keeps the message for those that subscribe later
    #[arg(short = 'r', long, help_heading = "Message")]
    retain: bool,
    /// How often the message is published
    #[arg(long, value_name = "COUNT", help_heading = "Message", default_value_t = 1, conflicts_with = "stdin_line", value_parser = clap::value_parser!(u64).range(1..))]
    repeat: u64,
    /// Seconds between two of them
    #[arg(
        long,
        value_name = "SECONDS",
        help_heading = "Message",
        default_value_t = 0.0,
        conflicts_with = "stdin_line"
    )]
    repeat_delay: f64,
    /// How many messages above QoS 0 may be unfinished
    #[arg(short = 'M', long, value_name = "COUNT", help_heading = "Message", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
    max_inflight: u16,
    #[command(flatten)]
    connection: Connection,
}

/// Where payloads come from.
enum Source {
    Same { payload: Bytes, left: u64, delay: Duration, due: Instant },
    Lines(mpsc::Receiver<std::io::Result<Vec<u8>>>),
    Dry,
}

/// How many lines are read ahead.
const LINES: usize = 100;

impl Publish {
    pub(crate) fn is_quiet(&self) -> bool {
        self.connection.quiet
    }

    pub(crate) async fn run(&self) -> anyhow::Result<()> {
        let Ready { dial, mut options, properties, topic } = self.connection.ready(Version::V311)?;
        let topic = self.topic.as_ref().or(topic.as_ref()).context("no topic: name one with -t")?;
        let topic = Topic::parse(topic).with_context(|| format!("the topic {topic:?} to publish to"))?;
        ensure!(
            self.repeat_delay.is_finite() && self.repeat_delay >= 0.0,
            "--repeat-delay is a number of seconds, not below 0"
        );
        let mut source = self.source()?;
        options.unacknowledged = self.max_inflight.into();
        let mut message = Message::new(topic, "", qos(self.qos));
        message.retain = self.retain;
        properties.publish(&mut message);

        // A line that was read is not lost with its connection, if the guarantee says so.
        let reconnect = (self.stdin_line && self.qos > 0).then(Reconnect::default);
        let mut line = Line::new(dial, options, reconnect, seed());
        let mut outcome = Outcome { opened: false, failed: 0, debug: self.connection.debug };
        loop {
            let dry = matches!(source, Source::Dry);
            if dry && line.is_connected() && line.unacknowledged() == 0 {
                break;
            }
            let ready = line.is_connected()
                && line.has_room()
                && line.unacknowledged() < usize::from(self.max_inflight);
            tokio::select! {
                event = line.next() => match event {
                    Some(event) => outcome.take(event, self.connection.quiet)?,
                    None => bail!("the connection is closed"),
                },
                payload = source.next(), if ready && !dry => {
                    if let Some(payload) = payload? {
                        let publish = Message { payload, ..message.clone() };
                        let size = publish.payload.len();
                        let id = line.publish(publish).with_context(|| format!("a message of {size} bytes"))?;
                        outcome.say(|| format!("PUBLISH of {size} bytes on {}, packet id {id:?}", message.topic));
                    }
                }
            }
        }
        line.close(&properties.farewell()).await?;
        ensure!(outcome.failed == 0, "the server did not take {} of the messages", outcome.failed);
        Ok(())
    }

    fn source(&self) -> anyhow::Result<Source> {
        if self.stdin_line {
            return Ok(Source::Lines(lines()));
        }
        let payload = self.payload.read()?.context("no payload: give one with -m, -f, -s, -l or -n")?;
        let delay = Duration::from_secs_f64(self.repeat_delay.min(1e9));
        Ok(Source::Same { payload, left: self.repeat, delay, due: Instant::now() })
    }
}

impl Source {
    /// The next payload; `None` when there is none any more. To drop the future loses nothing.
    async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        let payload = match self {
            Self::Dry => None,
            Self::Same { left: 0, .. } => None,
            Self::Same { payload, left, delay, due } => {
                sleep_until(*due).await;
                *left -= 1;
                *due = Instant::now() + *delay;
                Some(payload.clone())
            }
            Self::Lines(lines) => match lines.recv().await {
                Some(line) => Some(line.context("standard input cannot be read")?.into()),
                None => None,
            },
        };
        if payload.is_none() || matches!(self, Self::Same { left: 0, .. }) {
            *self = Self::Dry;
        }
        Ok(payload)
    }
}

/// The lines of standard input, without their ends, read by a thread: nobody can wait for a line and for the
/// network at once.
fn lines() -> mpsc::Receiver<std::io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel(LINES);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let read = match input.read_until(b'\n', &mut line) {
                Ok(0) => return,
                Ok(_) => {
                    line.pop_if(|last| *last == b'\n');
                    Ok(line)
                }
                Err(error) => Err(error),
            };
            let last = read.is_err();
            if sender.blocking_send(read).is_err() || last {
                return;
            }
        }
    });
    receiver
}

struct Outcome {
    opened: bool,
    failed: u64,
    debug: bool,
}

impl Outcome {
    fn take(&mut self, event: Event, quiet: bool) -> anyhow::Result<()> {
        match event {
            Event::Mqtt(ClientEvent::Connected(_)) => {
                self.opened = true;
                self.say(|| "CONNACK: connected".to_owned());
            }
            Event::Mqtt(ClientEvent::Published(id, code)) if code.is_error() => {
                self.failed += 1;
                if !quiet {
                    say(&format!("watersmeet pub: message {id} was not taken: {code}"));
                }
            }
            Event::Mqtt(ClientEvent::Published(id, _)) => self.say(|| format!("message {id} is taken")),
            Event::Mqtt(_) | Event::Room => {}
            Event::Lost(lost, Some(wait)) if self.opened && !matches!(lost, Lost::Refused(_)) => {
                if !quiet {
                    say(&format!("watersmeet pub: {lost}; trying again in {wait:.1?}"));
                }
            }
            Event::Lost(lost, _) => return Err(Ended::from(lost).into()),
        }
        Ok(())
    }

    fn say(&self, text: impl FnOnce() -> String) {
        if self.debug {
            say(&text());
        }
    }
}
