use super::EncodeError;

/// The largest remaining length.
pub(crate) const LONGEST: usize = 268_435_455;

pub(crate) fn u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Writes a variable byte integer; the caller has seen to it that it is at most [`LONGEST`].
pub(crate) fn variable(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The fixed header of a PUBLISH, and the length of its topic.
pub(crate) fn publish_head(out: &mut Vec<u8>, first: u8, remaining: usize, topic: u16) {
    let [high, low] = topic.to_be_bytes();
    if remaining < 0x80 {
        return out.extend_from_slice(&[first, remaining as u8, high, low]); // most are short, and this is one store
    }
    out.push(first);
    variable(out, remaining);
    out.extend_from_slice(&[high, low]);
}

pub(crate) fn variable_length(value: usize) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

/// Bytes behind their length of two bytes.
pub(crate) fn binary(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), EncodeError> {
    u16(out, u16::try_from(bytes.len()).map_err(|_| EncodeError::FieldTooLong)?);
    out.extend_from_slice(bytes);
    Ok(())
}

/// Writes what `body` appends behind its length as a variable byte integer.
pub(crate) fn measured(
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = out.len();
    out.push(0); // most lengths fit in one byte
    body(out)?;
    let length = out.len() - start - 1;
    if length > LONGEST {
        return Err(EncodeError::PacketTooLong);
    }
    match out.get_mut(start) {
        Some(first) if length < 0x80 => *first = length as u8,
        _ => {
            let mut prefix = Vec::with_capacity(4);
            variable(&mut prefix, length);
            out.splice(start..=start, prefix);
        }
    }
    Ok(())
}
