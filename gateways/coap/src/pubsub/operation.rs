use std::time::Duration;

use bus::{ContentFormat, Filter, Limits, Publish, Qos, RetainHandling, SubscribeOptions, Topic};
use bytes::Bytes;

use super::condition::Condition;
use crate::content::metadata;
use crate::{Code, Config, ETag, Kind, Message};

/// What a request on `ps/{topic}` asks for.
#[derive(Debug)]
pub(crate) enum Operation {
    /// The payload is not set yet, so that a request which must wait need not be copied.
    Publish {
        publish: Publish,
        answer: Code,
    },
    Read {
        topic: Topic,
        preference: Preference,
    },
    Observe {
        filter: Filter,
        options: SubscribeOptions,
        preference: Preference,
    },
    Cancel {
        filter: Filter,
        preference: Preference,
    },
}

/// What the client says of the answers it can use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Preference {
    pub(crate) accept: Option<ContentFormat>,
    /// The representations it has.
    pub(crate) tags: Vec<ETag>,
    /// What it asks of the retained message.
    pub(super) condition: Option<Condition>,
}

/// Query names that say who asks; see [`Identity`](super::identity::Identity).
pub(super) const IDENTITY: [&str; 8] = ["clientid", "c", "username", "u", "password", "p", "token", "t"];

impl Operation {
    /// Reads a request whose path begins with `ps`; the error is the answer.
    pub(crate) fn parse(request: &Message, config: &Config, limits: &Limits) -> Result<Self, Message> {
        let path = request.uri_path();
        let levels = path.get(1..).unwrap_or_default();
        if levels.is_empty() || levels == [""] {
            return Err(bad("The path names no topic; it is ps/{topic}."));
        }
        let arguments = Arguments::parse(request)?;
        let confirmable = request.kind() == Kind::Confirmable;
        match request.code() {
            Code::PUT | Code::POST => {
                arguments.refuse(&[
                    ("nl", arguments.no_local.is_some()),
                    ("rh", arguments.retain_handling.is_some()),
                ])?;
                let topic = parse_topic(&levels.join("/"), limits)?;
                let qos = arguments.qos.unwrap_or_else(|| config.publish_qos.of(confirmable));
                let mut publish = Publish::new(topic, Bytes::new(), qos);
                publish.retain = arguments.retain.unwrap_or(false);
                publish.expiry = arguments.expiry;
                publish.metadata = metadata(request);
                Ok(Self::Publish { publish, answer: Code::CHANGED })
            }
            Code::DELETE => {
                arguments.refuse(&[
                    ("nl", arguments.no_local.is_some()),
                    ("rh", arguments.retain_handling.is_some()),
                    ("retain", arguments.retain == Some(false)),
                    ("expiry", arguments.expiry.is_some()),
                ])?;
                let topic = parse_topic(&levels.join("/"), limits)?;
                let qos = arguments.qos.unwrap_or_else(|| config.publish_qos.of(confirmable));
                let publish = Publish::new(topic, Bytes::new(), qos).retained();
                Ok(Self::Publish { publish, answer: Code::DELETED })
            }
            _ => Self::parse_get(request, levels, &arguments, config, limits),
        }
    }

    fn parse_get(
        request: &Message,
        levels: &[&str],
        arguments: &Arguments,
        config: &Config,
        limits: &Limits,
    ) -> Result<Self, Message> {
        arguments
            .refuse(&[("retain", arguments.retain.is_some()), ("expiry", arguments.expiry.is_some())])?;
        let levels: Vec<&str> = levels.iter().map(|level| decode_wildcard(level)).collect();
        let filter = Filter::parse(&levels.join("/"))
            .map_err(|error| bad(&format!("The topic filter {error}.")))
            .and_then(|filter| check_levels(filter.levels().count(), limits).map(|()| filter))?;
        let preference = Preference::of(request);
        match request.observe() {
            Some(0) if preference.condition.is_some() => {
                let text = "An observation takes no conditions.";
                Err(Message::diagnostic(Code::BAD_OPTION, text))
            }
            Some(0) => {
                let qos = arguments
                    .qos
                    .unwrap_or_else(|| config.subscribe_qos.of(request.kind() == Kind::Confirmable));
                let options = SubscribeOptions {
                    qos: qos.min(Qos::AtLeastOnce),
                    no_local: arguments.no_local.unwrap_or(false),
                    retain_as_published: false,
                    retain_handling: arguments.retain_handling.unwrap_or_default(),
                };
                Ok(Self::Observe { filter, options, preference })
            }
            Some(1) => Ok(Self::Cancel { filter, preference }),
            _ => {
                let topic = filter.as_topic();
                let topic = topic.ok_or_else(|| bad("A filter with wildcards can only be observed."))?;
                Ok(Self::Read { topic, preference })
            }
        }
    }
}

