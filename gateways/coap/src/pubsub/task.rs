//! What is done with topics that have a configuration, once the broker has judged who may.

use std::time::{Duration, Instant, SystemTime};

use bus::{Judgement, Metadata, Publish, Qos, Reason, Reply, Topic};

use super::operation::Operation;
use super::perform::Pending;
use super::resources::{COLLECTION, CONFIGURATION_TYPE, Link, bad, check, no_topic, tell_links, told};
use super::{PubSub, Turn};
use crate::collection::{Configuration, DataLocation, NotMade, Properties, Property};
use crate::reason::refusal;
use crate::{Code, Message, OptionNumber, ReplyTo};

/// What is to be done with the broker's judgement.
pub(super) enum Task {
    /// Tell those of the topics that the client may read.
    List { found: Vec<Configuration>, listing: Listing },
    /// Tell how a topic is configured.
    Tell { topic: Configuration, wanted: Vec<Property> },
    /// Make a topic.
    Create { properties: Properties, name: Topic, data: DataLocation },
    /// Configure a topic otherwise.
    Change { topic: Configuration, change: Change, properties: Properties },
    /// Remove a topic and its data.
    Delete { topic: Configuration },
    /// Do something with a topic's data; whether that has a configuration may be known already.
    Data { operation: Operation, message: Message, configured: bool },
}

/// Which links are told, and how.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// What selects them; without any it is the configurations.
    pub(super) queries: Vec<(Box<str>, Box<str>)>,
    /// Whether each says its resource type; in the collection itself that is known [PUBSUB 2.4.1].
    pub(super) with_types: bool,
}

/// How a configuration is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// What is not named goes back to what it is without being set [PUBSUB 2.5.3].
    Replace,
    /// What is not named stays [PUBSUB 2.5.4].
    Patch,
}

/// What a topic keeps from its beginning to its end [PUBSUB 2.5.3].
const IMMUTABLE: [Property; 3] = [Property::TopicName, Property::TopicData, Property::ResourceType];

impl Change {
    /// The answer to properties that cannot be taken: an iPATCH has its own code for what is well-formed and cannot
    /// be done [RFC8132 3.4].
    pub(super) fn refusal(self, text: &str) -> Message {
        match self {
            Self::Replace => bad(text),
            Self::Patch => Message::diagnostic(Code::UNPROCESSABLE_ENTITY, text),
        }
    }

    /// What becomes of a configuration.
    fn apply(self, old: &Properties, new: &Properties) -> Result<Properties, Message> {
        let touched = |property: &&Property| new.has(**property) && !old.agrees(**property, new);
        if let Some(property) = IMMUTABLE.iter().find(touched) {
            let text = format!("The {} ({}) of a topic cannot be changed.", property.name(), *property as u8);
            return Err(self.refusal(&text));
        }
        let mut changed = old.clone();
        for property in Property::ALL.into_iter().filter(|property| !IMMUTABLE.contains(property)) {
            if self == Self::Replace || new.has(property) {
                changed.take(property, new);
            }
        }
        Ok(changed)
    }
}

impl PubSub {
    /// Does what was asked for, as far as the client may.
    pub(super) fn judged(
        &mut self,
        task: Task,
        judgements: &[Judgement],
        time: Option<SystemTime>,
        reply_to: ReplyTo,
        turn: &mut Turn<'_>,
    ) {
        let answer = match task {
            Task::List { found, listing } => list(&found, &listing, judgements),
            Task::Data { operation, message, configured: false } => {
                return self.name_data(operation, message, judgements, reply_to, turn);
            }
            Task::Data { operation, message, configured: true } => {
                return self.use_data(operation, message, judgements, reply_to, turn);
            }
            Task::Tell { topic, wanted } => match allowed(&topic, judgements) {
                Ok(()) => told(Code::CONTENT, &topic, &wanted),
                Err(answer) => answer,
            },
            Task::Create { properties, name, data } => {
                match self.create(properties, &name, &data, judgements, time, &reply_to, turn) {
                    Ok(None) => return,
                    Ok(Some(answer)) | Err(answer) => answer,
                }
            }
            Task::Change { topic, change, properties } => {
                let changed = allowed(&topic, judgements)
                    .and_then(|()| self.change(&topic, change, &properties, time, turn.now));
                self.look(turn);
                changed.unwrap_or_else(|answer| answer)
            }
            Task::Delete { topic } => match allowed(&topic, judgements) {
                Ok(()) => {
                    let there = judgements.last().is_some_and(|data| data.retained);
                    match data_of(&topic).filter(|_| there) {
                        Some(data) => {
                            let publish =
                                Publish::new(data, bytes::Bytes::new(), Qos::AtLeastOnce).retained();
                            let pending = Pending::Unmade { reply_to, topic: topic.id };
                            return self.ask(pending, bus::Request::Publish(publish), turn.out);
                        }
                        None => self.removed(topic.id, turn),
                    }
                }
                Err(answer) => answer,
            },
        };
        turn.respond(&reply_to, answer);
    }

