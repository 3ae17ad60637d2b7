//! The resource directory [RFC9176]: `/directory`, what is registered below it, its lookups, and `/.well-known/rd`.

use std::time::{Duration, Instant};

use bus::{Address, ContentFormat, Judgement, Reason, Reply, Right, Topic};
use directory::{Base, Lookup, Parameters, Refusal, Requester};

use crate::pubsub::operation::IDENTITY;
use crate::pubsub::perform::Pending;
use crate::pubsub::{PubSub, Turn};
use crate::reason::refusal;
use crate::{Code, ETag, ExchangeId, Message, OptionNumber, ReplyTo, Request};

/// What a request asks of the directory.
#[derive(Debug)]
pub(in crate::pubsub) enum Asked {
    Register(Parameters, String),
    Update(String, Parameters),
    Remove(String),
    /// Registers what the endpoint tells of itself when it is asked.
    RegisterSimply(Parameters),
    Endpoints(Lookup, Vec<ETag>),
    Resources(Lookup, Vec<ETag>),
}

/// A simple registration whose links are being fetched.
#[derive(Debug)]
pub(in crate::pubsub) struct Fetch {
    exchange: ExchangeId,
    reply_to: ReplyTo,
    parameters: Parameters,
    realm: Topic,
}

/// How long links are fresh whose server does not say [RFC7252 5.10.5].
const MAX_AGE: u32 = 60;

impl PubSub {
    /// Does what a request asks of the directory, once there is a session and its rights are known.
    pub(in crate::pubsub) fn handle_directory(&mut self, request: Request, turn: &mut Turn<'_>) {
        if !self.config.directory.enabled {
            let answer = Message::diagnostic(Code::NOT_FOUND, "There is no resource directory here.");
            turn.respond(&request.reply_to, answer);
            return;
        }
        let parsed = Asked::parse(&request.message, self.limits.packet)
            .and_then(|asked| Ok((self.rights(&asked)?, asked)));
        let (rights, asked) = match parsed {
            Ok(parsed) => parsed,
            Err(answer) => {
                turn.respond(&request.reply_to, answer);
                return;
            }
        };
        // [RFC9176 5.1]: else anybody could have the links of whoever is at the address
        if matches!(asked, Asked::RegisterSimply(_))
            && turn.endpoint.challenge(&request.reply_to, turn.now, turn.out)
        {
            return;
        }
        if let Some(Request { reply_to, .. }) = self.admit(request, turn) {
            let pending = Pending::Directory { reply_to, asked: Box::new(asked) };
            self.ask(pending, bus::Request::Judge(rights), turn.out);
        }
    }

    /// Handles what the broker says of the client's rights [RFC9176 8.3].
    pub(in crate::pubsub) fn directory_judged(
        &mut self,
        reply_to: ReplyTo,
        asked: Asked,
        reply: Result<Reply, Reason>,
        turn: &mut Turn<'_>,
    ) {
        let realm = match reply {
            Ok(Reply::Judged { judgements, .. }) => realm(judgements),
            Ok(_) => Err(Reason::Internal),
            Err(reason) => Err(reason),
        };
        let answer = match realm {
            Ok(realm) => match asked {
                Asked::RegisterSimply(parameters) => {
                    return self.register_simply(reply_to, parameters, realm, turn);
                }
                asked => self.answer_directory(asked, &realm, turn.endpoint.draw(), turn.now),
            },
            Err(reason) => refusal(reason),
        };
        turn.respond(&reply_to, answer);
    }

