//! The arithmetic in integers.
//!
//! # Representation
//! A number is a row of limbs of 30 bits, least significant first. Each limb is in a `u64`. The limbs are in blocks of seven. Wasm keeps
//! only the low 64 bits of a product, so a limb can have at most 32 bits. With 30 bits, a column can add up seven doubled products before
//! it must carry. Seven limbs have 210 bits, and 10, 15 and 20 blocks fit 2048, 3072 and 4096 bits closely.
//!
//! # Algorithm
//! `R` is 2^30 to the power of the number of limbs. [`add_product`] adds a block times a number. Multiplication, squaring (each pair of
//! limbs once, doubled) and reduction consist of this step.
//!
//! Within a step, a column keeps the low 30 bits of its sum and passes the rest to its left neighbour. The neighbour adds it to its own low
//! 30 bits and *not* to its sum. So no column waits for another one, which saves a quarter of the time. Only at the end of a reduction the
//! carries are taken all the way up. Then the limbs are below 2^30 again.
//!
//! # Bounds
//! - (B1) **No column overflows.** A column adds at most seven products of a limb below 2^31 (doubled) with one below 2^30, which is less
//!   than 7·2^61. It adds them to a limb below 2^41 (B2) and, in [`Modulus::quotient`], to a carry below 2^34. The sum is less than 2^64
//!   for keys of any length.
//! - (B2) **Accumulators stay below 2^41.** A column passes on a `u64` shifted right by 30, which is below 2^34. So after a step the limbs
//!   are below 2^30 + 2^34. The last limb is an exception: the step adds a carry to it without splitting it. Between two clearings an
//!   accumulator gets at most 60 steps (20 blocks: two steps for each in squaring, one in reduction), and 2^30 + 61·2^34 < 2^41.
//! - (B3) **No bit is lost at the top.** The steps add up exactly `a·b + q·n < 4n² + R·n <= 2·R·n` and drop no carry. So the upper half is
//!   below 2n < R, and after its carries are taken up, no carry is left.
//!
//! # Other attempts
//! Times in V8 for 2048 bits, relative to this code. Carries rippling through the columns: 1.4. Limbs of 28 bits, with no carries until the
//! end and a tenth more products: 1.2. Blocks of five limbs, or computing the next quotient ahead of time: 1.0. SIMD: 1.3 to 2.1, because
//! LLVM turns products of 32-bit lanes into products of 64-bit lanes, even if they are requested by name.
//!
//! All data here is public, so this code need not run in constant time.

#![expect(
    clippy::indexing_slicing,
    reason = "arithmetic: indices follow from the length of the key, never from the value of untrusted octets"
)]

use super::{Montgomery, bit_length, limbs};

const LIMB_BITS: usize = 30;
const LIMB_MASK: u64 = limbs::mask(LIMB_BITS);

/// Limbs in a block.
const BLOCK: usize = 7;

type Block = [u64; BLOCK];

const ZERO: Block = [0; BLOCK];

/// An odd modulus `n`, and the values that depend only on it.
#[derive(Clone, Debug)]
pub(crate) struct Modulus {
    /// The length of n in bits.
    bits: usize,
    blocks: Vec<Block>,
    /// −1/n modulo 2^30.
    negated_inverse: u64,
    /// R² mod n
    r_squared: Vec<Block>,
}

impl Modulus {
    /// `big_endian` has the octets of an odd number of 2048 to 4096 bits, without leading zeros.
    pub(super) fn new(big_endian: &[u8]) -> Modulus {
        let mut modulus = Modulus::without_r_squared(big_endian);
        // R² is the Montgomery form of R.
        modulus.r_squared = modulus.form_of_power_of_two(modulus.r_bits());
        modulus
    }

    fn without_r_squared(big_endian: &[u8]) -> Modulus {
        let bits = bit_length(big_endian);
        // Two spare bits, because 4n <= R.
        let blocks = blocks_from_octets(big_endian, (bits + 2).div_ceil(BLOCK * LIMB_BITS));
        let negated_inverse = limbs::negated_inverse::<LIMB_BITS>(blocks[0][0]);
        Modulus { bits, blocks, negated_inverse, r_squared: Vec::new() }
    }

