use std::fmt;
use std::time::{Duration, Instant};

use crate::base::is_limited;
use crate::link::write_quoted;
use crate::{Base, Criterion, Link, LinkBounds, Refusal, Scope};

/// What the directory knows of one endpoint [RFC9176 3.3].
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    /// Who may know of it.
    pub(crate) realm: Box<str>,
    /// The path of the registration resource.
    pub(crate) location: Box<str>,
    pub(crate) endpoint: Box<str>,
    /// The sector; empty is none.
    pub(crate) sector: Box<str>,
    pub(crate) lifetime: Duration,
    /// When it ends unless it is refreshed.
    pub(crate) expires: Instant,
    pub(crate) base: Base,
    /// Whether the endpoint named its base, or sent from there.
    pub(crate) base_given: bool,
    /// The link on which a link-local base can be reached.
    pub(crate) scope: Scope,
    pub(crate) attributes: Vec<(Box<str>, Box<str>)>,
    pub(crate) links: Vec<Link>,
    /// Until when the links need not be fetched again; of simple registrations only.
    pub(crate) fresh_until: Option<Instant>,
}

/// The realm, name and sector of an endpoint.
pub(crate) type Key = (Box<str>, Box<str>, Box<str>);

impl Registration {
    /// What there is only once.
    pub(crate) fn key(&self) -> Key {
        (self.realm.clone(), self.endpoint.clone(), self.sector.clone())
    }

    /// About how many bytes it takes to keep it.
    pub(crate) fn size(&self) -> usize {
        const PER_PART: usize = 48;
        let attributes = self.attributes.iter().map(|(name, value)| name.len() + value.len() + PER_PART);
        let links = self.links.iter().map(|link| {
            let attributes = link.attributes.iter();
            let attributes = attributes.map(|one| one.name.len() + one.value.text().len() + PER_PART);
            link.target.len() + PER_PART + attributes.sum::<usize>()
        });
        let own = self.realm.len() + self.endpoint.len() + self.sector.len() + self.base.as_str().len();
        8 * PER_PART + own + attributes.sum::<usize>() + links.sum::<usize>()
    }

    /// Whether lookups tell of it to whoever asks from there: it has not ended, and its base can be reached
    /// [RFC9176 5.3], [RFC9176 6.1].
    pub(crate) fn is_visible(&self, scope: Scope, now: Instant) -> bool {
        self.is_active(now) && (!self.base.is_link_local() || (scope.is_some() && scope == self.scope))
    }

    pub(crate) fn is_active(&self, now: Instant) -> bool {
        self.expires > now
    }

    /// Whether the endpoint's own link has what is looked for.
    fn fits(&self, criterion: &Criterion) -> bool {
        let named = |name: &str, value: &str| criterion.fits_attribute(name, value);
        match criterion.name() {
            "href" => self.is_at(criterion),
            "ep" => named("ep", &self.endpoint),
            "d" => !self.sector.is_empty() && named("d", &self.sector),
            "base" => named("base", self.base.as_str()),
            "rt" => named("rt", RESOURCE_TYPE),
            _ => self.attributes.iter().any(|(name, value)| named(name, value)),
        }
    }

    /// Whether `href` means the registration resource: as a path, or as a URI with that path [RFC9176 6.2].
    fn is_at(&self, criterion: &Criterion) -> bool {
        let (value, prefix) = criterion.value();
        let path = value.split_once("://").and_then(|(_, rest)| rest.get(rest.find('/')?..));
        criterion.fits(&self.location) || (!prefix && path == Some(&self.location))
    }

    /// Whether a link has what is looked for, once its references are resolved.
    fn link_fits(&self, link: &Link, criterion: &Criterion) -> bool {
        match criterion.name() {
            "href" => criterion.fits(&self.base.resolve(&link.target)),
            "anchor" => {
                link.attribute("anchor").is_some_and(|anchor| criterion.fits(&self.base.resolve(anchor)))
            }
            _ => link.matches(criterion),
        }
    }

    /// Whether the endpoint is what is looked for: by itself, or by any of its links [RFC9176 6.2].
    pub(crate) fn is_found(&self, criteria: &[Criterion]) -> bool {
        criteria.iter().all(|criterion| {
            self.fits(criterion) || self.links.iter().any(|link| self.link_fits(link, criterion))
        })
    }

    /// The links that are looked for: by themselves, or by their endpoint [RFC9176 6.2].
    pub(crate) fn found_links<'a>(&'a self, criteria: &'a [Criterion]) -> impl Iterator<Item = Resolved<'a>> {
        // What the endpoint fits, each of its links fits.
        let open: Vec<&Criterion> = criteria.iter().filter(|criterion| !self.fits(criterion)).collect();
        let found = move |link: &&Link| open.iter().all(|criterion| self.link_fits(link, criterion));
        self.links.iter().filter(found).map(|link| Resolved { link, base: &self.base })
    }
}

/// The resource type of all registrations [RFC9176 6.4].
const RESOURCE_TYPE: &str = "core.rd-ep";

/// The endpoint's link, without its lifetime [RFC9176 6.4].
impl fmt::Display for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>;base", self.location)?;
        write_quoted(f, self.base.as_str())?;
        f.write_str(";ep")?;
        write_quoted(f, &self.endpoint)?;
        if !self.sector.is_empty() {
            f.write_str(";d")?;
            write_quoted(f, &self.sector)?;
        }
        for (name, value) in &self.attributes {
            write!(f, ";{name}")?;
            write_quoted(f, value)?;
        }
        f.write_str(";rt")?;
        write_quoted(f, RESOURCE_TYPE)
    }
}

/// A link whose references are resolved against the base of its registration [RFC9176 6.1].
pub(crate) struct Resolved<'a> {
    link: &'a Link,
    base: &'a Base,
}

impl fmt::Display for Resolved<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.base.resolve(&self.link.target))?;
        for attribute in &self.link.attributes {
            if &*attribute.name == "anchor" {
                f.write_str(";anchor")?;
                write_quoted(f, &self.base.resolve(attribute.value.text()))?;
            } else {
                attribute.fmt(f)?;
            }
        }
        Ok(())
    }
}

/// Reads the links of a registration.
pub(crate) fn parse_links(text: &str, bounds: LinkBounds) -> Result<Vec<Link>, Refusal> {
    let links = Link::parse_list(text, bounds)?;
    for (number, link) in (1..).zip(&links) {
        let fault = |fault| Err(Refusal::Link(number, fault));
        if !is_limited(&link.target) {
            return fault("has a target that is neither a URI nor a path from the root"); // [RFC9176 C]
        }
        if link.attribute("anchor").is_some_and(|anchor| !anchor.is_empty() && !is_limited(anchor)) {
            return fault("has an anchor that is neither a URI nor a path from the root");
        }
        let count = |name: &str| link.attributes.iter().filter(|attribute| &*attribute.name == name).count();
        if ["rt", "if", "sz", "anchor"].into_iter().any(|name| count(name) > 1) {
            return fault("has rt, if, sz or anchor more than once"); // [RFC6690 3.1], [RFC6690 3.2], [RFC6690 3.3]
        }
        if count("href") > 0 {
            return fault("has an attribute href"); // [RFC6690 2]
        }
    }
    Ok(links)
}
