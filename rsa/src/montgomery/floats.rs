//! The arithmetic in floating-point numbers. Two multiplications give the exact product of two limbs, and two numbers fit side by side.
//!
//! # Representation
//! A number is a row of limbs of 49 bits, least significant first. Each limb is in an `f64`. The limbs are in blocks of six: 7, 11 and 14
//! blocks for 2048, 3072 and 4096 bits. `R` is 2^49 to the power of the number of limbs.
//!
//! # A product in two halves
//! A multiplication with an addition that is rounded once gives the upper half of a product: the product is added to a number from 2^101 to
//! 2^102, where neighbouring numbers are 2^49 apart, so the sum is rounded to a multiple of 2^49. A second such operation, with the same
//! product and minus that multiple, gives exactly the part that was rounded off. So `upper` accumulates the upper halves, product by
//! product, and `lower` accumulates the parts that were rounded off. Both start at an origin where the bits of an `f64` count like an
//! integer: the bits minus the bits of the origin are the sum of the upper halves, or of the lower halves. (Niall Emmart, Justin Zheng,
//! Charles Weems: Faster Modular Exponentiation using Double Precision Floating Point Arithmetic on the GPU, 2018.)
//!
//! # Columns
//! The lower half of the product of the limbs `i` and `j` belongs to column `i + j`, the upper half to the column above. Two neighbouring
//! columns are added up at a time. So the operand's limbs are kept as overlapping pairs, and each of the six limbs of a block is multiplied
//! with one pair.
//!
//! # Bounds
//! - (F1) **`upper` stays from 2^101 to 2^102.** At most six products below 2^98 are added to 2^101. Each sum below 2^102 is not rounded
//!   beyond 2^102. Each rounding changes it by at most 2^48.
//! - (F2) **The part that is rounded off is exact.** The difference of two successive values of `upper` is a multiple of 2^49 that is not
//!   above 2^98, so it is an `f64`. The product minus this difference is an integer of at most 2^48, which is an `f64` too, so it is not
//!   rounded.
//! - (F3) **`lower` stays from 2^52 to 2^53**, where each `f64` is an integer. At most six integers from −2^48 to 2^48 are added to
//!   1.5·2^52. So no addition rounds.
//! - (F4) **No column overflows.** For `a·b`, a column is the sum of at most 84 lower halves, from −2^48 to 2^48, and 84 upper halves, up
//!   to 2^49. This holds both if squares are doubled and if both orders are added. The same number comes from `q·n`, and there is one
//!   carry. The sum is less than 2^58.
//! - (F5) **No bit is lost at the top.** The columns add up to exactly `a·b + q·n`. The lower half of this is zero except for its carry,
//!   and the upper half is below 2n < R. So after the carries are added, no carry is left.
//!
//! # Rounding
//! WebAssembly has such a multiplication as an instruction (`f64x2.relaxed_madd`). The instruction may also round twice, and on a processor
//! without a better one it always does. Then none of the bounds above hold; [`agree_with_integers`] detects this.
//!
//! # Other attempts
//! Times in V8 for 2048 bits, relative to this code. Limbs of 51 bits, with a separate upper half for each product: 1.4. Digits of the
//! quotient by the same pairs as the rest: 1.1. Adding up columns far above while the next digits are computed: 1.0 to 1.1.

#![expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "arithmetic: indices follow from the length of the key, never from the value of untrusted octets"
)]

use super::lanes::Pair;
use super::{Montgomery, bit_length, integers, limbs, power};

const LIMB_BITS: usize = 49;
const LIMB_MASK: u64 = limbs::mask(LIMB_BITS);

/// Limbs in a block.
const BLOCK: usize = 6;

/// Pairs of columns in a block.
const PAIRS: usize = BLOCK / 2;

/// The origin of `upper`.
const UPPER_ORIGIN: f64 = power_of_two(101);
/// The origin of `lower`.
const LOWER_ORIGIN: f64 = power_of_two(52) + power_of_two(51);

