//! Modular exponentiation with an odd modulus `n` of 2048 to 4096 bits, by Montgomery's method.
//!
//! `R` is a power of two, `4·n <= R`. Montgomery's product of `a` and `b` is `a·b/R` modulo `n`: to the full product add that multiple `q·n`,
//! `q < R`, which makes the lower half zero, and drop that half. For `a, b < 2n` the result `(a·b + q·n)/R` is below `(4n² + R·n)/R <= 2n`:
//! an operand again, without a comparison in between.
//!
//! There are two arithmetics for it. Both add up columns of products and take carries late, and each shows why nothing is lost. [`integers`]
//! runs anywhere. [`floats`] takes two thirds of the time in V8, but needs a processor that multiplies and adds with one rounding.

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

/// How products of large numbers are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// In 64-bit integers.
    Integers,
    /// In pairs of floating-point numbers, by multiplications and additions that are rounded once.
    Floats,
}

impl Arithmetic {
    /// Has keys made from now on compute in floating-point numbers, if this machine does so rightly; and says which way it is. The first
    /// call decides, for as long as the program runs; until then it is integers. Worth calling in WebAssembly: elsewhere the
    /// instructions that this is about are functions.
    pub fn choose() -> Self {
        *CHOICE.get_or_init(|| if floats::agree_with_integers() { Self::Floats } else { Self::Integers })
    }

    /// What was chosen.
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

/// An odd modulus, and what depends on it alone.
#[derive(Clone, Debug)]
pub(super) enum Modulus {
    Integers(integers::Modulus),
    Floats(floats::Modulus),
}

impl Modulus {
    /// `big_endian`: the octets, without leading zeros, of an odd number of 2048 to 4096 bits.
    pub(super) fn new(arithmetic: Arithmetic, big_endian: &[u8]) -> Self {
        match arithmetic {
            Arithmetic::Integers => Self::Integers(integers::Modulus::new(big_endian)),
            Arithmetic::Floats => Self::Floats(floats::Modulus::new(big_endian)),
        }
    }

    /// `base^exponent mod n`, big-endian, in as many octets as `base` has; `None` if the base is not below `n`.
    ///
    /// `base` is as many octets as the modulus; `exponent` is odd and at least 3.
    pub(super) fn power(&self, base: &[u8], exponent: u32) -> Option<Vec<u8>> {
        match self {
            Self::Integers(modulus) => power(modulus, base, exponent),
            Self::Floats(modulus) => power(modulus, base, exponent),
        }
    }
}

/// What an arithmetic brings: numbers below 2n in a form of its own, and Montgomery's product.
trait Montgomery {
    /// A number below 2n.
    type Number: Clone;
    /// Room to work in.
    type Room;

    /// The number of these octets, big-endian; `None` if it is not below `n`.
    fn number(&self, big_endian: &[u8]) -> Option<Self::Number>;
    /// R² mod n, the factor that brings a number into Montgomery's form, that is, multiplies it by R.
    fn r_squared(&self) -> &Self::Number;
    fn room(&self) -> Self::Room;
    /// `a := a·b/R mod n`
    fn multiply(&self, a: &mut Self::Number, b: &Self::Number, room: &mut Self::Room);
    /// `a := a²/R mod n`
    fn square(&self, a: &mut Self::Number, room: &mut Self::Room);
    /// The number modulo n, big-endian, in so many octets.
    fn octets(&self, number: Self::Number, length: usize) -> Vec<u8>;
}

fn power<M: Montgomery>(modulus: &M, base: &[u8], exponent: u32) -> Option<Vec<u8>> {
    let plain = modulus.number(base)?;
    let mut room = modulus.room();
    let mut base_form = plain.clone();
    modulus.multiply(&mut base_form, modulus.r_squared(), &mut room);

    // The exponent's bits between its first and its last. In 65537 none is set: squarings only.
    let mut result = base_form.clone();
    for bit in (1..exponent.ilog2()).rev() {
        modulus.square(&mut result, &mut room);
        if (exponent >> bit) & 1 == 1 {
            modulus.multiply(&mut result, &base_form, &mut room);
        }
    }
    // The last bit is set. To multiply by the plain base also takes the result out of Montgomery's form.
    modulus.square(&mut result, &mut room);
    modulus.multiply(&mut result, &plain, &mut room);
    Some(modulus.octets(result, base.len()))
}
