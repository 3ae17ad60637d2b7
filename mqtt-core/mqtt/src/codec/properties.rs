use super::property::Place;
use super::read::Reader;
use super::{DecodeError, EncodeError, Property, Version, write};

/// The properties of a packet: checked bytes, read again when asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Properties<'a> {
    bytes: &'a [u8],
}

impl<'a> Properties<'a> {
    /// No properties.
    pub const NONE: Self = Self { bytes: &[] };

    /// Each property, in the order of the packet.
    pub fn iter(&self) -> impl Iterator<Item = Property<'a>> + use<'a> {
        let mut rest = Reader::new(self.bytes);
        std::iter::from_fn(move || Property::read(&mut rest).ok())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The first value that `pick` takes.
    pub(crate) fn find<T>(&self, pick: impl FnMut(Property<'a>) -> Option<T>) -> Option<T> {
        self.iter().find_map(pick)
    }

    /// Reads the properties of a place and checks every one of them.
    pub(crate) fn read(input: &mut Reader<'a>, place: Place) -> Result<Self, DecodeError> {
        let length = input.variable()?;
        let bytes = input.take(length as usize)?;
        let mut rest = Reader::new(bytes);
        let mut seen = 0u64;
        while !rest.is_empty() {
            let property = Property::read(&mut rest)?;
            if !property.belongs(place) {
                return Err(DecodeError::PropertyNotAllowed);
            }
            let bit = 1 << property.identifier();
            if seen & bit != 0 && !property.repeats(place) {
                return Err(DecodeError::PropertyRepeated);
            }
            seen |= bit;
        }
        const METHOD_AND_DATA: u64 = 1 << 21 | 1 << 22;
        if seen & METHOD_AND_DATA == 1 << 22 {
            return Err(DecodeError::NoMethod);
        }
        Ok(Self { bytes })
    }

    /// The same in a version that may have none.
    pub(crate) fn read_in(
        version: Version,
        input: &mut Reader<'a>,
        place: Place,
    ) -> Result<Self, DecodeError> {
        if version == Version::V5 { Self::read(input, place) } else { Ok(Self::NONE) }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write::variable(out, self.bytes.len());
        out.extend_from_slice(self.bytes);
    }
}

/// Properties in the making.
#[derive(Clone, Debug, Default)]
pub struct PropertyBuffer {
    bytes: Vec<u8>,
}

impl PropertyBuffer {
    /// Adds a property; whether the packet may carry it is the caller's concern.
    pub fn push(&mut self, property: Property<'_>) -> Result<(), EncodeError> {
        let start = self.bytes.len();
        let written = property.write(&mut self.bytes);
        if written.is_err() {
            self.bytes.truncate(start);
        }
        written
    }

    /// The properties so far.
    pub fn as_properties(&self) -> Properties<'_> {
        Properties { bytes: &self.bytes }
    }
}