    /// Makes a topic; `None` if its first value is being published.
    #[expect(clippy::too_many_arguments, reason = "the parts of a new topic")]
    fn create(
        &mut self,
        properties: Properties,
        name: &Topic,
        data: &DataLocation,
        judgements: &[Judgement],
        time: Option<SystemTime>,
        reply_to: &ReplyTo,
        turn: &mut Turn<'_>,
    ) -> Result<Option<Message>, Message> {
        let (Some(named), Some(stored)) = (judgements.first(), judgements.last()) else {
            return Err(refusal(Reason::Internal));
        };
        if let Some(reason) = judgements.iter().find_map(|judgement| judgement.allowed.err()) {
            return Err(refusal(reason)); // [PUBSUB 2.4.3]
        }
        let ends = end(&properties, time, turn.now).map_err(bad)?;
        let here = match data {
            DataLocation::Here(topic) => Some(topic),
            DataLocation::Elsewhere => None,
        };
        let first = here.and_then(|topic| first_value(topic, &properties, ends, turn.now));
        let place = here.map(|_| stored.topic.clone());
        let reserved =
            self.topics.reserve(turn.endpoint.draw(), named.topic.clone(), place, properties, ends, turn.now);
        let reservation = reserved.map_err(|why| match why {
            NotMade::NameTaken => bad(&format!("There is a topic {name} already.")), // [PUBSUB 2.4.3]
            NotMade::DataTaken => bad("The topic-data is that of another topic."),
            NotMade::Full => refusal(Reason::ServerBusy),
        })?;
        let Some(publish) = first else {
            let made = reservation.confirm(here.is_some() && stored.retained, turn.now);
            return Ok(Some(made.map_or_else(no_topic, |topic| created(&topic))));
        };
        let pending = Pending::Made { reply_to: reply_to.clone(), reservation };
        self.ask(pending, bus::Request::Publish(publish), turn.out);
        Ok(None)
    }

    fn change(
        &mut self,
        topic: &Configuration,
        change: Change,
        properties: &Properties,
        time: Option<SystemTime>,
        now: Instant,
    ) -> Result<Message, Message> {
        let changed = change.apply(&topic.properties, properties)?;
        let ends = match changed.agrees(Property::ExpirationDate, &topic.properties) {
            true => topic.ends,
            false => end(&changed, time, now).map_err(|text| change.refusal(text))?,
        };
        let conflict = |text: &'static str| match change {
            Change::Replace => bad(text),
            Change::Patch => Message::diagnostic(Code::CONFLICT, text), // [RFC8132 3.4]
        };
        check(&changed, topic.data.is_some()).map_err(conflict)?;
        if changed.size() > self.config.topics.largest {
            return Err(self.too_large(self.config.topics.largest));
        }
        if !self.topics.replace(topic, changed, ends, now) {
            return Err(match self.topics.find(topic.id, now) {
                Some(_) => refusal(Reason::ServerBusy), // somebody else was faster [RFC8132 3.4]
                None => no_topic(),
            });
        }
        let topic = self.topics.find(topic.id, now).ok_or_else(no_topic)?;
        Ok(told(Code::CHANGED, &topic, &Property::ALL))
    }

    /// Answers with what became of the publish that a task needed.
    pub(super) fn done(&mut self, pending: Pending, reply: Result<Reply, Reason>, turn: &mut Turn<'_>) {
        let (reply_to, answer) = match (pending, reply) {
            (Pending::Made { reply_to, reservation }, Ok(_)) => {
                let made = reservation.confirm(true, turn.now);
                (reply_to, made.map_or_else(no_topic, |topic| created(&topic)))
            }
            (Pending::Unmade { reply_to, topic }, Ok(_)) => (reply_to, self.removed(topic, turn)),
            (pending, reply) => {
                let reason = reply.err().unwrap_or(Reason::Internal);
                let Some(reply_to) = pending.reply_to().cloned() else { return };
                (reply_to, refusal(reason))
            }
        };
        turn.respond(&reply_to, answer);
    }

    fn removed(&mut self, topic: crate::collection::TopicId, turn: &mut Turn<'_>) -> Message {
        if !self.topics.remove(topic, turn.now) {
            return no_topic();
        }
        self.look(turn);
        Message::response(Code::DELETED)
    }
}