    fn answer_directory(&mut self, asked: Asked, realm: &Topic, chance: u64, now: Instant) -> Message {
        let (names, mut registered) = (self.names(), None);
        let from = self.requester(&names, realm, now);
        let answer = self.shared.with_directory(&self.config.directory, chance, |directory| match asked {
            Asked::Register(parameters, links) => {
                let location = directory.register(parameters, &links, &from);
                location.map(|location| created(registered.insert(location)))
            }
            Asked::Update(location, parameters) => {
                directory.update(&location, parameters, &from).map(|()| Message::response(Code::CHANGED))
            }
            Asked::Remove(location) => {
                directory.remove(&location, &from).map(|()| Message::response(Code::DELETED))
            }
            Asked::Endpoints(lookup, tags) => {
                directory.endpoints(&lookup, &from).map(|links| found(links, &tags))
            }
            Asked::Resources(lookup, tags) => {
                directory.resources(&lookup, &from).map(|links| found(links, &tags))
            }
            Asked::RegisterSimply(parameters) => {
                directory.begin_simply(&parameters, &from).map(|_| Message::response(Code::CHANGED))
            }
        });
        if let Some(location) = registered {
            self.note_registration(location);
        }
        answer.unwrap_or_else(|refused| refuse(&refused))
    }

    /// Remembers what the client has registered over this connection, so that it follows its address.
    fn note_registration(&mut self, location: Box<str>) {
        self.registered.retain(|known| *known != location);
        if self.registered.len() >= self.config.directory.endpoints_per_client.max(1) {
            self.registered.remove(0);
        }
        self.registered.push(location);
    }

    /// The peer's datagrams come from another address: the base URIs that were made of the last one are made of this.
    pub fn moved(&mut self, address: Address) {
        self.visitor.moved(address);
        let Some(address) = self.visitor.address.filter(|_| !self.registered.is_empty()) else { return };
        let (names, (scheme, port)) = (self.names(), self.visitor.scheme);
        let (base, scope) = (Base::of_peer(scheme, port, address), Base::scope_of(address));
        self.shared.with_directory(&self.config.directory, 0, |directory| {
            self.registered.iter().for_each(|location| directory.follow(location, &names, &base, scope));
        });
    }

    /// Begins a simple registration: the endpoint is asked for its links, unless those of the last time are fresh
    /// [RFC9176 5.1].
    fn register_simply(
        &mut self,
        reply_to: ReplyTo,
        parameters: Parameters,
        realm: Topic,
        turn: &mut Turn<'_>,
    ) {
        let (names, chance) = (self.names(), turn.endpoint.draw());
        let from = self.requester(&names, &realm, turn.now);
        let begun = self.shared.with_directory(&self.config.directory, chance, |directory| {
            directory.begin_simply(&parameters, &from)
        });
        let answer = match begun {
            _ if !self.visitor.is_reachable => {
                let text = "A simple registration takes a datagram; register with a base URI (base).";
                Message::diagnostic(Code::BAD_REQUEST, text) // [RFC9176 5.1]
            }
            Ok(true) => Message::response(Code::CHANGED),
            Ok(false) if self.fetch.is_some() => {
                let text = "The simple registration before this one is not finished.";
                Message::diagnostic(Code::SERVICE_UNAVAILABLE, text)
            }
            Ok(false) => {
                let get = Message::request(Code::GET)
                    .with_path([".well-known", "core"])
                    .with_accept(ContentFormat::LINK_FORMAT);
                match turn.request(get) {
                    Ok(exchange) => {
                        self.fetch = Some(Box::new(Fetch { exchange, reply_to, parameters, realm }));
                        return;
                    }
                    Err(_) => refusal(Reason::ServerBusy),
                }
            }
            Err(refused) => refuse(&refused),
        };
        turn.respond(&reply_to, answer);
    }

    /// Handles the links that an endpoint tells of itself; `false` if they were not asked for here.
    pub(in crate::pubsub) fn fetched(
        &mut self,
        exchange: ExchangeId,
        message: &Message,
        turn: &mut Turn<'_>,
    ) -> bool {
        let Some(fetch) = self.fetch.take_if(|fetch| fetch.exchange == exchange) else { return false };
        let Fetch { reply_to, parameters, realm, .. } = *fetch;
        let links = std::str::from_utf8(message.payload()).ok();
        let readable = message.content_format().is_none_or(|format| format == ContentFormat::LINK_FORMAT);
        let answer = match links.filter(|_| message.code() == Code::CONTENT && readable) {
            Some(links) => {
                let fresh = message.uint(OptionNumber::MAX_AGE).unwrap_or(MAX_AGE);
                let fresh = Duration::from_secs(fresh.into());
                let (names, chance) = (self.names(), turn.endpoint.draw());
                let from = self.requester(&names, &realm, turn.now);
                let done = self.shared.with_directory(&self.config.directory, chance, |directory| {
                    directory.register_simply(parameters, links, fresh, &from)
                });
                match done {
                    Ok(location) => {
                        self.note_registration(location);
                        Message::response(Code::CHANGED)
                    }
                    Err(refused) => refuse(&refused),
                }
            }
            None => {
                let text = format!("Your .well-known/core answered {} and no link format.", message.code());
                Message::diagnostic(Code::BAD_GATEWAY, &text)
            }
        };
        turn.respond(&reply_to, answer);
        true
    }

