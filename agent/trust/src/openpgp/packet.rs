//! Packets, lengths and numbers: RFC 9580, sections 3 and 4.

use crate::Rejection;

/// Most packets of one block.
const MAX_PACKETS: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) tag: u8,
    pub(super) body: &'a [u8],
}

/// Reads all packets; bytes that are left over are an error.
pub(super) fn packets(mut bytes: &[u8]) -> Result<Vec<Packet<'_>>, Rejection> {
    let mut packets = Vec::new();
    while let Some((first, rest)) = bytes.split_first() {
        if packets.len() == MAX_PACKETS {
            return Err(format!("it has more than {MAX_PACKETS} packets").into());
        }
        let read = match first {
            0xC0.. => new_format(first & 0x3F, rest),
            0x80.. => old_format(*first, rest),
            _ => None,
        };
        let Some((packet, rest)) = read else {
            return Err(
                "a packet's length is malformed, or of a kind that is not supported".into(),
            );
        };
        packets.push(packet);
        bytes = rest;
    }
    Ok(packets)
}

fn new_format(tag: u8, bytes: &[u8]) -> Option<(Packet<'_>, &[u8])> {
    let (length, rest) = match bytes.split_first()? {
        // Partial lengths are for streams of data.
        (224..=254, _) => return None,
        _ => length(bytes)?,
    };
    let (body, rest) = rest.split_at_checked(length)?;
    Some((Packet { tag, body }, rest))
}

fn old_format(first: u8, bytes: &[u8]) -> Option<(Packet<'_>, &[u8])> {
    let tag = (first >> 2) & 0x0F;
    let (length, rest) = match first & 3 {
        0 => bytes
            .split_first()
            .map(|(n, rest)| (usize::from(*n), rest))?,
        1 => bytes
            .split_first_chunk::<2>()
            .map(|(n, rest)| (usize::from(u16::from_be_bytes(*n)), rest))?,
        2 => bytes
            .split_first_chunk::<4>()
            .map(|(n, rest)| (u32::from_be_bytes(*n) as usize, rest))?,
        _ => return None,
    };
    let (body, rest) = rest.split_at_checked(length)?;
    Some((Packet { tag, body }, rest))
}

/// A length of one, two or five bytes, as in new packets and subpackets; in subpackets, all first
/// bytes from 192 to 254 start a length of two.
pub(super) fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    match first {
        0..=191 => Some((usize::from(*first), rest)),
        192..=254 => {
            let (second, rest) = rest.split_first()?;
            Some((
                ((usize::from(*first) - 192) << 8) + usize::from(*second) + 192,
                rest,
            ))
        }
        255 => {
            let (length, rest) = rest.split_first_chunk::<4>()?;
            Some((u32::from_be_bytes(*length) as usize, rest))
        }
    }
}

/// A number: its bits, and its bytes.
pub(super) fn mpi(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (bits, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*bits)).div_ceil(8))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tag and body size of a packet with this head. None: it is refused.
    fn read(head: &[u8], size: usize) -> Option<(u8, usize)> {
        let body = vec![7; size];
        // A second packet shows where the first one ends.
        let bytes = [head, &body, &[0xC0 | 13, 1, 9]].concat();
        let packets = packets(&bytes).ok()?;
        let last = Packet {
            tag: 13,
            body: &[9],
        };
        assert_eq!(packets.get(1..), Some(&[last][..]));
        packets.first().map(|first| (first.tag, first.body.len()))
    }

    #[test]
    fn g14_packets_of_both_formats_have_lengths_of_every_form() {
        for (head, tag, size) in [
            (&[0xC6, 0][..], 6, 0),
            (&[0xC6, 191], 6, 191),
            (&[0xFF, 192, 0], 63, 192),
            (&[0xC6, 193, 2], 6, 450),
            (&[0xC6, 223, 255], 6, 8383),
            (&[0xC6, 255, 0, 0, 0, 5], 6, 5),
            (&[0xC6, 255, 0, 1, 0, 2], 6, 65538),
            (&[0x98, 255], 6, 255),
            (&[0x99, 1, 2], 6, 258),
            (&[0x9A, 0, 1, 0, 2], 6, 65538),
            (&[0xBC, 3], 15, 3),
            (&[0x80, 3], 0, 3),
        ] {
            assert_eq!(read(head, size), Some((tag, size)), "{head:?}");
        }
        for (head, size) in [
            // Not a packet; indeterminate and partial lengths.
            (&[0x00, 3][..], 3),
            (&[0x7F, 3], 3),
            (&[0x9B], 3),
            (&[0xC6, 224], 1),
            (&[0xC6, 224, 0], 8384),
            (&[0xC6, 254, 255], 16319),
        ] {
            assert_eq!(read(head, size), None, "{head:?}");
        }
        for cut in [
            &[0xC6][..],
            &[0xC6, 1],
            &[0xC6, 192],
            &[0xC6, 255, 0, 0, 0],
            &[0x98],
            &[0x98, 1],
            &[0x99, 0],
            &[0x9A, 0, 0, 0],
        ] {
            assert!(packets(cut).is_err(), "{cut:?}");
        }
    }

    #[test]
    fn g14_lengths_of_subpackets_of_two_bytes_reach_further() {
        for (head, size) in [
            (&[191][..], 191),
            (&[192, 0], 192),
            (&[193, 2], 450),
            (&[224, 0], 8384),
            (&[254, 255], 16319),
            (&[255, 0, 1, 0, 2], 65538),
        ] {
            assert_eq!(length(head), Some((size, &[][..])), "{head:?}");
        }
    }

    #[test]
    fn g14_a_block_has_at_most_a_thousand_packets() {
        let of = |count: usize| packets(&[0xCD, 0].repeat(count)).map(|packets| packets.len());
        assert_eq!(of(1000), Ok(1000));
        let error = of(1001).unwrap_err().to_string();
        assert!(error.contains("more than 1000 packets"), "{error}");
    }
}