/// Whether the client may do with a topic what it was judged for. One that is called so by others is not there for
/// this client.
fn allowed(topic: &Configuration, judgements: &[Judgement]) -> Result<(), Message> {
    match judgements.first() {
        Some(named) if named.topic == topic.name => {
            let denied = judgements.iter().find_map(|judgement| judgement.allowed.err());
            denied.map_or(Ok(()), |reason| Err(refusal(reason)))
        }
        _ => Err(no_topic()),
    }
}

/// The links of what the client may read [PUBSUB 2.4.1].
fn list(found: &[Configuration], listing: &Listing, judgements: &[Judgement]) -> Message {
    let readable = found
        .iter()
        .zip(judgements)
        .filter(|(topic, judgement)| judgement.topic == topic.name && judgement.allowed.is_ok());
    let mut told = Vec::new();
    for (topic, _) in readable {
        let path = format!("/{COLLECTION}/{}", topic.id);
        let configuration = Link::new(&path).with("rt", CONFIGURATION_TYPE);
        let data = topic.properties.topic_data.as_deref().map(|uri| {
            Link::new(uri).with("rt", topic.properties.resource_type.as_deref().unwrap_or_default())
        });
        let chosen = |link: &Link| listing.queries.iter().all(|(name, value)| link.is_selected(name, value));
        match listing.queries.is_empty() {
            true => told.push(configuration),
            false => told.extend([Some(configuration), data].into_iter().flatten().filter(chosen)),
        }
    }
    if !listing.with_types {
        told.iter_mut().for_each(|link| link.attributes.clear());
    }
    tell_links(&told)
}

/// The answer to whoever has made a topic [PUBSUB 2.4.3].
fn created(topic: &Configuration) -> Message {
    told(Code::CREATED, topic, &Property::ALL)
        .with_option(OptionNumber::LOCATION_PATH, COLLECTION)
        .with_option(OptionNumber::LOCATION_PATH, topic.id.to_string())
}

/// When a topic ends whose date is set; the error says what is wrong with the date.
fn end(
    properties: &Properties,
    time: Option<SystemTime>,
    now: Instant,
) -> Result<Option<Instant>, &'static str> {
    let Some(date) = properties.expiration_date else { return Ok(None) };
    let time = time.ok_or("The time of day is not known here; leave expiration-date (5) out.")?;
    let Some(date) = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(date)) else { return Ok(None) };
    match date.duration_since(time) {
        Ok(left) if !left.is_zero() => Ok(now.checked_add(left)),
        _ => Err("The expiration-date (5) is over."),
    }
}

/// The publish that gives a topic its first value [PUBSUB 2.2.1].
fn first_value(
    topic: &Topic,
    properties: &Properties,
    ends: Option<Instant>,
    now: Instant,
) -> Option<Publish> {
    let (value, format) = (properties.initialize.clone()?, properties.content_format?);
    let mut publish = Publish::new(topic.clone(), value, Qos::AtLeastOnce).retained();
    publish.expiry = ends.map(|ends| ends.saturating_duration_since(now));
    let content_type = format.media_type().map(Into::into);
    publish.metadata = Metadata { content_type, content_format: Some(format), ..Metadata::default() }.boxed();
    Some(publish)
}

/// The topic of a topic's data, as the client calls it.
fn data_of(topic: &Configuration) -> Option<Topic> {
    match crate::collection::parse_data(topic.properties.topic_data.as_deref()?, usize::MAX).ok()? {
        DataLocation::Here(data) => Some(data),
        DataLocation::Elsewhere => None,
    }
}
