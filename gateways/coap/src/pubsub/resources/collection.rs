//! `/pubsub`, the topic collection, and `/pubsub/{id}`, a topic's configuration [PUBSUB 2].
//!
//! A request is parsed before a session is opened for it. Then the broker is asked what the client may do with the
//! topics it concerns, and what they are called on the bus; only with its judgements anything is told or changed.

use bus::{ContentFormat, Limits, Right, Topic};

use super::Link;
use crate::collection::{
    CORE_PUBSUB, Configuration, DataLocation, LocationError, Properties, Property, PropertyError,
    PropertyFilter, TopicId, data_path, decode_keys, is_representation, parse_data, parse_name,
};
use crate::pubsub::operation::IDENTITY;
use crate::pubsub::perform::Pending;
use crate::pubsub::task::{Change, Listing, Task};
use crate::pubsub::{PubSub, Turn};
use crate::{Code, Message, ReplyTo, Request};

/// The first segment of the collection's path.
pub(in crate::pubsub) const COLLECTION: &str = "pubsub";

/// The resource type of a topic's configuration [PUBSUB 6.3].
pub(in crate::pubsub) const CONFIGURATION_TYPE: &str = "core.ps.conf";

/// What a request asks of the collection, or of a topic in it.
enum Wish {
    List(Listing),
    Find(PropertyFilter),
    Create { properties: Properties, name: Topic, data: DataLocation },
    Tell { id: TopicId, wanted: Vec<Property> },
    Change { id: TopicId, change: Change, properties: Properties },
    Delete { id: TopicId },
}

impl PubSub {
    /// Does what a request asks of the collection, once there is a session.
    pub(in crate::pubsub) fn handle_collection(&mut self, request: Request, turn: &mut Turn<'_>) {
        if request.message.payload().len() > self.config.topics.largest {
            let answer = self.too_large(self.config.topics.largest); // [RFC8132 2.2]
            turn.respond(&request.reply_to, answer);
            return;
        }
        match Wish::parse(&request.message, &self.limits) {
            Ok(wish) => {
                if let Some(request) = self.admit(request, turn) {
                    self.look_up(wish, request.reply_to, turn);
                }
            }
            Err(answer) => drop(turn.respond(&request.reply_to, answer)),
        }
    }

    /// Finds the topics that a wish concerns, and asks what the client may do with them.
    fn look_up(&mut self, wish: Wish, reply_to: ReplyTo, turn: &mut Turn<'_>) {
        let task = match wish {
            Wish::List(listing) => Some(Task::List { found: self.topics.all(turn.now), listing }),
            Wish::Find(filter) => {
                let mut found = self.topics.all(turn.now);
                found.retain(|topic| filter.matches(&topic.properties));
                Some(Task::List { found, listing: Listing::default() })
            }
            Wish::Create { properties, name, data } => Some(Task::Create { properties, name, data }),
            Wish::Tell { id, wanted } => {
                self.topics.find(id, turn.now).map(|topic| Task::Tell { topic, wanted })
            }
            Wish::Change { id, change, properties } => {
                self.topics.find(id, turn.now).map(|topic| Task::Change { topic, change, properties })
            }
            Wish::Delete { id } => self.topics.find(id, turn.now).map(|topic| Task::Delete { topic }),
        };
        let rights = task.as_ref().and_then(Task::rights);
        match (task, rights) {
            (Some(task), Some(rights)) if !rights.is_empty() => {
                self.ask(
                    Pending::Judge { reply_to, task: Box::new(task) },
                    bus::Request::Judge(rights),
                    turn.out,
                );
            }
            (Some(Task::List { .. }), _) => drop(turn.respond(&reply_to, links(&[]))),
            _ => drop(turn.respond(&reply_to, no_topic())),
        }
    }
}

impl Wish {
    fn parse(request: &Message, limits: &Limits) -> Result<Self, Message> {
        let path = request.uri_path();
        let lists = request.code() == Code::GET && !is_topic(&path);
        let attributes = request.queries().filter(|(name, _)| !IDENTITY.contains(name));
        let mut queries: Vec<(Box<str>, Box<str>)> = Vec::new();
        for (name, value) in attributes {
            if !lists {
                return Err(bad(&format!("The query argument {name}={value} is not understood.")));
            }
            queries.push((name.into(), value.into()));
        }
        match (path.get(1).filter(|_| is_topic(&path)), request.code()) {
            (None, Code::GET) => {
                wants(request, ContentFormat::LINK_FORMAT)?;
                Ok(Self::List(Listing { queries, with_types: path.first() != Some(&COLLECTION) }))
            }
            (None, Code::FETCH) => {
                wants(request, ContentFormat::LINK_FORMAT)?;
                comes_as(request, CORE_PUBSUB)?;
                PropertyFilter::decode(request.payload()).map(Self::Find).map_err(malformed)
            }
            (None, _) => {
                wants(request, CORE_PUBSUB)?;
                comes_as(request, CORE_PUBSUB)?;
                Self::parse_new(Properties::decode(request.payload()).map_err(malformed)?, limits)
            }
            (Some(id), method) => {
                let id = TopicId::parse(id).ok_or_else(no_topic)?;
                Self::parse_one(id, method, request)
            }
        }
    }