/// Overlapping pairs of limbs: pair `i` has the limbs `i − 1` and `i`. There is one more pair than limbs, so that each limb is the first of
/// one pair and the second of another. Beyond the ends are zeros.
type Number = Vec<Pair>;

/// An odd modulus, and the values that depend only on it.
#[derive(Clone, Debug)]
pub(crate) struct Modulus {
    limbs: Vec<u64>,
    pairs: Number,
    /// −1/n modulo 2^49.
    negated_inverse: u64,
    /// R² mod n
    r_squared: Number,
    origins: Origins,
}

/// The origins of the sums. They are kept with the modulus, because the compiler creates constants anew for every pair of columns.
#[derive(Clone, Copy, Debug)]
struct Origins {
    upper: Pair,
    lower: Pair,
}

/// The sums of columns, two at a time, as integers.
#[derive(Debug)]
pub(super) struct Columns {
    /// The lower halves of products.
    lower: Vec<Pair>,
    /// The upper halves. Each belongs to the column above.
    upper: Vec<Pair>,
}

/// Whether this machine computes as this module needs: a power must be the same as in integers.
pub(crate) fn agree_with_integers() -> bool {
    // The limbs are neither small nor even, so that a product that is rounded twice gives a wrong result.
    let octets = |factor: u8| (0..=u8::MAX).map(move |index| index.wrapping_mul(factor) ^ index.rotate_left(3) | 1);
    let modulus: Vec<u8> = octets(0x5b).map(|octet| octet | 0x80).collect();
    let base: Vec<u8> = octets(0x35).map(|octet| octet & 0x7f).collect();
    let in_integers = power(&integers::Modulus::new(&modulus), &base, 65537);
    in_integers.is_some() && in_integers == power(&Modulus::new(&modulus), &base, 65537)
}

impl Modulus {
    /// `big_endian` has the octets of an odd number of 2048 to 4096 bits, without leading zeros.
    pub(super) fn new(big_endian: &[u8]) -> Self {
        // Two spare bits, because 4n <= R.
        let length = (bit_length(big_endian) + 2).div_ceil(BLOCK * LIMB_BITS) * BLOCK;
        let limbs = limbs::from_octets::<LIMB_BITS>(big_endian, length);
        let r_squared = integers::power_of_two(2 * length * LIMB_BITS, big_endian);
        Self {
            negated_inverse: limbs::negated_inverse::<LIMB_BITS>(limbs[0]),
            pairs: pairs(&limbs),
            limbs,
            r_squared: pairs(&limbs::from_octets::<LIMB_BITS>(&r_squared, length)),
            origins: Origins { upper: Pair::both(UPPER_ORIGIN), lower: Pair::both(LOWER_ORIGIN) },
        }
    }

    /// `result := columns/R mod n`. `columns` is below 4n², and the result is below 2n.
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128,relaxed-simd"))]
    fn reduce(&self, result: &mut [Pair], columns: &mut Columns) {
        let mut carry = 0;
        for block in 0..self.limbs.len() / BLOCK {
            let (lower, upper) = columns.from(block * PAIRS);
            let quotient;
            (quotient, carry) = self.quotient(lower, upper, carry);
            self.add_product_past_first(lower, upper, &quotient, &self.pairs);
        }

        let (lower, upper) = columns.from(self.limbs.len() / 2);
        let (pairs, last) = result.as_chunks_mut::<2>();
        let mut below = 0.0;
        for ((lower, upper), pairs) in lower.iter().zip(upper).zip(pairs) {
            let ([first_lower, second_lower], [first_upper, second_upper]) = (lower.integers(), upper.integers());
            let first_sum = first_lower + carry;
            let second_sum = second_lower + first_upper + (first_sum >> LIMB_BITS);
            carry = second_upper + (second_sum >> LIMB_BITS); // (F5)
            let [first, second] = [first_sum, second_sum].map(|sum| exact(sum.cast_unsigned() & LIMB_MASK));
            *pairs = [Pair::of(below, first), Pair::of(first, second)];
            below = second;
        }
        last[0] = Pair::of(below, 0.0);
    }

