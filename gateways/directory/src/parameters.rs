use crate::parse::is_name;
use crate::{Base, Refusal};

/// What a registration or an update says of the endpoint, by its query [RFC9176 5], [RFC9176 9.3].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// The name of the endpoint: `ep`.
    pub endpoint: Option<Box<str>>,
    /// The sector: `d`. An empty one is none.
    pub sector: Option<Box<str>>,
    /// The lifetime in seconds: `lt`.
    pub lifetime: Option<u32>,
    /// The base URI: `base`.
    pub base: Option<Base>,
    /// What else is said; a name may be there several times.
    pub attributes: Vec<(Box<str>, Box<str>)>,
}

/// The longest endpoint name and sector [RFC9176 5].
const LONGEST_NAME: usize = 63;
/// The longest name and value of any other parameter.
const LONGEST_ATTRIBUTE: usize = 255;
/// How many other parameters there may be.
const MOST_ATTRIBUTES: usize = 32;

const NAME: Refusal = Refusal::Parameter(
    "the endpoint name (ep) and the sector (d) have at most 63 bytes and no control characters",
);
const LIFETIME: Refusal = Refusal::Parameter("the lifetime (lt) is a number of seconds from 1 to 4294967295");

impl Parameters {
    /// Reads the arguments of a query, without those that say who asks.
    pub fn parse<'a>(arguments: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Refusal> {
        let mut parameters = Self::default();
        for (name, value) in arguments {
            let twice = match name {
                "ep" => parameters.endpoint.replace(check_name(value)?).is_some(),
                "d" => parameters.sector.replace(check_name(value)?).is_some(),
                "lt" => parameters.lifetime.replace(parse_lifetime(value)?).is_some(),
                "base" => parameters.base.replace(Base::parse(value)?).is_some(),
                _ => {
                    check_attribute(name, value)?;
                    parameters.attributes.push((name.into(), value.into()));
                    parameters.attributes.len() > MOST_ATTRIBUTES
                }
            };
            if twice {
                return Err(Refusal::Parameter("ep, d, lt and base are given once, others up to 32 times"));
            }
        }
        parameters.sector.take_if(|sector| sector.is_empty());
        Ok(parameters)
    }
}

/// [RFC9176 5]: neither too long nor with characters of the ranges 0 to 31 and 127 to 159.
fn check_name(text: &str) -> Result<Box<str>, Refusal> {
    let valid = text.len() <= LONGEST_NAME && !text.chars().any(char::is_control);
    if valid { Ok(text.into()) } else { Err(NAME) }
}

fn parse_lifetime(text: &str) -> Result<u32, Refusal> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|seconds| digits && *seconds > 0).ok_or(LIFETIME)
}

/// Refuses what could not be told as an attribute of the endpoint's link.
fn check_attribute(name: &str, value: &str) -> Result<(), Refusal> {
    if matches!(name, "href" | "anchor" | "rt" | "page" | "count") {
        return Err(Refusal::Parameter("href, anchor, rt, page and count are no attributes of an endpoint"));
    }
    let short = name.len() <= LONGEST_ATTRIBUTE && value.len() <= LONGEST_ATTRIBUTE;
    if is_name(name) && short && !value.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(Refusal::Parameter("a parameter has a name or a value that no link can have"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Parameters, Refusal> {
        Parameters::parse(query.split('&').map(|one| one.split_once('=').unwrap_or((one, ""))))
    }

    #[test]
    fn what_is_no_parameter_of_the_standard_is_kept_as_it_came() {
        let parameters = parse("ep=node1&d=&lt=60&base=coap://h&et=a&et=b&b=U").unwrap();
        assert_eq!((parameters.endpoint.as_deref(), parameters.sector), (Some("node1"), None));
        assert_eq!((parameters.lifetime, parameters.base.unwrap().as_str()), (Some(60), "coap://h"));
        let names: Vec<&str> = parameters.attributes.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["et", "et", "b"]);
    }

    #[test]
    fn a_parameter_that_is_not_valid_is_refused() {
        let long = "x".repeat(64);
        let bad = [
            "lt=0",
            "lt=4294967296",
            "lt=",
            "lt=-1",
            "lt=+1",
            "lt=1.5",
            "ep=a&ep=b",
            "d=a&d=b",
            "lt=1&lt=1",
            "base=/x",
            "base=coap://[fe80::1%251]",
            "ep=a\u{7f}",
            "ep=a\u{80}",
            "d=a\n",
            "href=/a",
            "rt=x",
            "a\"=1",
            "=1",
            "x=\n",
        ];
        for query in bad {
            assert!(matches!(parse(query), Err(Refusal::Parameter(_))), "{query}");
        }
        assert_eq!(parse(&format!("ep={long}")), Err(NAME));
        assert!(parse(&format!("ep={}", &long[1..])).is_ok());
        assert!(parse("lt=1").is_ok() && parse("lt=4294967295").is_ok());
        assert!(parse(&vec!["a=1"; 33].join("&")).is_err());
    }
}
