use anyhow::{Context, bail, ensure};
use bus::{Filter, Publish, SubscribeOptions, Topic};
use clap::Args;
use dial::{Event, Line};
use mqtt::{ClientEvent, Version};

use crate::connection::{Connection, Ready, qos, seed};
use crate::exit::{Ended, say};
use crate::output::{Output, Printing};
use crate::payload::Payload;
use crate::subscribe::{deadline, ignore_closed, interrupted, passed};

/// Publish a request and print the response, with the flags of mosquitto_rr
///
/// The exit code is 0 once a response has come, 27 when -W has passed before, the code of the CONNACK if the server
/// refuses the connection, else 1.
#[derive(Args, Debug)]
#[command(after_help = "Example: watersmeet rr -t demo/request -e demo/response -m 'what time is it?' -W 5")]
pub(crate) struct Request {
    /// The topic of the request
    #[arg(short = 't', long, value_name = "TOPIC", help_heading = "Message", allow_hyphen_values = true)]
    topic: Option<String>,
    /// The topic of the response, which the request names if MQTT 5 is spoken
    #[arg(
        short = 'e',
        long,
        value_name = "TOPIC",
        help_heading = "Message",
        required = true,
        allow_hyphen_values = true
    )]
    response_topic: String,
    #[command(flatten)]
    payload: Payload,
    /// The guarantee, of request and response: 0, 1 or 2
    #[arg(short = 'q', long, value_name = "QOS", help_heading = "Message", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// End after so many seconds
    #[arg(short = 'W', value_name = "SECONDS", help_heading = "End")]
    seconds: Option<f64>,
    #[command(flatten)]
    printing: Printing,
    #[command(flatten)]
    connection: Connection,
}

impl Request {
    pub(crate) fn is_quiet(&self) -> bool {
        self.connection.quiet
    }

    pub(crate) async fn run(&self) -> anyhow::Result<()> {
        let until = self.seconds.map(deadline).transpose()?;
        let Ready { dial, options, properties, topic } = self.connection.ready(Version::V5)?;
        let topic = self.topic.as_ref().or(topic.as_ref()).context("no topic: name one with -t")?;
        let topic = Topic::parse(topic).with_context(|| format!("the topic {topic:?} of the request"))?;
        let answer = &self.response_topic;
        let answer = Topic::parse(answer).with_context(|| format!("the topic {answer:?} of the response"))?;
        let payload = self.payload.read()?.context("no payload: give one with -m, -f, -s or -n")?;
        let mut output = self.printing.ready(self.connection.quiet)?;

        let mut request = Publish::new(topic, payload, qos(self.qos));
        properties.publish(&mut request);
        request.metadata.get_or_insert_default().response_topic = Some(answer.clone());
        let filter = [(
            Filter::exactly(&answer),
            SubscribeOptions { qos: qos(self.qos), ..SubscribeOptions::default() },
        )];
        let mut line = Line::new(dial, options, None, seed());
        let exchange = async {
            loop {
                match output.next(&mut line).await? {
                    Some(Event::Mqtt(ClientEvent::Connected(_))) => {
                        line.subscribe(&filter, properties.identifier(), &properties.subscribe())?;
                    }
                    Some(Event::Mqtt(ClientEvent::Subscribed(_, codes))) => {
                        let refused = codes.first().filter(|code| code.is_error());
                        ensure!(refused.is_none(), "the subscription to {answer} was refused");
                        line.publish(request.clone())?;
                    }
                    Some(Event::Mqtt(ClientEvent::Published(_, code))) => {
                        ensure!(!code.is_error(), "the server did not take the request: {code}");
                    }
                    Some(Event::Mqtt(ClientEvent::Message(message))) => {
                        if message.publish.retain && self.printing.no_retained {
                            continue;
                        }
                        return Ok(output.print(&message)?);
                    }
                    Some(Event::Mqtt(event)) => self.say(|| format!("{event:?}")),
                    Some(Event::Room) => {}
                    Some(Event::Lost(lost, _)) => bail!(Ended::from(lost)),
                    None => bail!("the connection is closed"),
                }
            }
        };
        let result = tokio::select! {
            result = exchange => result,
            () = passed(until) => Err(Ended::TimedOut.into()),
            () = interrupted() => Err(anyhow::anyhow!("interrupted before a response came")),
        };
        let flushed = show(&mut output);
        let left = line.close(&properties.farewell()).await;
        result?;
        flushed?;
        Ok(left?)
    }

    fn say(&self, text: impl FnOnce() -> String) {
        if self.connection.debug {
            say(&text());
        }
    }
}

fn show(output: &mut Output) -> std::io::Result<()> {
    output.flush().or_else(ignore_closed)
}