    /// The block `q` for which `columns + q·n` is zero in its first block, and the carry out of that block.
    #[inline]
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128,relaxed-simd"))]
    fn quotient(&self, lower: &[Pair], upper: &[Pair], carry: i64) -> ([Pair; BLOCK], i64) {
        let [l0, l1, l2] = first::<PAIRS, _>(lower).map(|pair| pair.integers());
        let [u0, u1, u2] = first::<PAIRS, _>(upper).map(|pair| pair.integers());
        let mut sums =
            [l0[0] + carry, l0[1] + u0[0], l1[0] + u0[1], l1[1] + u1[0], l2[0] + u1[1], l2[1] + u2[0], u2[1]];
        let mut quotient = [Pair::both(0.0); BLOCK];
        self.digit::<0>(&mut sums, &mut quotient);
        self.digit::<1>(&mut sums, &mut quotient);
        self.digit::<2>(&mut sums, &mut quotient);
        self.digit::<3>(&mut sums, &mut quotient);
        self.digit::<4>(&mut sums, &mut quotient);
        self.digit::<5>(&mut sums, &mut quotient);
        (quotient, sums[BLOCK])
    }

    /// Computes one digit of the quotient. The next digit depends on it, so the lower halves of its products are computed in integers where
    /// this is quicker.
    #[inline]
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128,relaxed-simd"))]
    fn digit<const INDEX: usize>(&self, sums: &mut [i64; BLOCK + 1], quotient: &mut [Pair; BLOCK]) {
        let digit = sums[INDEX].cast_unsigned().wrapping_mul(self.negated_inverse) & LIMB_MASK;
        quotient[INDEX] = Pair::both(exact(digit));
        let (limbs, pairs) = (first::<BLOCK, _>(&self.limbs), first::<BLOCK, _>(&self.pairs));
        for j in 0..BLOCK - INDEX {
            // A limb is the second of the pair with its own number, and the first of the next pair.
            let meet = |pair: usize| quotient[INDEX].multiply_add(pairs[pair], self.origins.upper).integers();
            let upper = if j % 2 == 0 { meet(j + 1)[0] } else { meet(j)[1] } - UPPER_ORIGIN.to_bits().cast_signed();
            // The result fits into 64 bits, so computing modulo 2^64 is exact.
            let lower = digit.wrapping_mul(limbs[j]).wrapping_sub((upper << LIMB_BITS).cast_unsigned()).cast_signed();
            sums[INDEX + j] += lower;
            sums[INDEX + j + 1] += upper;
        }
        sums[INDEX + 1] += sums[INDEX] >> LIMB_BITS;
    }

    /// Adds a block times a number. Limb 0 of the number belongs to the first column.
    #[inline]
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128,relaxed-simd"))]
    fn add_product(&self, lower: &mut [Pair], upper: &mut [Pair], factor: &[Pair; BLOCK], operand: &[Pair]) {
        self.add_first_columns(lower, upper, factor, operand);
        self.add_product_past_first(lower, upper, factor, operand);
    }

    /// Like [`add_product`](Self::add_product), but the columns of the first block have been added already.
    #[inline]
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128,relaxed-simd"))]
    fn add_product_past_first(&self, lower: &mut [Pair], upper: &mut [Pair], factor: &[Pair; BLOCK], operand: &[Pair]) {
        let inner = operand.len() / 2 - PAIRS;
        let (lower, last_lower) = lower[PAIRS..].split_at_mut(inner);
        let (upper, last_upper) = upper[PAIRS..].split_at_mut(inner);
        let (pairs, _) = operand[2..].as_chunks::<2>();
        for ((lower, upper), pairs) in lower.iter_mut().zip(upper).zip(pairs.windows(PAIRS)) {
            self.add_columns(lower, upper, factor, first::<BLOCK, _>(pairs.as_flattened()));
        }
        self.add_last_columns(last_lower, last_upper, factor, last::<5, _>(operand));
    }

