//! The resources, family by family: which paths are whose, which methods and conditions they take, and which links
//! tell of them. What answers the requests of a family is in a file of its own, beside this one.

mod collection;
mod connection;
mod directory;
mod discovery;
mod topic;

use crate::collection::TOPIC_DATA_TYPE;
use crate::{Code, Config, Message, OptionNumber};
pub(super) use collection::{
    COLLECTION, CONFIGURATION_TYPE, bad, check, links as tell_links, no_topic, told,
};
pub(super) use directory::{Asked, Fetch};
pub use discovery::Link;
pub(super) use discovery::answer_discovery;

/// Resources that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// `/.well-known/core`
    Discovery,
    /// `mqtt/connection`
    Connection,
    /// `ps/{topic}`
    Topic,
    /// `pubsub`, and `/.well-known/core` where it is asked for topics
    Collection,
    /// `pubsub/{id}`
    Configuration,
    /// `/directory` and `/.well-known/rd`
    Directory,
    /// `/directory/{registration}`
    Registration,
    /// `/directory-lookup/ep` and `/directory-lookup/res`
    Lookup,
}

impl Family {
    const ALL: [Self; 8] = [
        Self::Discovery,
        Self::Connection,
        Self::Topic,
        Self::Collection,
        Self::Configuration,
        Self::Directory,
        Self::Registration,
        Self::Lookup,
    ];

    /// Whose a path is.
    fn of(path: &[&str]) -> Option<Self> {
        match path {
            [".well-known", "core"] => Some(Self::Discovery),
            ["mqtt", "connection"] => Some(Self::Connection),
            ["ps", ..] => Some(Self::Topic),
            [COLLECTION] => Some(Self::Collection),
            [COLLECTION, _] => Some(Self::Configuration),
            ["directory"] | [".well-known", "rd"] => Some(Self::Directory),
            ["directory", _] => Some(Self::Registration),
            ["directory-lookup", "ep" | "res"] => Some(Self::Lookup),
            _ => None,
        }
    }

    /// The methods it takes, and how that is said.
    fn methods(self) -> (&'static [Code], &'static str) {
        match self {
            Self::Discovery => (&[Code::GET], "Discovery is a GET."),
            Self::Connection => {
                (&[Code::POST, Code::PUT, Code::DELETE], "A connection takes POST, PUT and DELETE.")
            }
            Self::Topic => (
                &[Code::GET, Code::PUT, Code::POST, Code::DELETE],
                "A topic takes GET, PUT, POST and DELETE.",
            ),
            Self::Collection => {
                (&[Code::GET, Code::FETCH, Code::POST], "The topic collection takes GET, FETCH and POST.")
            }
            Self::Configuration => (
                &[Code::GET, Code::FETCH, Code::POST, Code::IPATCH, Code::DELETE],
                "The configuration of a topic takes GET, FETCH, POST, iPATCH and DELETE.",
            ),
            Self::Directory => (&[Code::POST], "A registration is a POST."),
            Self::Registration => (&[Code::POST, Code::DELETE], "A registration takes POST and DELETE."),
            Self::Lookup => (&[Code::GET], "A lookup is a GET."),
        }
    }

    /// Whether it takes If-Match and If-None-Match.
    fn is_conditional(self) -> bool {
        self == Self::Topic
    }

    /// What `/.well-known/core` tells of it.
    fn links(self, config: &Config) -> Vec<Link> {
        let of = |target: &str, kind| Link::new(target).with("rt", kind).with("ct", "40");
        match self {
            Self::Discovery | Self::Connection | Self::Topic | Self::Configuration | Self::Registration => {
                Vec::new()
            }
            Self::Collection => vec![of(&format!("/{COLLECTION}"), "core.ps core.ps.coll")],
            Self::Directory | Self::Lookup if !config.directory.enabled => Vec::new(),
            Self::Directory => vec![of("/directory", "core.rd")],
            // [RFC9176 4.3]
            Self::Lookup => vec![
                of("/directory-lookup/ep", "core.rd-lookup-ep"),
                of("/directory-lookup/res", "core.rd-lookup-res"),
            ],
        }
    }
}

/// The links of all families.
pub(super) fn links(config: &Config) -> Vec<Link> {
    let links = Family::ALL.into_iter().flat_map(|family| family.links(config));
    links.map(|link| link.protected_as(config)).collect()
}

/// Whose a request is; the error is the answer to one that is nobody's.
pub(super) fn route(request: &Message) -> Result<Family, Message> {
    let has = |number| request.option(number).is_some();
    let refuse = |code, text| Err(Message::diagnostic(code, text));
    if has(OptionNumber::PROXY_URI) || has(OptionNumber::PROXY_SCHEME) {
        return refuse(Code::PROXYING_NOT_SUPPORTED, "This is no proxy."); // [RFC7252 5.10.2]
    }
    if request.code() > Code::IPATCH {
        return refuse(Code::METHOD_NOT_ALLOWED, "There is no such method."); // [RFC7252 5.8]
    }
    let family = Family::of(&request.uri_path());
    let conditional = has(OptionNumber::IF_MATCH) || has(OptionNumber::IF_NONE_MATCH);
    if conditional && !family.is_some_and(Family::is_conditional) {
        return refuse(Code::BAD_OPTION, "This resource takes no conditional requests.");
    }
    let Some(family) = family else {
        return refuse(Code::NOT_FOUND, "There is no such resource; topics are at ps/{topic}.");
    };
    let (methods, text) = family.methods();
    if !methods.contains(&request.code()) {
        return refuse(Code::METHOD_NOT_ALLOWED, text); // [RFC7252 5.8]
    }
    match family {
        // [PUBSUB 2.3.3]: what topics there are is told to those who may know them
        Family::Discovery if asks_for_topics(request) => Ok(Family::Collection),
        family => Ok(family),
    }
}

/// Whether it asks what there is, which everybody may.
pub(crate) fn is_discovery(request: &Message) -> bool {
    matches!(Family::of(&request.uri_path()), Some(Family::Discovery)) && !asks_for_topics(request)
}

fn asks_for_topics(request: &Message) -> bool {
    request.query(&["rt"]).is_some_and(is_topic_type)
}

/// Whether a resource type is that of topics, or of their data.
fn is_topic_type(name: &str) -> bool {
    name == CONFIGURATION_TYPE || name == TOPIC_DATA_TYPE
}