    /// A request on one topic.
    fn parse_one(id: TopicId, method: Code, request: &Message) -> Result<Self, Message> {
        if method == Code::DELETE {
            return Ok(Self::Delete { id });
        }
        wants(request, CORE_PUBSUB)?;
        match method {
            Code::GET => Ok(Self::Tell { id, wanted: Property::ALL.to_vec() }),
            Code::FETCH => {
                comes_as(request, ContentFormat::CBOR)?;
                Ok(Self::Tell { id, wanted: decode_keys(request.payload()).map_err(malformed)? })
            }
            _ => {
                comes_as(request, CORE_PUBSUB)?;
                let change = if method == Code::IPATCH { Change::Patch } else { Change::Replace };
                let properties = Properties::decode(request.payload()).map_err(|error| match error {
                    PropertyError::Unknown(_) | PropertyError::Value(_) => change.refusal(&error.to_string()),
                    error => malformed(error),
                })?;
                Ok(Self::Change { id, change, properties })
            }
        }
    }

    /// What a new topic must say of itself [PUBSUB 2.4.3].
    fn parse_new(properties: Properties, limits: &Limits) -> Result<Self, Message> {
        let name = properties.topic_name.as_deref().ok_or_else(|| bad("The topic-name (0) is missing."))?;
        if properties.resource_type.is_none() {
            return Err(bad("The resource-type (2) is missing."));
        }
        let wrong = |error: LocationError| bad(&error.to_string());
        let name = parse_name(name, limits.topic_levels).map_err(wrong)?;
        let data = match properties.topic_data.as_deref() {
            Some(uri) => parse_data(uri, limits.topic_levels).map_err(wrong)?,
            None => DataLocation::Here(name.clone()),
        };
        let here = match &data {
            DataLocation::Here(topic) => Some(data_path(topic).into()),
            DataLocation::Elsewhere => None,
        };
        let is_here = here.is_some();
        let properties = Properties { topic_data: here.or(properties.topic_data.clone()), ..properties };
        check(&properties, is_here).map_err(bad)?;
        Ok(Self::Create { properties, name, data })
    }
}

/// What is wrong with properties that are each right for themselves [PUBSUB 2.2.1].
pub(in crate::pubsub) fn check(properties: &Properties, is_here: bool) -> Result<(), &'static str> {
    let Some(first) = &properties.initialize else { return Ok(()) };
    match properties.content_format {
        _ if !is_here => Err("There is nothing to initialize: the topic-data is on another server."),
        None => Err("With initialize (8) there must be a topic-content-format (3)."),
        Some(_) if first.is_empty() => Err("An empty first value cannot be kept; leave initialize out."),
        Some(format) if !is_representation(format, first) => {
            Err("What initialize (8) holds is not of the topic-content-format (3).")
        }
        Some(_) => Ok(()),
    }
}

/// The answer that tells of a topic.
pub(in crate::pubsub) fn told(code: Code, topic: &Configuration, wanted: &[Property]) -> Message {
    let payload = topic.properties.encode(wanted);
    Message::response(code).with_content_format(CORE_PUBSUB).with_payload(payload)
}

/// The answer that tells which topics there are.
pub(in crate::pubsub) fn links(links: &[Link]) -> Message {
    let mut text = String::new();
    links.iter().for_each(|link| link.write(&mut text));
    Message::response(Code::CONTENT).with_content_format(ContentFormat::LINK_FORMAT).with_payload(text)
}

pub(in crate::pubsub) fn no_topic() -> Message {
    Message::diagnostic(Code::NOT_FOUND, "There is no such topic.")
}

pub(in crate::pubsub) fn bad(text: &str) -> Message {
    Message::diagnostic(Code::BAD_REQUEST, text)
}

fn malformed(error: PropertyError) -> Message {
    bad(&error.to_string())
}

/// Whether a path is that of one topic.
fn is_topic(path: &[&str]) -> bool {
    matches!(path, [COLLECTION, _])
}

fn wants(request: &Message, format: ContentFormat) -> Result<(), Message> {
    match request.accept() {
        Some(accept) if accept != format => {
            let text = format!("The answer comes in Content-Format {}.", format.0);
            Err(Message::diagnostic(Code::NOT_ACCEPTABLE, &text)) // [RFC7252 5.10.4]
        }
        _ => Ok(()),
    }
}

fn comes_as(request: &Message, format: ContentFormat) -> Result<(), Message> {
    if request.content_format() == Some(format) {
        return Ok(());
    }
    let text = format!("The payload must come in Content-Format {}.", format.0);
    Err(Message::diagnostic(Code::UNSUPPORTED_CONTENT_FORMAT, &text)) // [RFC8132 2.2]
}

impl Task {
    /// What the client must be allowed; `None` if nothing on this server is concerned.
    pub(in crate::pubsub) fn rights(&self) -> Option<Vec<Right>> {
        let of = |topic: &Configuration, right: fn(Topic) -> Right| {
            let name = Topic::parse(topic.properties.topic_name.as_deref()?).ok()?;
            let data =
                topic.properties.topic_data.as_deref().and_then(|uri| parse_data(uri, usize::MAX).ok());
            Some(match data {
                Some(DataLocation::Here(data)) if data != name => vec![right(name), right(data)],
                _ => vec![right(name)],
            })
        };
        match self {
            Self::List { found, .. } => {
                let name = |topic: &Configuration| of(topic, Right::Read)?.into_iter().next();
                found.iter().map(name).collect()
            }
            Self::Tell { topic, .. } => {
                of(topic, Right::Read).map(|rights| rights.into_iter().take(1).collect())
            }
            Self::Change { topic, .. } | Self::Delete { topic } => of(topic, Right::Publish),
            Self::Create { name, data, .. } => Some(match data {
                DataLocation::Here(data) if data != name => {
                    vec![Right::Publish(name.clone()), Right::Publish(data.clone())]
                }
                _ => vec![Right::Publish(name.clone())],
            }),
            Self::Data { .. } => None,
        }
    }
}
