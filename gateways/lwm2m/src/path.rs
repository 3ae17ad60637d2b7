use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The address of a thing on a device: `/object/instance/resource/resource instance`, at least the object.
///
/// No id is 65,535, which OMA reserves [LwM2M 1.1 Core 7.2].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lwm2mPath {
    /// The object's id.
    pub object: u16,
    /// What lies below the object; an id is there only if the one before it is.
    below: [Option<u16>; 3],
}

impl Lwm2mPath {
    /// The path of an object.
    pub fn object(object: u16) -> Self {
        Self { object, below: [None; 3] }
    }

    /// Reads `/3/0/1`; the slashes at both ends may be missing. `None` when it is no path.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('/').unwrap_or(text);
        let text = text.strip_suffix('/').unwrap_or(text);
        let mut ids = text.split('/');
        let object = Self::object(id(ids.next()?)?);
        ids.try_fold(object, |path, text| path.child(id(text)?))
    }

    /// The path one level down; `None` below a resource instance.
    pub fn child(mut self, id: u16) -> Option<Self> {
        let free = self.below.iter_mut().find(|level| level.is_none())?;
        *free = Some(id);
        Some(self)
    }

    /// The path this many ids long, counting the object, if it is that long.
    pub fn truncated(mut self, levels: usize) -> Option<Self> {
        (1..=self.levels()).contains(&levels).then_some(())?;
        self.below.iter_mut().skip(levels - 1).for_each(|level| *level = None);
        Some(self)
    }

    /// The id of the object instance.
    pub fn instance(self) -> Option<u16> {
        self.below[0]
    }

    /// The id of the resource.
    pub fn resource(self) -> Option<u16> {
        self.below[1]
    }

    /// The id of the resource instance.
    pub fn resource_instance(self) -> Option<u16> {
        self.below[2]
    }

    /// How many ids it has: 1 for an object, 4 for a resource instance.
    pub fn levels(self) -> usize {
        1 + self.below.iter().flatten().count()
    }

    /// The ids, the object's first.
    pub fn ids(self) -> impl Iterator<Item = u16> {
        std::iter::once(self.object).chain(self.below.into_iter().flatten())
    }

    /// Whether the path is `other` or lies below it.
    pub fn is_within(self, other: Self) -> bool {
        self.truncated(other.levels()) == Some(other)
    }
}

impl fmt::Display for Lwm2mPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ids().try_for_each(|id| write!(f, "/{id}"))
    }
}

impl Serialize for Lwm2mPath {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lwm2mPath {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let expected = || de::Error::custom(format!("{text:?} is not a path such as \"/3/0/9\""));
        Self::parse(&text).ok_or_else(expected)
    }
}

/// An id in decimal digits, as in a path.
pub(crate) fn id(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|id| digits && *id != u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_and_written() {
        for text in ["/3", "/3/0", "/3/0/7", "/3/0/7/65534"] {
            assert_eq!(Lwm2mPath::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Lwm2mPath::parse("3/0/").unwrap().to_string(), "/3/0");
        for bad in ["", "/", "//", "/3//0", "/x", "/+3", "/65535", "/65536", "/1/2/3/4/5", "/3/0?x"] {
            assert_eq!(Lwm2mPath::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_path_lies_within_its_own_beginning() {
        let resource = Lwm2mPath::parse("/3/0/7").unwrap();
        assert!(resource.is_within(Lwm2mPath::object(3)));
        assert!(resource.is_within(resource));
        assert!(!Lwm2mPath::object(3).is_within(resource));
        assert_eq!(resource.truncated(2).unwrap().to_string(), "/3/0");
        assert_eq!(resource.truncated(4), None);
    }
}
