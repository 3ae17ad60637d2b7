//! Lists of missing blocks, and what they mean [RFC9177 4.4, 5].

use bus::ContentFormat;

use crate::{Block, Code, Message};

/// `application/missing-blocks+cbor-seq` [RFC9177 12.3].
const MISSING_BLOCKS: ContentFormat = ContentFormat(272);

/// The 4.08 that lists missing blocks, ascending; as many as take at most so many bytes [RFC9177 5].
pub(super) fn incomplete(missing: &[u32], most: usize) -> Message {
    let mut sequence = Vec::new();
    for number in missing {
        let before = sequence.len();
        write(*number, &mut sequence);
        if sequence.len() > most {
            sequence.truncate(before);
            break;
        }
    }
    let answer = Message::response(Code::REQUEST_ENTITY_INCOMPLETE);
    answer.with_content_format(MISSING_BLOCKS).with_payload(sequence)
}

/// A CBOR unsigned integer in as few bytes as it takes [RFC8949 3.1].
fn write(number: u32, sequence: &mut Vec<u8>) {
    let bytes = number.to_be_bytes();
    match (number, bytes) {
        (0..=23, [.., low]) => sequence.push(low),
        (24..=0xFF, [.., low]) => sequence.extend([0x18, low]),
        (0x100..=0xFFFF, [.., high, low]) => sequence.extend([0x19, high, low]),
        (_, [a, b, c, d]) => sequence.extend([0x1A, a, b, c, d]),
    }
}

/// The blocks that a request asks for, each once [RFC9177 4.4]; `set` is MAX_PAYLOADS.
pub(super) fn expand(asked: &[Block], total: u32, set: u32) -> Vec<u32> {
    let (mut numbers, mut next) = (Vec::new(), 0);
    for block in asked {
        // With the M bit the rest of the set is meant too.
        let end = if block.more { (block.number / set + 1).saturating_mul(set) } else { block.number + 1 };
        numbers.extend(block.number.max(next)..end.min(total));
        next = next.max(end);
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_blocks_are_a_sequence_of_cbor_numbers() {
        let answer = incomplete(&[1, 23, 24, 255, 256, 65_536], 100);
        let bytes = b"\x01\x17\x18\x18\x18\xFF\x19\x01\x00\x1A\x00\x01\x00\x00";
        assert_eq!((answer.content_format(), answer.payload()), (Some(ContentFormat(272)), &bytes[..]));
    }

    #[test]
    fn a_list_is_cut_between_two_numbers() {
        assert_eq!(incomplete(&[1, 2, 256, 257], 5).payload(), b"\x01\x02\x19\x01\x00");
        assert_eq!(incomplete(&[1, 2, 256, 257], 4).payload(), b"\x01\x02");
    }

    #[test]
    fn a_block_that_is_asked_for_twice_is_one() {
        let blocks = |several: &[(u32, bool)]| -> Vec<Block> {
            several.iter().map(|(number, more)| Block { number: *number, more: *more, exponent: 6 }).collect()
        };
        assert_eq!(expand(&blocks(&[(1, false), (9, false)]), 100, 10), [1, 9]);
        assert_eq!(expand(&blocks(&[(7, true), (8, false), (9, true), (11, false)]), 100, 10), [7, 8, 9, 11]);
        assert_eq!(expand(&blocks(&[(18, true)]), 19, 10), [18], "the body ends there");
        assert!(expand(&blocks(&[(19, false)]), 19, 10).is_empty());
    }
}
