use crate::link::push;
use crate::{Criterion, Directory, Refusal, Requester};

/// What a client looks for, and which page of it it wants [RFC9176 6.2].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lookup {
    criteria: Vec<Criterion>,
    count: Option<usize>,
    page: usize,
}

/// How many criteria a lookup may have.
const MOST_CRITERIA: usize = 32;

impl Lookup {
    /// Reads the arguments of a query, without those that say who asks.
    pub fn parse<'a>(arguments: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Refusal> {
        let (mut lookup, mut page) = (Self::default(), None);
        for (name, value) in arguments {
            let twice = match name {
                "count" => lookup.count.replace(parse_number(value)?).is_some(),
                "page" => page.replace(parse_number(value)?).is_some(),
                _ => {
                    lookup.criteria.push(Criterion::new(name, value));
                    lookup.criteria.len() > MOST_CRITERIA
                }
            };
            if twice {
                return Err(Refusal::Parameter("page and count are given once, and at most 32 criteria"));
            }
        }
        if page.is_some() && lookup.count.is_none() {
            return Err(Refusal::Parameter("page means nothing without count")); // [RFC9176 6.2]
        }
        lookup.page = page.unwrap_or(0);
        Ok(lookup)
    }

    /// The page that is wanted, of all that was found.
    fn page_of<T>(&self, found: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
        let count = self.count.unwrap_or(usize::MAX);
        let first = if self.count.is_some() { self.page.saturating_mul(count) } else { 0 };
        found.skip(first).take(count)
    }
}

impl Directory {
    /// The endpoints that are looked for, as links to their registrations [RFC9176 6.4].
    pub fn endpoints(&mut self, lookup: &Lookup, from: &Requester<'_>) -> Result<String, Refusal> {
        let most = self.bounds.result;
        let found = self.visible(from).filter(|registration| registration.is_found(&lookup.criteria));
        write(lookup.page_of(found), most)
    }

    /// The resources that are looked for, as their endpoints registered them [RFC9176 6.1].
    pub fn resources(&mut self, lookup: &Lookup, from: &Requester<'_>) -> Result<String, Refusal> {
        let most = self.bounds.result;
        let found = self.visible(from).flat_map(|registration| registration.found_links(&lookup.criteria));
        write(lookup.page_of(found), most)
    }
}

/// All or nothing: a part would seem to be all there is.
fn write<T: std::fmt::Display>(links: impl Iterator<Item = T>, most: usize) -> Result<String, Refusal> {
    let mut text = String::new();
    for link in links {
        push(&mut text, &link);
        if text.len() > most {
            return Err(Refusal::ResultTooLarge);
        }
    }
    Ok(text)
}

fn parse_number(text: &str) -> Result<usize, Refusal> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.ok_or(Refusal::Parameter("page and count are numbers from 0"))
}
