//! scrypt with the parameters of sprig's `derivePassword`.

use std::num::NonZeroU32;

use ring::pbkdf2;

const COST: usize = 32_768;
const BLOCK: usize = 8;
const LANES: usize = 2;
/// Words of one lane.
const WORDS: usize = 32 * BLOCK;

pub(super) fn key(password: &[u8], salt: &[u8]) -> [u8; 64] {
    let mut lanes = vec![0_u8; LANES * WORDS * 4];
    stretch(password, salt, &mut lanes);
    for lane in lanes.chunks_exact_mut(WORDS * 4) {
        mix(lane);
    }
    let mut key = [0_u8; 64];
    stretch(password, &lanes, &mut key);
    key
}

fn stretch(password: &[u8], salt: &[u8], out: &mut [u8]) {
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        NonZeroU32::MIN,
        salt,
        password,
        out,
    );
}

fn mix(lane: &mut [u8]) {
    let mut state: Vec<u32> = lane
        .chunks_exact(4)
        .map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        .collect();
    let mut table = Vec::with_capacity(COST * WORDS);
    for _ in 0..COST {
        table.extend_from_slice(&state);
        state = blocks(&state);
    }
    for _ in 0..COST {
        let index = state[WORDS - 16] as usize % COST;
        let row = &table[index * WORDS..(index + 1) * WORDS];
        state.iter_mut().zip(row).for_each(|(one, two)| *one ^= two);
        state = blocks(&state);
    }
    for (bytes, word) in lane.chunks_exact_mut(4).zip(&state) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
}

/// Mixes each block with Salsa20/8; the result has the even blocks first.
fn blocks(state: &[u32]) -> Vec<u32> {
    let mut current = [0_u32; 16];
    current.copy_from_slice(&state[WORDS - 16..]);
    let mut out = vec![0; WORDS];
    for (index, block) in state.chunks_exact(16).enumerate() {
        current
            .iter_mut()
            .zip(block)
            .for_each(|(one, two)| *one ^= two);
        salsa(&mut current);
        let place = (index / 2 + (index % 2) * BLOCK) * 16;
        out[place..place + 16].copy_from_slice(&current);
    }
    out
}

fn salsa(block: &mut [u32; 16]) {
    const ROUNDS: [[usize; 4]; 8] = [
        [0, 4, 8, 12],
        [5, 9, 13, 1],
        [10, 14, 2, 6],
        [15, 3, 7, 11],
        [0, 1, 2, 3],
        [5, 6, 7, 4],
        [10, 11, 8, 9],
        [15, 12, 13, 14],
    ];
    let mut x = *block;
    for _ in 0..4 {
        for [a, b, c, d] in ROUNDS {
            x[b] ^= x[a].wrapping_add(x[d]).rotate_left(7);
            x[c] ^= x[b].wrapping_add(x[a]).rotate_left(9);
            x[d] ^= x[c].wrapping_add(x[b]).rotate_left(13);
            x[a] ^= x[d].wrapping_add(x[c]).rotate_left(18);
        }
    }
    block
        .iter_mut()
        .zip(x)
        .for_each(|(one, two)| *one = one.wrapping_add(two));
}