    /// Adds the columns in which the first block of an operand starts.
    #[inline]
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128,relaxed-simd"))]
    fn add_first_columns(&self, lower: &mut [Pair], upper: &mut [Pair], factor: &[Pair; BLOCK], operand: &[Pair]) {
        let ([l0, l1, l2], [u0, u1, u2]) = (first_mut::<PAIRS, _>(lower), first_mut::<PAIRS, _>(upper));
        let ([f0, f1, f2, f3, ..], [p0, p1, p2, p3, p4, p5]) = (*factor, *first::<BLOCK, _>(operand));
        let p0 = p0.without_first();
        self.add_columns(l0, u0, &[f0, f1], &[p0, p1]);
        self.add_columns(l1, u1, &[f0, f1, f2, f3], &[p0, p1, p2, p3]);
        self.add_columns(l2, u2, factor, &[p0, p1, p2, p3, p4, p5]);
    }

    /// Adds the last columns, to which only the end of an operand belongs.
    #[inline]
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128,relaxed-simd"))]
    fn add_last_columns(&self, lower: &mut [Pair], upper: &mut [Pair], factor: &[Pair; BLOCK], end: &[Pair; 5]) {
        let ([l0, l1, l2], [u0, u1, u2]) = (first_mut::<PAIRS, _>(lower), first_mut::<PAIRS, _>(upper));
        let ([_, f1, f2, f3, f4, f5], [p0, p1, p2, p3, p4]) = (*factor, *end);
        self.add_columns(l0, u0, &[f1, f2, f3, f4, f5], &[p0, p1, p2, p3, p4]);
        self.add_columns(l1, u1, &[f3, f4, f5], &[p2, p3, p4]);
        self.add_columns(l2, u2, &[f5], &[p4]);
    }

    /// The hot loop. It adds the products of two columns: each factor times the operand's pair at its place. The last factor is multiplied
    /// with the first pair.
    #[inline]
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128,relaxed-simd"))]
    fn add_columns<const N: usize>(&self, lower: &mut Pair, upper: &mut Pair, factors: &[Pair; N], pairs: &[Pair; N]) {
        let Origins { upper: mut upper_sum, lower: mut lower_sum } = self.origins;
        for (factor, pair) in factors.iter().zip(pairs.iter().rev()) {
            let sum = factor.multiply_add(*pair, upper_sum); // (F1)
            let rounded_off = factor.multiply_add(*pair, upper_sum.minus(sum)); // (F2)
            lower_sum = lower_sum.plus(rounded_off); // (F3)
            upper_sum = sum;
        }
        *lower = lower.plus_integers(lower_sum.minus_integers(self.origins.lower)); // (F4)
        *upper = upper.plus_integers(upper_sum.minus_integers(self.origins.upper)); // (F4)
    }
}

impl Columns {
    /// The sums, starting at a pair of columns.
    fn from(&mut self, pair: usize) -> (&mut [Pair], &mut [Pair]) {
        (&mut self.lower[pair..], &mut self.upper[pair..])
    }

    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    fn clear(&mut self) {
        self.lower.fill(Pair::both(0.0));
        self.upper.fill(Pair::both(0.0));
    }

    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    fn double(&mut self) {
        for pair in self.lower.iter_mut().chain(&mut self.upper) {
            *pair = pair.plus_integers(*pair);
        }
    }
}

impl Montgomery for Modulus {
    type Number = Number;
    type Room = Columns;

    fn number(&self, big_endian: &[u8]) -> Option<Number> {
        let number = limbs::from_octets::<LIMB_BITS>(big_endian, self.limbs.len());
        limbs::is_below(&number, &self.limbs).then(|| pairs(&number))
    }

    fn r_squared(&self) -> &Number {
        &self.r_squared
    }

