use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::registration::{Key, Registration, parse_links};
use crate::{Base, LinkBounds, Parameters, Refusal, Scope, base};

/// The registrations of endpoints, and what they have [RFC9176].
///
/// Registrations are soft state: they end with their lifetime. What has ended is told no more, and is kept for a while
/// so that it can be refreshed, unless its room is needed. All is bounded by [`Bounds`].
#[derive(Debug)]
pub struct Directory {
    pub(crate) bounds: Bounds,
    /// By the number in the location, which grows, so that lookups have an order that stays.
    registrations: BTreeMap<u64, Registration>,
    names: HashMap<Key, u64>,
    /// Who registered what.
    owners: HashMap<u64, Box<[Box<str>]>>,
    /// How many registrations a client has.
    counts: HashMap<Box<[Box<str>]>, usize>,
    /// When a registration is forgotten.
    ends: BTreeSet<(Instant, u64)>,
    bytes: usize,
    next: u64,
}

/// How much a directory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How many endpoints.
    pub endpoints: usize,
    /// How many endpoints one client may register; those that prove and name nothing are one client.
    pub per_client: usize,
    /// About how many bytes all together.
    pub bytes: usize,
    /// About how many bytes one registration.
    pub registration: usize,
    /// The links of one registration.
    pub links: LinkBounds,
    /// How many bytes the result of a lookup.
    pub result: usize,
    /// How long a registration that has ended can still be refreshed.
    pub keep: Duration,
}

/// Who asks, from where, and when.
#[derive(Clone, Debug)]
pub struct Requester<'a> {
    /// All names that the client proved or claimed, in order; none if it did neither.
    pub names: &'a [Box<str>],
    /// What the client may know of: registrations of other realms are as if they were not there.
    pub realm: &'a str,
    /// The base URI that its address makes, if it makes one.
    pub base: Option<Base>,
    /// The link that its address is of.
    pub scope: Scope,
    /// The time.
    pub now: Instant,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            endpoints: 10_000,
            per_client: 1_000,
            bytes: 16 << 20,
            registration: 64 << 10,
            links: LinkBounds { links: 1_024, attributes: 64 },
            result: 1 << 20,
            keep: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// The lifetime of a registration that names none [RFC9176 5].
const LIFETIME: Duration = Duration::from_secs(90_000);

const NO_ADDRESS: Refusal =
    Refusal::Parameter("the base URI (base) is missing, and the client has no address");

/// The folder of the registrations.
const FOLDER: &str = "/directory/";

impl<'a> Requester<'a> {
    /// Who asks from nowhere.
    pub fn new(names: &'a [Box<str>], realm: &'a str, now: Instant) -> Self {
        Self { names, realm, base: None, scope: None, now }
    }

    /// The same from an address, with a scheme whose default port is known.
    pub fn at(self, scheme: &str, default_port: u16, address: SocketAddr) -> Self {
        let base = Some(Base::of_peer(scheme, default_port, address));
        Self { base, scope: base::scope_of(address), ..self }
    }
}

impl Directory {
    /// An empty directory, whose locations begin with a number that `chance` decides: one that a client keeps from
    /// before a restart must not be another's.
    pub fn new(bounds: Bounds, chance: u64) -> Self {
        Self {
            bounds,
            registrations: BTreeMap::new(),
            names: HashMap::new(),
            owners: HashMap::new(),
            counts: HashMap::new(),
            ends: BTreeSet::new(),
            bytes: 0,
            next: (chance >> 16).max(1),
        }
    }

    /// The name of the endpoint at a location, whoever asks, for judging who may change it.
    pub fn endpoint_at(&self, location: &str) -> Option<&str> {
        let id = u64::from_str_radix(location, 16).ok()?;
        self.registrations.get(&id).map(|registration| &*registration.endpoint)
    }

    /// How many registrations there are, with those that have ended and are kept.
    pub fn len(&self) -> usize {
        self.registrations.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.registrations.is_empty()
    }

    /// Registers an endpoint, or replaces what it registered before; returns the location [RFC9176 5].
    pub fn register(
        &mut self,
        parameters: Parameters,
        links: &str,
        from: &Requester<'_>,
    ) -> Result<Box<str>, Refusal> {
        self.put(parameters, links, None, from)
    }

    /// Registers an endpoint whose links were fetched, and are fresh for a while; returns the location, which nobody is
    /// told [RFC9176 5.1].
    pub fn register_simply(
        &mut self,
        parameters: Parameters,
        links: &str,
        fresh_for: Duration,
        from: &Requester<'_>,
    ) -> Result<Box<str>, Refusal> {
        self.put(parameters, links, Some(from.now + fresh_for.min(LIFETIME)), from)
    }

