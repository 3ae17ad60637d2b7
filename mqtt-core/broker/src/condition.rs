use std::hash::{Hash, Hasher};

use bus::{Filter, Message, Reason};

/// What a subscription asks of a message's user properties: `{filter}?name=value&number>5`.
///
/// All tests must hold. `=` compares numbers as numbers and everything else as text; `<`, `<=`, `>` and `>=` compare
/// numbers, and hold for nothing else. A name that a message has more than once meets a test by any of its values;
/// a name that it has not meets none.
#[derive(Debug, PartialEq, Hash)]
pub(crate) struct Condition(Vec<Test>);

#[derive(Debug, PartialEq)]
struct Test {
    name: Box<str>,
    comparison: Comparison,
    value: Box<str>,
    number: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Hash)]
enum Comparison {
    Equal,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// How many tests one condition may have: every message that matches the filter pays for them.
const TESTS: usize = 16;

impl Condition {
    /// The condition of a filter, if it has one.
    pub(crate) fn of(filter: &Filter) -> Result<Option<Self>, Reason> {
        filter.condition().map(|text| Self::parse(text).ok_or(Reason::FilterInvalid)).transpose()
    }

    fn parse(text: &str) -> Option<Self> {
        let tests: Vec<_> = text.split('&').take(TESTS + 1).map(Test::parse).collect::<Option<_>>()?;
        (tests.len() <= TESTS).then_some(Self(tests))
    }

    pub(crate) fn holds(&self, message: &Message) -> bool {
        let Some(metadata) = &message.metadata else { return false };
        let holds = |test: &Test| {
            let mut named = metadata.user_properties.iter().filter(|(name, _)| *name == test.name);
            named.any(|(_, value)| test.holds(value))
        };
        self.0.iter().all(holds)
    }
}

impl Hash for Test {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.name, self.comparison, &self.value).hash(state); // the number is in the value
    }
}

impl Test {
    fn parse(text: &str) -> Option<Self> {
        let at = text.find(['=', '<', '>']).filter(|at| *at > 0)?;
        let (name, rest) = text.split_at(at);
        let words = [
            (">=", Comparison::AtLeast),
            ("<=", Comparison::AtMost),
            (">", Comparison::More),
            ("<", Comparison::Less),
            ("=", Comparison::Equal),
        ];
        let (comparison, value) =
            words.iter().find_map(|(word, comparison)| Some((*comparison, rest.strip_prefix(word)?)))?;
        let number = number(value);
        if comparison != Comparison::Equal && number.is_none() {
            return None;
        }
        Some(Self { name: name.into(), comparison, value: value.into(), number })
    }

    fn holds(&self, value: &str) -> bool {
        let Some((wanted, found)) = self.number.zip(number(value)) else {
            return self.comparison == Comparison::Equal && value == &*self.value;
        };
        match self.comparison {
            Comparison::Equal => found == wanted,
            Comparison::Less => found < wanted,
            Comparison::AtMost => found <= wanted,
            Comparison::More => found > wanted,
            Comparison::AtLeast => found >= wanted,
        }
    }
}

/// A decimal number; words such as `inf` are text.
fn number(text: &str) -> Option<f64> {
    let is_decimal = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    text.parse().ok().filter(|number: &f64| is_decimal && number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(properties: &[(&str, &str)]) -> Message {
        let user_properties =
            properties.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Message {
            topic: bus::Topic::parse("t").unwrap(),
            payload: Default::default(),
            qos: bus::Qos::AtMostOnce,
            retain: false,
            published: std::time::Instant::now(),
            expires: None,
            metadata: bus::Metadata { user_properties, ..Default::default() }.boxed(),
            origin: bus::ClientId::parse("p").unwrap(),
        }
    }

    #[test]
    fn numbers_are_compared_as_numbers_and_texts_as_texts() {
        for (condition, properties, expected) in [
            ("n>5", &[("n", "10")][..], true),
            ("n>5", &[("n", "5")], false),
            ("n>=5", &[("n", "5.0")], true),
            ("n<=-1e2", &[("n", "-100")], true),
            ("n<5", &[("n", "four")], false),
            ("n=5", &[("n", "5.0")], true),
            ("n=5", &[("n", "five")], false),
            ("n=inf", &[("n", "infinity")], false),
            ("n=", &[("n", "")], true),
            ("site=a=b", &[("site", "a=b")], true),
            ("site=a&n>5", &[("n", "6"), ("site", "a")], true),
            ("site=a&n>5", &[("n", "6"), ("site", "b")], false),
            ("site=a&n>5", &[("site", "a")], false),
            ("site=b", &[("site", "a"), ("site", "b")], true),
            ("site=b", &[], false),
        ] {
            let holds = Condition::parse(condition).unwrap().holds(&message(properties));
            assert_eq!(holds, expected, "{condition} {properties:?}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for wrong in ["", "n", "=1", "n>x", "n>", "a=1&", "&a=1", "a=1&&b=2", "n>inf"] {
            assert_eq!(Condition::parse(wrong), None, "{wrong}");
        }
        assert!(Condition::parse(&vec!["a=1"; TESTS].join("&")).is_some());
        assert!(Condition::parse(&vec!["a=1"; TESTS + 1].join("&")).is_none());
    }
}