    /// The endpoint did not tell its links, for this reason; `false` if they were not asked for here.
    pub(in crate::pubsub) fn not_fetched(
        &mut self,
        exchange: ExchangeId,
        code: Code,
        turn: &mut Turn<'_>,
    ) -> bool {
        let Some(fetch) = self.fetch.take_if(|fetch| fetch.exchange == exchange) else { return false };
        let answer = Message::diagnostic(code, "Your .well-known/core was asked for, and did not answer.");
        turn.respond(&fetch.reply_to, answer);
        true
    }

    /// Gives up the simple registration that is under way.
    pub(in crate::pubsub) fn end_fetch(&mut self, reason: Reason, turn: &mut Turn<'_>) {
        if let Some(fetch) = self.fetch.take() {
            turn.endpoint.forget(fetch.exchange);
            turn.respond(&fetch.reply_to, refusal(reason));
        }
    }

    /// The rights that a request needs, after one that tells the client's realm [RFC9176 8.3].
    fn rights(&self, asked: &Asked) -> Result<Vec<Right>, Message> {
        let bad = |_| Message::diagnostic(Code::BAD_REQUEST, "The endpoint name (ep) makes no valid topic.");
        let config = &self.config.directory;
        let root = Topic::parse(&config.topic).map_err(bad)?;
        let publish =
            |name: &str| Topic::parse(&format!("{}/{}", config.topic, as_level(name))).map(Right::Publish);
        let right = match asked {
            Asked::Endpoints(..) | Asked::Resources(..) => return Ok(vec![Right::Read(root)]),
            Asked::Register(parameters, _) | Asked::RegisterSimply(parameters) => {
                publish(parameters.endpoint.as_deref().unwrap_or_default())
            }
            Asked::Update(location, _) | Asked::Remove(location) => {
                publish(&self.shared.endpoint_at(location).unwrap_or_default())
            }
        };
        Ok(vec![Right::Read(root), right.map_err(bad)?])
    }

    /// All that is known of who the client is [RFC9176 7.5].
    fn names(&self) -> Vec<Box<str>> {
        self.session.names().into_iter().chain(self.visitor.proved.iter().cloned()).collect()
    }

    fn requester<'a>(&self, names: &'a [Box<str>], realm: &'a Topic, now: Instant) -> Requester<'a> {
        let from = Requester::new(names, realm.as_str(), now);
        let (scheme, port) = self.visitor.scheme;
        match self.visitor.address {
            Some(address) => from.at(scheme, port, address),
            None => from,
        }
    }
}