    /// Whether the endpoint may register simply, before its links are fetched; `true` if they need not be, since those
    /// of the last time are fresh, and the registration is refreshed [RFC9176 5.1].
    pub fn begin_simply(&mut self, parameters: &Parameters, from: &Requester<'_>) -> Result<bool, Refusal> {
        if parameters.base.is_some() {
            return Err(Refusal::Parameter("a simple registration takes no base URI (base)"));
        }
        let known = self.check(parameters, from)?;
        let Some(found) = known.and_then(|id| self.registrations.get(&id)) else { return Ok(false) };
        let fresh = found.fresh_until.is_some_and(|until| until > from.now)
            && Some(&found.base) == from.base.as_ref();
        if !fresh {
            return Ok(false);
        }
        let attributes = parameters.attributes.clone();
        let lifetime = parameters.lifetime.map_or(LIFETIME, seconds);
        let replaced = Registration { attributes, lifetime, expires: from.now + lifetime, ..found.clone() };
        self.replace(known, replaced, from)?;
        Ok(true)
    }

    /// Refreshes a registration, and changes what is named [RFC9176 5.3.1].
    pub fn update(
        &mut self,
        location: &str,
        parameters: Parameters,
        from: &Requester<'_>,
    ) -> Result<(), Refusal> {
        let id = self.own(location, from)?;
        if parameters.endpoint.is_some() || parameters.sector.is_some() {
            return Err(Refusal::Parameter(
                "the endpoint name (ep) and the sector (d) are not to be changed",
            ));
        }
        let Some(mut changed) = self.registrations.get(&id).cloned() else { return Err(Refusal::NotFound) };
        changed.lifetime = parameters.lifetime.map_or(changed.lifetime, seconds);
        changed.expires = from.now + changed.lifetime;
        match parameters.base {
            Some(base) => (changed.base, changed.base_given) = (base, true),
            None if !changed.base_given => changed.base = from.base.clone().ok_or(NO_ADDRESS)?,
            None => {}
        }
        changed.scope = reachable(&changed.base, from.scope)?;
        let given = |name: &str| parameters.attributes.iter().any(|(given, _)| **given == *name);
        changed.attributes.retain(|(name, _)| !given(name));
        changed.attributes.extend(parameters.attributes);
        self.replace(Some(id), changed, from).map(drop)
    }

    /// The client has another address: what it registered at a location follows, unless that named its base. What does not
    /// fit any more stays as it is.
    pub fn follow(&mut self, location: &str, names: &[Box<str>], base: &Base, scope: Scope) {
        let id = location.strip_prefix(FOLDER).and_then(|id| u64::from_str_radix(id, 16).ok());
        let id = id.filter(|id| self.may(*id, names));
        let found = id.and_then(|id| self.registrations.get_mut(&id)).filter(|found| !found.base_given);
        let (Some(found), Ok(scope)) = (found, reachable(base, scope)) else { return };
        let others = self.bytes - found.size();
        let moved = Registration { base: base.clone(), scope, ..found.clone() };
        if moved.size() <= self.bounds.registration && others + moved.size() <= self.bounds.bytes {
            self.bytes = others + moved.size();
            *found = moved;
        }
    }

    /// Ends a registration [RFC9176 5.3.2].
    pub fn remove(&mut self, location: &str, from: &Requester<'_>) -> Result<(), Refusal> {
        let id = self.own(location, from)?;
        self.forget(id);
        Ok(())
    }

