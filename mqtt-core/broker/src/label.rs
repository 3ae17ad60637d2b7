/// Some levels of a topic or filter, with the slashes between them; short ones are kept in place.
pub(crate) enum Label<const SHORT: usize> {
    Short(u8, [u8; SHORT]),
    Long(Box<[u8]>),
}

impl<const SHORT: usize> Label<SHORT> {
    pub(crate) fn new(levels: &[u8]) -> Self {
        let mut bytes = [0; SHORT];
        match bytes.get_mut(..levels.len()) {
            Some(place) => {
                place.copy_from_slice(levels);
                Self::Short(levels.len() as u8, bytes)
            }
            None => Self::Long(levels.into()),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short(length, bytes) => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        }
    }
}

/// The first level, and those below it.
pub(crate) fn split(levels: &[u8]) -> (&[u8], Option<&[u8]>) {
    match levels.iter().position(|byte| *byte == b'/') {
        Some(at) => (levels.get(..at).unwrap_or_default(), levels.get(at + 1..)),
        None => (levels, None),
    }
}

/// What is below the first `length` bytes, which are whole levels.
pub(crate) fn below(levels: &[u8], length: usize) -> Option<&[u8]> {
    levels.get(length + 1..)
}

/// How many bytes the levels have that both begin with; their first levels are the same.
pub(crate) fn common(one: &[u8], other: &[u8]) -> usize {
    let same = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    let ends = |levels: &[u8]| levels.get(same).is_none_or(|byte| *byte == b'/');
    if ends(one) && ends(other) {
        return same;
    }
    let whole = one.get(..same).and_then(|same| same.iter().rposition(|byte| *byte == b'/'));
    whole.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_common_only_as_a_whole() {
        for (one, other, expected) in [
            ("a", "a", 1),
            ("a/b", "a/bc", 1),
            ("a/b", "a/b/c", 3),
            ("a/", "a/b", 1),
            ("a/", "a", 1),
            ("/a", "/b", 0),
            ("", "", 0),
            ("ab/c/d", "ab/c/e", 4),
        ] {
            assert_eq!(common(one.as_bytes(), other.as_bytes()), expected, "{one} {other}");
            assert_eq!(common(other.as_bytes(), one.as_bytes()), expected, "{other} {one}");
        }
        assert_eq!(
            (below(b"a/", 1), below(b"a", 1), below(b"/a", 0)),
            (Some(&b""[..]), None, Some(&b"a"[..]))
        );
    }

    #[test]
    fn a_label_is_what_it_was_made_of() {
        for length in [0, 1, 22, 23, 1_000] {
            let levels = vec![b'x'; length];
            assert_eq!(Label::<22>::new(&levels).as_bytes(), levels);
        }
        assert_eq!((size_of::<Label<22>>(), size_of::<Label<38>>()), (24, 40));
    }
}