impl Preference {
    fn of(request: &Message) -> Self {
        let condition = Condition::of(request);
        Self { accept: request.accept(), tags: ETag::all(request), condition }
    }

    /// Whether a message of this format may be sent. One of no known format is sent as it is, without a
    /// Content-Format.
    pub(crate) fn accepts(&self, format: Option<ContentFormat>) -> bool {
        self.accept.is_none() || format.is_none() || format == self.accept
    }
}

/// The query of a request on a topic, without the arguments that say who asks.
#[derive(Debug, Default)]
struct Arguments {
    qos: Option<Qos>,
    retain: Option<bool>,
    expiry: Option<Duration>,
    no_local: Option<bool>,
    retain_handling: Option<RetainHandling>,
}

impl Arguments {
    fn parse(request: &Message) -> Result<Self, Message> {
        let mut arguments = Self::default();
        for (name, value) in request.queries() {
            let understood = match name {
                "qos" | "q" => {
                    arguments.qos = value.parse().ok().and_then(Qos::from_level);
                    arguments.qos.is_some()
                }
                "retain" | "r" => {
                    arguments.retain = flag(value);
                    arguments.retain.is_some()
                }
                "expiry" => {
                    let seconds = value.parse().ok().filter(|seconds| *seconds > 0);
                    arguments.expiry = seconds.map(|seconds: u32| Duration::from_secs(seconds.into()));
                    arguments.expiry.is_some()
                }
                "nl" => {
                    arguments.no_local = flag(value);
                    arguments.no_local.is_some()
                }
                "rh" => {
                    arguments.retain_handling = match value {
                        "0" => Some(RetainHandling::Always),
                        "1" => Some(RetainHandling::IfNew),
                        "2" => Some(RetainHandling::Never),
                        _ => None,
                    };
                    arguments.retain_handling.is_some()
                }
                name => IDENTITY.contains(&name),
            };
            if !understood {
                return Err(bad(&format!("The query argument {name}={value} is not understood.")));
            }
        }
        Ok(arguments)
    }

    /// Refuses arguments that mean nothing here.
    fn refuse(&self, given: &[(&str, bool)]) -> Result<(), Message> {
        match given.iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(bad(&format!("The query argument {name} means nothing in this request."))),
            None => Ok(()),
        }
    }
}

fn parse_topic(text: &str, limits: &Limits) -> Result<Topic, Message> {
    let topic = Topic::parse(text).map_err(|error| bad(&format!("The topic {error}.")))?;
    check_levels(topic.levels().count(), limits)?;
    Ok(topic)
}

fn check_levels(count: usize, limits: &Limits) -> Result<(), Message> {
    if count > limits.topic_levels { Err(bad("The topic has too many levels.")) } else { Ok(()) }
}

/// Takes a wildcard also in the form a URI has it in, from clients that put URIs into options undecoded.
fn decode_wildcard(level: &str) -> &str {
    match level {
        "%2B" | "%2b" => "+",
        "%23" => "#",
        level => level,
    }
}

fn flag(value: &str) -> Option<bool> {
    match value {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

fn bad(text: &str) -> Message {
    Message::diagnostic(Code::BAD_REQUEST, text)
}
