//! Numbers as limbs of `BITS` bits, at most 56 bits, least significant first. Each limb is in a `u64`.

#![expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "arithmetic: indices follow from the length of the key, never from the value of untrusted octets"
)]

use core::cmp::Ordering;

/// A mask for the bits of a limb.
pub(super) const fn mask(bits: usize) -> u64 {
    (1 << bits) - 1
}

/// The length in bits of big-endian octets without leading zeros.
pub(in super::super) fn bit_length(big_endian: &[u8]) -> usize {
    big_endian.first().map_or(0, |first| 8 * big_endian.len() - first.leading_zeros() as usize)
}

/// Big-endian octets as `length` limbs, which must be long enough.
pub(super) fn from_octets<const BITS: usize>(big_endian: &[u8], length: usize) -> Vec<u64> {
    let mut little_endian: Vec<u8> = big_endian.iter().rev().copied().collect();
    little_endian.resize(length * BITS / 8 + 8, 0);
    let limb = |index: usize| {
        let (octet, shift) = (index * BITS / 8, index * BITS % 8);
        let eight = little_endian[octet..].first_chunk().copied().unwrap_or_default();
        (u64::from_le_bytes(eight) >> shift) & mask(BITS)
    };
    (0..length).map(limb).collect()
}

/// The low `length` octets of a number, big-endian.
pub(super) fn to_octets<const BITS: usize>(limbs: &[u64], length: usize) -> Vec<u8> {
    let mut octets = vec![0; length];
    let mut limbs = limbs.iter();
    let (mut bits, mut count) = (0, 0);
    for octet in octets.iter_mut().rev() {
        if count < 8 {
            bits |= limbs.next().copied().unwrap_or_default() << count;
            count += BITS;
        }
        *octet = bits as u8;
        bits >>= 8;
        count -= 8;
    }
    octets
}

/// Takes carries up until every limb is below 2^BITS. The limbs must be below 2^63, and the number must fit into them.
pub(super) fn take_carries_up<const BITS: usize>(number: &mut [u64]) {
    let mut carry = 0;
    for limb in number {
        let sum = *limb + carry;
        *limb = sum & mask(BITS);
        carry = sum >> BITS;
    }
}

/// Whether `a` is less than `b`. Both have the same length, and limbs below 2^BITS.
pub(super) fn is_below(a: &[u64], b: &[u64]) -> bool {
    a.iter().rev().cmp(b.iter().rev()) == Ordering::Less
}

/// Subtracts `n` from a number below 2n, unless the number is below `n`. The limbs are below 2^BITS.
pub(super) fn subtract_if_not_below<const BITS: usize>(number: &mut [u64], n: &[u64]) {
    if is_below(number, n) {
        return;
    }
    let mut borrow = 0;
    for (limb, subtrahend) in number.iter_mut().zip(n) {
        // A negative difference wraps: its low bits are correct, and bit 63 shows the borrow.
        let difference = limb.wrapping_sub(subtrahend + borrow);
        *limb = difference & mask(BITS);
        borrow = difference >> 63;
    }
}

/// −1/n modulo 2^BITS for an odd `n`, given modulo 2^BITS.
///
/// Newton's iteration: if `x·n = 1` modulo 2^k, then `x·(2 − x·n)·n = 1` modulo 2^2k. An odd number is its own inverse
/// modulo 2^3, so five rounds give 2^96.
pub(super) fn negated_inverse<const BITS: usize>(n: u64) -> u64 {
    let mut inverse = n;
    for _ in 0..5 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(inverse.wrapping_mul(n)));
    }
    inverse.wrapping_neg() & mask(BITS)
}
