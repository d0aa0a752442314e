//! Packets, lengths and numbers: RFC 9580, sections 3 and 4.

/// Most packets of one block.
const MAX_PACKETS: usize = 1000;

/// One packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) tag: u8,
    pub(super) body: &'a [u8],
}

/// Reads all packets; bytes that are left over are an error.
pub(super) fn packets(mut bytes: &[u8]) -> Result<Vec<Packet<'_>>, String> {
    let mut packets = Vec::new();
    while let Some((first, rest)) = bytes.split_first() {
        if packets.len() == MAX_PACKETS {
            return Err(format!("it has more than {MAX_PACKETS} packets"));
        }
        let read = match first {
            0xC0.. => new_format(first & 0x3F, rest),
            0x80.. => old_format(*first, rest),
            _ => None,
        };
        let Some((packet, rest)) = read else {
            return Err("a packet's length is broken, or of a kind that is not taken".to_owned());
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

/// A length of one, two or five bytes, as new packets and subpackets have it; of subpackets, all first
/// bytes from 192 to 254 begin a length of two.
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