impl Asked {
    /// Reads a request; the error is the answer.
    fn parse(request: &Message, most: usize) -> Result<Self, Message> {
        let arguments = || request.queries().filter(|(name, _)| !IDENTITY.contains(name));
        let parameters = || Parameters::parse(arguments()).map_err(|refused| refuse(&refused));
        let bad = |text| Err(Message::diagnostic(Code::BAD_REQUEST, text));
        let empty = request.payload().is_empty();
        match (request.code(), request.uri_path().as_slice()) {
            (_, ["directory-lookup", kind]) => {
                if request.accept().is_some_and(|accept| accept != ContentFormat::LINK_FORMAT) {
                    let text = "Links come as application/link-format (40).";
                    return Err(Message::diagnostic(Code::NOT_ACCEPTABLE, text));
                }
                let lookup = Lookup::parse(arguments()).map_err(|refused| refuse(&refused))?;
                let tags = ETag::all(request);
                Ok(if *kind == "ep" { Self::Endpoints(lookup, tags) } else { Self::Resources(lookup, tags) })
            }
            (_, ["directory"]) => {
                if request.content_format().is_some_and(|format| format != ContentFormat::LINK_FORMAT) {
                    let text = "Links are taken as application/link-format (40).";
                    return Err(Message::diagnostic(Code::UNSUPPORTED_CONTENT_FORMAT, text));
                }
                let links = request.payload();
                if links.len() > most {
                    return Err(refuse(&Refusal::TooLarge));
                }
                match std::str::from_utf8(links) {
                    Ok(links) => Ok(Self::Register(parameters()?, links.to_owned())),
                    Err(_) => bad("The links are no UTF-8."),
                }
            }
            (_, [".well-known", "rd"]) if !empty => bad("A simple registration has no payload."),
            (_, [".well-known", "rd"]) => Ok(Self::RegisterSimply(parameters()?)),
            (Code::DELETE, [_, location]) => Ok(Self::Remove((*location).to_owned())),
            _ if !empty => bad("An update has no payload."), // [RFC9176 5.3.1]
            (_, [_, location]) => Ok(Self::Update((*location).to_owned(), parameters()?)),
            _ => bad("The path is none of the resource directory's."),
        }
    }
}

/// The client's realm, if it has all the rights: where the bus has the topic that stands for the directory. Clients
/// with another mountpoint have another realm.
fn realm(judgements: Vec<Judgement>) -> Result<Topic, Reason> {
    let needed = if judgements.len() > 1 { 1 } else { 0 };
    let denied = judgements.iter().skip(needed).find_map(|judgement| match judgement.allowed {
        // Nothing is retained, so that it does not matter whether that is offered.
        Ok(()) | Err(Reason::RetainNotSupported) => None,
        Err(reason) => Some(reason),
    });
    match (denied, judgements.into_iter().next()) {
        (Some(reason), _) => Err(reason),
        (None, Some(judgement)) => Ok(judgement.topic),
        (None, None) => Err(Reason::Internal),
    }
}

/// A name as one level of a topic.
fn as_level(name: &str) -> String {
    let mut level = String::new();
    for character in name.chars() {
        match character {
            '/' | '+' | '#' | '%' => level.push_str(&format!("%{:02X}", u32::from(character))),
            plain => level.push(plain),
        }
    }
    level
}

/// The answer to a registration [RFC9176 5].
fn created(location: &str) -> Message {
    let segments = location.split('/').filter(|segment| !segment.is_empty());
    segments.fold(Message::response(Code::CREATED), |answer, segment| {
        answer.with_option(OptionNumber::LOCATION_PATH, segment)
    })
}

/// The answer to a lookup, which may find nothing [RFC9176 6.2].
fn found(links: String, known: &[ETag]) -> Message {
    let tag = ETag::made_of(Some(ContentFormat::LINK_FORMAT), links.as_bytes());
    let answer = Message::response(Code::CONTENT)
        .with_content_format(ContentFormat::LINK_FORMAT)
        .with_option(OptionNumber::ETAG, tag.as_slice())
        .with_payload(links);
    if known.contains(&tag) { answer.into_valid() } else { answer }
}

fn refuse(refused: &Refusal) -> Message {
    let code = match refused {
        Refusal::Parameter(_) | Refusal::Links(_) | Refusal::Link(..) | Refusal::ResultTooLarge => {
            Code::BAD_REQUEST
        }
        Refusal::NotFound => Code::NOT_FOUND,
        Refusal::Taken => Code::FORBIDDEN,
        Refusal::TooLarge => Code::REQUEST_ENTITY_TOO_LARGE,
        Refusal::TooMany => Code::TOO_MANY_REQUESTS,
        Refusal::Full => Code::SERVICE_UNAVAILABLE,
    };
    let answer = Message::diagnostic(code, &format!("Refused: {refused}."));
    match refused {
        // [RFC9176 5]: it says when to try again
        Refusal::Full => answer.with_uint(OptionNumber::MAX_AGE, MAX_AGE),
        _ => answer,
    }
}