    /// 2^exponent in Montgomery's form, by doubling and squaring. `exponent` is at least 1.
    fn form_of_power_of_two(&self, exponent: usize) -> Vec<Block> {
        // Doubles from the greatest power of two below n up to 2·R mod n, which is 2 in Montgomery's form.
        let top = self.bits - 1;
        let mut form = vec![ZERO; self.blocks.len()];
        form.as_flattened_mut()[top / LIMB_BITS] = 1 << (top % LIMB_BITS);
        for _ in top..self.r_bits() + 1 {
            self.double(&mut form);
        }

        let mut wide = self.room();
        for bit in (0..exponent.ilog2()).rev() {
            self.square(&mut form, &mut wide);
            self.subtract_if_not_below(&mut form);
            if (exponent >> bit) & 1 == 1 {
                self.double(&mut form);
            }
        }
        form
    }

    /// `R` is 2 to the power of this number.
    fn r_bits(&self) -> usize {
        self.blocks.len() * BLOCK * LIMB_BITS
    }

    /// `number := 2·number mod n`, for a number below n.
    fn double(&self, number: &mut [Block]) {
        number.as_flattened_mut().iter_mut().for_each(|limb| *limb *= 2);
        limbs::take_carries_up::<LIMB_BITS>(number.as_flattened_mut()); // No carry is left: 2n <= R/2.
        self.subtract_if_not_below(number);
    }

    fn subtract_if_not_below(&self, number: &mut [Block]) {
        limbs::subtract_if_not_below::<LIMB_BITS>(number.as_flattened_mut(), self.blocks.as_flattened());
    }

    /// `result := wide/R mod n`. `wide` is below 4n², and the result is below 2n.
    fn reduce(&self, result: &mut [Block], wide: &mut [Block]) {
        let length = self.blocks.len();
        for index in 0..length {
            let (quotient, carry) = self.quotient(&wide[index]);
            add_product_past_first(&mut wide[index..], &quotient, &self.blocks, carry);
        }
        result.copy_from_slice(&wide[length..]);
        limbs::take_carries_up::<LIMB_BITS>(result.as_flattened_mut()); // (B3)
    }

    /// The block `q` for which `low + q·n` is zero in its first block, and the carry out of that block.
    fn quotient(&self, low: &Block) -> (Block, u64) {
        let n = &self.blocks[0];
        let mut quotient = ZERO;
        let mut carry = 0;
        for k in 0..BLOCK {
            let mut column = low[k] + carry;
            for i in 0..k {
                column += quotient[i] * n[k - i];
            }
            quotient[k] = column.wrapping_mul(self.negated_inverse) & LIMB_MASK;
            carry = (column + quotient[k] * n[0]) >> LIMB_BITS;
        }
        (quotient, carry)
    }
}

/// 2^exponent mod n, big-endian, in as many octets as `n` has. `n` must be valid for [`Modulus::new`], and `exponent` is at least 1.
pub(super) fn power_of_two(exponent: usize, n: &[u8]) -> Vec<u8> {
    let modulus = Modulus::without_r_squared(n);
    let mut power = modulus.form_of_power_of_two(exponent);
    let mut one = vec![ZERO; modulus.blocks.len()];
    one[0][0] = 1;
    modulus.multiply(&mut power, &one, &mut modulus.room());
    modulus.octets(power, n.len())
}

impl Montgomery for Modulus {
    type Number = Vec<Block>;
    /// Memory for a product.
    type Room = Vec<Block>;

    fn number(&self, big_endian: &[u8]) -> Option<Vec<Block>> {
        let number = blocks_from_octets(big_endian, self.blocks.len());
        limbs::is_below(number.as_flattened(), self.blocks.as_flattened()).then_some(number)
    }

    fn r_squared(&self) -> &Vec<Block> {
        &self.r_squared
    }

    fn room(&self) -> Vec<Block> {
        vec![ZERO; 2 * self.blocks.len()]
    }