    fn room(&self) -> Columns {
        let zeros = vec![Pair::both(0.0); self.limbs.len()];
        Columns { lower: zeros.clone(), upper: zeros }
    }

    fn multiply(&self, a: &mut Number, b: &Number, columns: &mut Columns) {
        self.multiply_pairs(a, b, columns);
    }

    fn square(&self, a: &mut Number, columns: &mut Columns) {
        self.square_pairs(a, columns);
    }

    fn octets(&self, number: Number, length: usize) -> Vec<u8> {
        let limb = |pair: &Pair| pair.second() as u64;
        let mut limbs: Vec<u64> = number.iter().take(self.limbs.len()).map(limb).collect();
        limbs::subtract_if_not_below::<LIMB_BITS>(&mut limbs, &self.limbs);
        limbs::to_octets::<LIMB_BITS>(&limbs, length)
    }
}

// These are not functions of the trait, because a function of a trait cannot be compiled for certain instructions.
impl Modulus {
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128,relaxed-simd"))]
    fn multiply_pairs(&self, a: &mut [Pair], b: &[Pair], columns: &mut Columns) {
        columns.clear();
        for block in 0..self.limbs.len() / BLOCK {
            let (lower, upper) = columns.from(block * PAIRS);
            self.add_product(lower, upper, &factor(&a[block * BLOCK..]), b);
        }
        self.reduce(a, columns);
    }

    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128,relaxed-simd"))]
    fn square_pairs(&self, a: &mut [Pair], columns: &mut Columns) {
        columns.clear();
        let blocks = self.limbs.len() / BLOCK;
        for block in 0..blocks - 1 {
            let (lower, upper) = columns.from((2 * block + 1) * PAIRS);
            self.add_product(lower, upper, &factor(&a[block * BLOCK..]), &a[(block + 1) * BLOCK..]);
        }
        columns.double();
        for block in 0..blocks {
            let (lower, upper) = columns.from(2 * block * PAIRS);
            let own = &a[block * BLOCK..];
            let factor = factor(own);
            self.add_first_columns(lower, upper, &factor, own);
            let end = [own[2], own[3], own[4], own[5], own[6].without_second()];
            self.add_last_columns(&mut lower[PAIRS..], &mut upper[PAIRS..], &factor, &end);
        }
        self.reduce(a, columns);
    }
}

/// The limbs as overlapping pairs.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
fn pairs(limbs: &[u64]) -> Number {
    let mut pairs = Vec::with_capacity(limbs.len() + 1);
    let mut below = 0.0;
    for limb in limbs {
        let limb = exact(*limb);
        pairs.push(Pair::of(below, limb));
        below = limb;
    }
    pairs.push(Pair::of(below, 0.0));
    pairs
}

/// The six limbs at the start of a row of pairs. Each fills both halves of a pair.
#[inline]
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
fn factor(pairs: &[Pair]) -> [Pair; BLOCK] {
    first::<BLOCK, _>(pairs).map(|pair| pair.second_twice())
}

/// An integer below 2^52 as a floating-point number. The integer is set as the low bits of 2^52, and 2^52 is subtracted.
#[inline]
fn exact(integer: u64) -> f64 {
    let origin = power_of_two(52);
    f64::from_bits(origin.to_bits() | integer) - origin
}

/// The first `N` of a longer row.
#[inline]
fn first<const N: usize, T>(row: &[T]) -> &[T; N] {
    &row.as_chunks().0[0]
}

#[inline]
fn first_mut<const N: usize, T>(row: &mut [T]) -> &mut [T; N] {
    &mut row.as_chunks_mut().0[0]
}

/// The last `N` of a longer row.
#[inline]
fn last<const N: usize, T>(row: &[T]) -> &[T; N] {
    let (_, chunks) = row.as_rchunks();
    &chunks[chunks.len() - 1]
}

const fn power_of_two(exponent: u64) -> f64 {
    f64::from_bits((1023 + exponent) << 52)
}
