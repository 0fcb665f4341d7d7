//! Modular exponentiation with an odd modulus `n` of 2048 to 4096 bits, by Montgomery's method.
//!
//! `R` is a power of two, and `4·n <= R`. Montgomery's product of `a` and `b` is `a·b/R` modulo `n`. To compute it, add the multiple `q·n`
//! with `q < R` that makes the lower half of the full product zero, and drop that half. For `a, b < 2n` the result `(a·b + q·n)/R` is below
//! `(4n² + R·n)/R <= 2n`. So it can be an operand again, and no comparison is needed in between.
//!
//! There are two arithmetics. Both add up columns of products and carry late, and each proves that no bit is lost. [`integers`] runs on
//! every machine. [`floats`] takes two thirds of the time in V8, but it needs a processor that multiplies and adds with one rounding.

mod floats;
mod integers;
mod lanes;
mod limbs;

#[cfg(test)]
pub(crate) use floats::agree_with_integers;
#[cfg(test)]
pub(crate) use lanes::ROUNDS_TWICE;

use core::fmt;
use std::sync::OnceLock;

pub(super) use limbs::bit_length;

/// The arithmetic for products of large numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// 64-bit integers.
    Integers,
    /// Pairs of floating-point numbers. A multiplication with an addition is rounded once.
    Floats,
}

impl Arithmetic {
    /// Lets keys that are made from now on use floating-point numbers, if this machine computes correctly with them. Returns the
    /// arithmetic. The first call decides for as long as the program runs; before it, integers are used. Call it in WebAssembly only:
    /// elsewhere the needed instructions are slow functions.
    pub fn choose() -> Self {
        *CHOICE.get_or_init(|| if floats::agree_with_integers() { Self::Floats } else { Self::Integers })
    }

    /// The chosen arithmetic.
    pub(super) fn chosen() -> Self {
        CHOICE.get().copied().unwrap_or(Self::Integers)
    }
}

static CHOICE: OnceLock<Arithmetic> = OnceLock::new();

impl fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Integers => "in integers",
            Self::Floats => "in floats",
        })
    }
}

/// An odd modulus, and the values that depend only on it.
#[derive(Clone, Debug)]
pub(super) enum Modulus {
    Integers(integers::Modulus),
    Floats(floats::Modulus),
}

impl Modulus {
    /// `big_endian` has the octets of an odd number of 2048 to 4096 bits, without leading zeros.
    pub(super) fn new(arithmetic: Arithmetic, big_endian: &[u8]) -> Self {
        match arithmetic {
            Arithmetic::Integers => Self::Integers(integers::Modulus::new(big_endian)),
            Arithmetic::Floats => Self::Floats(floats::Modulus::new(big_endian)),
        }
    }

    /// `base^exponent mod n`, big-endian, in as many octets as `base` has. `None` if the base is not below `n`.
    ///
    /// `base` has as many octets as the modulus. `exponent` is odd and at least 3.
    pub(super) fn power(&self, base: &[u8], exponent: u32) -> Option<Vec<u8>> {
        match self {
            Self::Integers(modulus) => power(modulus, base, exponent),
            Self::Floats(modulus) => power(modulus, base, exponent),
        }
    }
}

/// The operations of an arithmetic: numbers below 2n in its own form, and Montgomery's product.
trait Montgomery {
    /// A number below 2n.
    type Number: Clone;
    /// Memory for intermediate results.
    type Room;

    /// The number with these big-endian octets. `None` if it is not below `n`.
    fn number(&self, big_endian: &[u8]) -> Option<Self::Number>;
    /// R² mod n. Montgomery's product with it brings a number into Montgomery's form: it multiplies the number by R.
    fn r_squared(&self) -> &Self::Number;
    fn room(&self) -> Self::Room;
    /// `a := a·b/R mod n`
    fn multiply(&self, a: &mut Self::Number, b: &Self::Number, room: &mut Self::Room);
    /// `a := a²/R mod n`
    fn square(&self, a: &mut Self::Number, room: &mut Self::Room);
    /// The number modulo n, big-endian, in `length` octets.
    fn octets(&self, number: Self::Number, length: usize) -> Vec<u8>;
}

fn power<M: Montgomery>(modulus: &M, base: &[u8], exponent: u32) -> Option<Vec<u8>> {
    let plain = modulus.number(base)?;
    let mut room = modulus.room();
    let mut base_form = plain.clone();
    modulus.multiply(&mut base_form, modulus.r_squared(), &mut room);

    // The bits of the exponent between its first and its last. In 65537 these are all zero, so there are only squarings.
    let mut result = base_form.clone();
    for bit in (1..exponent.ilog2()).rev() {
        modulus.square(&mut result, &mut room);
        if (exponent >> bit) & 1 == 1 {
            modulus.multiply(&mut result, &base_form, &mut room);
        }
    }
    // The last bit is set. The multiplication by the plain base also brings the result out of Montgomery's form.
    modulus.square(&mut result, &mut room);
    modulus.multiply(&mut result, &plain, &mut room);
    Some(modulus.octets(result, base.len()))
}