    fn multiply(&self, a: &mut Vec<Block>, b: &Vec<Block>, wide: &mut Vec<Block>) {
        wide.fill(ZERO);
        for (index, block) in a.iter().enumerate() {
            add_product(&mut wide[index..], block, b);
        }
        self.reduce(a, wide);
    }

    fn square(&self, a: &mut Vec<Block>, wide: &mut Vec<Block>) {
        wide.fill(ZERO);
        for (index, block) in a.iter().enumerate() {
            add_square(&mut wide[2 * index..], block);
            let rest = &a[index + 1..];
            if !rest.is_empty() {
                add_product(&mut wide[2 * index + 1..], &block.map(|limb| 2 * limb), rest);
            }
        }
        self.reduce(a, wide);
    }

    fn octets(&self, mut number: Vec<Block>, length: usize) -> Vec<u8> {
        self.subtract_if_not_below(&mut number);
        limbs::to_octets::<LIMB_BITS>(number.as_flattened(), length)
    }
}

/// `accumulator += factor · operand`. The accumulator has at least one block more than the operand.
fn add_product(accumulator: &mut [Block], factor: &Block, operand: &[Block]) {
    let carry = add_columns::<BLOCK>(&mut accumulator[0], factor, &ZERO, &operand[0], 0);
    add_product_past_first(accumulator, factor, operand, carry);
}

/// Like [`add_product`], but the columns of the first block have been added already and have left `carry`.
fn add_product_past_first(accumulator: &mut [Block], factor: &Block, operand: &[Block], mut carry: u64) {
    let (inner, outer) = accumulator[1..].split_at_mut(operand.len() - 1);
    for (limbs, neighbours) in inner.iter_mut().zip(operand.windows(2)) {
        carry = add_columns::<BLOCK>(limbs, factor, &neighbours[0], &neighbours[1], carry);
    }
    // The product of two blocks has 13 columns. The fourteenth column takes only the carry.
    let last = &mut outer[0];
    last[BLOCK - 1] += add_columns::<{ BLOCK - 1 }>(last, factor, &operand[operand.len() - 1], &ZERO, carry);
}

/// The hot loop. It adds products with `factor` to the first `COLUMNS` limbs of a block: products with the operand's block `at` the same
/// place, and with the block `below` it. It takes the carry from the columns below and returns the carry for the columns above.
#[inline(always)] // so that the compiler removes the products with `ZERO`
fn add_columns<const COLUMNS: usize>(limbs: &mut Block, factor: &Block, below: &Block, at: &Block, carry: u64) -> u64 {
    let mut carry = carry;
    for k in 0..COLUMNS {
        let mut sum = limbs[k];
        for i in 0..=k {
            sum += factor[i] * at[k - i]; // (B1)
        }
        for i in k + 1..BLOCK {
            sum += factor[i] * below[BLOCK + k - i]; // (B1)
        }
        limbs[k] = (sum & LIMB_MASK) + carry; // (B2)
        carry = sum >> LIMB_BITS;
    }
    carry
}

/// `accumulator += block²`. The accumulator has at least two blocks.
fn add_square(accumulator: &mut [Block], block: &Block) {
    let mut columns = [0; 2 * BLOCK - 1];
    for i in 0..BLOCK {
        columns[2 * i] += block[i] * block[i];
        for j in i + 1..BLOCK {
            columns[i + j] += 2 * block[i] * block[j]; // (B1)
        }
    }

    let limbs = accumulator[..2].as_flattened_mut();
    let mut carry = 0;
    for (limb, column) in limbs.iter_mut().zip(columns) {
        let sum = *limb + column; // (B1)
        *limb = (sum & LIMB_MASK) + carry; // (B2)
        carry = sum >> LIMB_BITS;
    }
    limbs[2 * BLOCK - 1] += carry;
}

/// Big-endian octets as `length` blocks, which must be long enough.
fn blocks_from_octets(big_endian: &[u8], length: usize) -> Vec<Block> {
    limbs::from_octets::<LIMB_BITS>(big_endian, length * BLOCK).as_chunks().0.to_vec()
}
