//! A value as it lies on the disk: the value, then a CRC-32 of its space, its key and itself, so that neither a
//! changed value nor one that was written elsewhere passes for it.

use bytes::Bytes;

/// The value with its checksum behind it.
pub(crate) fn seal(space: &str, key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(value.len() + CHECKSUM);
    sealed.extend_from_slice(value);
    sealed.extend_from_slice(&checksum(space, key, value).to_le_bytes());
    sealed
}

/// The value without its checksum, or `None` where they do not fit.
pub(crate) fn unseal(space: &str, key: &[u8], sealed: &[u8]) -> Option<Bytes> {
    let (value, sum) = sealed.split_last_chunk::<CHECKSUM>()?;
    (u32::from_le_bytes(*sum) == checksum(space, key, value)).then(|| Bytes::copy_from_slice(value))
}

fn checksum(space: &str, key: &[u8], value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in [space.as_bytes(), key] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.update(value);
    hasher.finalize()
}

const CHECKSUM: usize = size_of::<u32>();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_passes_only_unchanged_and_in_its_place() {
        let sealed = seal("retained", b"a/b", b"21.5");
        assert_eq!(unseal("retained", b"a/b", &sealed).as_deref(), Some(b"21.5".as_slice()));
        assert_eq!(unseal("retained", b"a/c", &sealed), None);
        assert_eq!(unseal("queue", b"a/b", &sealed), None);
        assert_eq!(unseal("retaineda", b"/b", &sealed), None);
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unseal("retained", b"a/b", &changed), None, "bit {bit}");
        }
        assert_eq!(unseal("retained", b"a/b", b"abc"), None);
    }
}