    /// What may be told to whoever asks.
    pub(crate) fn visible<'a>(
        &'a mut self,
        from: &'a Requester<'_>,
    ) -> impl Iterator<Item = &'a Registration> {
        self.expire(from.now);
        self.registrations.values().filter(|registration| {
            *registration.realm == *from.realm && registration.is_visible(from.scope, from.now)
        })
    }

    fn put(
        &mut self,
        parameters: Parameters,
        links: &str,
        fresh_until: Option<Instant>,
        from: &Requester<'_>,
    ) -> Result<Box<str>, Refusal> {
        let known = self.check(&parameters, from)?;
        let Parameters { endpoint, sector, lifetime, base, attributes } = parameters;
        let lifetime = lifetime.map_or(LIFETIME, seconds);
        let base_given = base.is_some();
        let base = base.or_else(|| from.base.clone()).ok_or(NO_ADDRESS)?;
        let registration = Registration {
            realm: from.realm.into(),
            location: Box::default(),
            endpoint: endpoint.unwrap_or_default(),
            sector: sector.unwrap_or_default(),
            lifetime,
            expires: from.now + lifetime,
            scope: reachable(&base, from.scope)?,
            base,
            base_given,
            attributes,
            links: parse_links(links, self.bounds.links)?,
            fresh_until,
        };
        self.replace(known, registration, from)
    }

    /// Whether the client may register the endpoint; returns the number of the registration it would replace.
    fn check(&mut self, parameters: &Parameters, from: &Requester<'_>) -> Result<Option<u64>, Refusal> {
        self.expire(from.now);
        let endpoint = parameters.endpoint.as_deref().filter(|name| !name.is_empty());
        let endpoint = endpoint.ok_or(Refusal::Parameter("the endpoint name (ep) is missing"))?;
        let sector = parameters.sector.as_deref().unwrap_or_default();
        let Some(id) = self.names.get(&(from.realm.into(), endpoint.into(), sector.into())).copied() else {
            return Ok(None);
        };
        match self.registrations.get(&id) {
            _ if self.may(id, from.names) => Ok(Some(id)),
            // [RFC9176 7.5]: a name is free once its registration has ended
            Some(found) if !found.is_active(from.now) => {
                self.forget(id);
                Ok(None)
            }
            _ => Err(Refusal::Taken),
        }
    }

    /// The registration at a location, if it is the client's.
    fn own(&mut self, location: &str, from: &Requester<'_>) -> Result<u64, Refusal> {
        self.expire(from.now);
        let id = u64::from_str_radix(location, 16).ok().filter(|id| format!("{id:x}") == location);
        let id = id.filter(|id| self.registrations.contains_key(id)).ok_or(Refusal::NotFound)?;
        // [RFC9176 5.1]: nobody was told where a simple registration is
        let hidden = |found: &Registration| found.fresh_until.is_some() || *found.realm != *from.realm;
        if self.registrations.get(&id).is_some_and(hidden) {
            return Err(Refusal::NotFound);
        }
        if self.may(id, from.names) { Ok(id) } else { Err(Refusal::Taken) }
    }

    /// Whether the client has all the names of the one who registered [RFC9176 7.5].
    fn may(&self, id: u64, names: &[Box<str>]) -> bool {
        self.owners.get(&id).is_none_or(|owner| owner.iter().all(|name| names.contains(name)))
    }

    /// Puts a registration in the place of another, or in a new one. Nothing changes if it is refused.
    fn replace(
        &mut self,
        known: Option<u64>,
        mut registration: Registration,
        from: &Requester<'_>,
    ) -> Result<Box<str>, Refusal> {
        let size = registration.size();
        if size > self.bounds.registration {
            return Err(Refusal::TooLarge);
        }
        let owner: Box<[Box<str>]> = from.names.into();
        let same_owner = known.and_then(|id| self.owners.get(&id)).is_some_and(|known| *known == owner);
        if !same_owner && self.counts.get(&owner).copied().unwrap_or(0) >= self.bounds.per_client {
            return Err(Refusal::TooMany);
        }
        self.make_room(known, size, from.now)?;
        let id = known.unwrap_or(self.next);
        match known {
            Some(id) => self.forget(id),
            None => self.next += 1,
        }
        registration.location = format!("{FOLDER}{id:x}").into();
        let location = registration.location.clone();
        self.bytes += size;
        self.names.insert(registration.key(), id);
        self.ends.insert((self.end_of(&registration), id));
        *self.counts.entry(owner.clone()).or_default() += 1;
        self.owners.insert(id, owner);
        self.registrations.insert(id, registration);
        Ok(location)
    }

    /// Forgets registrations that have ended until there is room, if there are enough of them.
    fn make_room(&mut self, known: Option<u64>, size: usize, now: Instant) -> Result<(), Refusal> {
        let freed = known.and_then(|id| self.registrations.get(&id)).map_or(0, Registration::size);
        loop {
            let enough = known.is_some() || self.registrations.len() < self.bounds.endpoints;
            if enough && self.bytes - freed + size <= self.bounds.bytes {
                return Ok(());
            }
            let ended = |id: &u64| self.registrations.get(id).is_some_and(|found| !found.is_active(now));
            let ended = self.ends.iter().map(|(_, id)| *id).find(|id| Some(*id) != known && ended(id));
            self.forget(ended.ok_or(Refusal::Full)?);
        }
    }

    /// When a registration is forgotten: one that cannot be refreshed at its end [RFC9176 5.1], others later
    /// [RFC9176 5.3].
    fn end_of(&self, registration: &Registration) -> Instant {
        match registration.fresh_until {
            Some(_) => registration.expires,
            None => registration.expires + self.bounds.keep,
        }
    }

    fn expire(&mut self, now: Instant) {
        while let Some((_, id)) = self.ends.first().copied().filter(|(end, _)| *end <= now) {
            self.forget(id);
        }
    }

    fn forget(&mut self, id: u64) {
        let Some(registration) = self.registrations.remove(&id) else { return };
        self.bytes -= registration.size();
        self.ends.remove(&(self.end_of(&registration), id));
        self.names.remove(&registration.key());
        if let Some(owner) = self.owners.remove(&id)
            && let Some(count) = self.counts.get_mut(&owner)
        {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&owner);
            }
        }
    }
}

fn seconds(number: u32) -> Duration {
    Duration::from_secs(number.into())
}

/// The link on which a base can be reached, if it is of one only: that of the client [RFC9176 5].
fn reachable(base: &Base, scope: Scope) -> Result<Scope, Refusal> {
    match (base.is_link_local(), scope) {
        (false, _) => Ok(None),
        (true, Some(scope)) => Ok(Some(scope)),
        (true, None) => Err(Refusal::Parameter(
            "the base URI is link-local, and the request did not come over such a link",
        )),
    }
}
