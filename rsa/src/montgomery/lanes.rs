//! Two 64-bit numbers side by side. In WebAssembly with SIMD they are one value; elsewhere they are an array.

#[cfg(not(target_arch = "wasm32"))]
pub(super) use array::Pair;
#[cfg(target_arch = "wasm32")]
pub(super) use simd::Pair;

#[cfg(test)]
thread_local! {
    /// Makes this thread compute like a machine that rounds the product and then the sum.
    pub(crate) static ROUNDS_TWICE: core::cell::Cell<bool> = const { core::cell::Cell::new(false) };
}

#[cfg(target_arch = "wasm32")]
mod simd {
    use core::arch::wasm32::{
        f64x2, f64x2_add, f64x2_extract_lane, f64x2_relaxed_madd, f64x2_splat, f64x2_sub, i64x2_add,
        i64x2_extract_lane, i64x2_shuffle, i64x2_sub, v128,
    };

    /// Two `f64`, or the same bits as two `i64`.
    #[derive(Clone, Copy, Debug)]
    pub(in super::super) struct Pair(v128);

    impl Pair {
        #[inline]
        #[target_feature(enable = "simd128")]
        pub(in super::super) fn of(first: f64, second: f64) -> Self {
            Self(f64x2(first, second))
        }

        #[inline]
        #[target_feature(enable = "simd128")]
        pub(in super::super) fn both(number: f64) -> Self {
            Self(f64x2_splat(number))
        }

        /// `self · factor + addend`. The machine decides whether it is rounded once or twice.
        #[inline]
        #[target_feature(enable = "simd128,relaxed-simd")]
        pub(in super::super) fn multiply_add(self, factor: Self, addend: Self) -> Self {
            Self(f64x2_relaxed_madd(self.0, factor.0, addend.0))
        }

        #[inline]
        #[target_feature(enable = "simd128")]
        pub(in super::super) fn plus(self, other: Self) -> Self {
            Self(f64x2_add(self.0, other.0))
        }

        #[inline]
        #[target_feature(enable = "simd128")]
        pub(in super::super) fn minus(self, other: Self) -> Self {
            Self(f64x2_sub(self.0, other.0))
        }

        #[inline]
        #[target_feature(enable = "simd128")]
        pub(in super::super) fn plus_integers(self, other: Self) -> Self {
            Self(i64x2_add(self.0, other.0))
        }

        #[inline]
        #[target_feature(enable = "simd128")]
        pub(in super::super) fn minus_integers(self, other: Self) -> Self {
            Self(i64x2_sub(self.0, other.0))
        }

        #[inline]
        #[target_feature(enable = "simd128")]
        pub(in super::super) fn second(self) -> f64 {
            f64x2_extract_lane::<1>(self.0)
        }

        #[inline]
        #[target_feature(enable = "simd128")]
        pub(in super::super) fn second_twice(self) -> Self {
            Self(i64x2_shuffle::<1, 1>(self.0, self.0))
        }

        /// Zero and the second number.
        #[inline]
        #[target_feature(enable = "simd128")]
        pub(in super::super) fn without_first(self) -> Self {
            Self(i64x2_shuffle::<2, 1>(self.0, f64x2_splat(0.0)))
        }

        /// The first number and zero.
        #[inline]
        #[target_feature(enable = "simd128")]
        pub(in super::super) fn without_second(self) -> Self {
            Self(i64x2_shuffle::<0, 2>(self.0, f64x2_splat(0.0)))
        }

        #[inline]
        #[target_feature(enable = "simd128")]
        pub(in super::super) fn integers(self) -> [i64; 2] {
            [i64x2_extract_lane::<0>(self.0), i64x2_extract_lane::<1>(self.0)]
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod array {
    /// Two `f64`, or the same bits as two `i64`.
    #[derive(Clone, Copy, Debug)]
    pub(in super::super) struct Pair([u64; 2]);

    impl Pair {
        pub(in super::super) fn of(first: f64, second: f64) -> Self {
            Self([first.to_bits(), second.to_bits()])
        }

        pub(in super::super) fn both(number: f64) -> Self {
            Self::of(number, number)
        }

        /// `self · factor + addend`, rounded once.
        pub(in super::super) fn multiply_add(self, factor: Self, addend: Self) -> Self {
            let ([a, b], [c, d], [e, f]) = (self.numbers(), factor.numbers(), addend.numbers());
            #[cfg(test)]
            if super::ROUNDS_TWICE.get() {
                return Self::of(a * c + e, b * d + f);
            }
            Self::of(a.mul_add(c, e), b.mul_add(d, f))
        }

        pub(in super::super) fn plus(self, other: Self) -> Self {
            let ([a, b], [c, d]) = (self.numbers(), other.numbers());
            Self::of(a + c, b + d)
        }

        pub(in super::super) fn minus(self, other: Self) -> Self {
            let ([a, b], [c, d]) = (self.numbers(), other.numbers());
            Self::of(a - c, b - d)
        }

        pub(in super::super) fn plus_integers(self, Self([c, d]): Self) -> Self {
            let Self([a, b]) = self;
            Self([a.wrapping_add(c), b.wrapping_add(d)])
        }

        pub(in super::super) fn minus_integers(self, Self([c, d]): Self) -> Self {
            let Self([a, b]) = self;
            Self([a.wrapping_sub(c), b.wrapping_sub(d)])
        }

        pub(in super::super) fn second(self) -> f64 {
            self.numbers()[1]
        }

        pub(in super::super) fn second_twice(self) -> Self {
            Self::both(self.second())
        }

        /// Zero and the second number.
        pub(in super::super) fn without_first(self) -> Self {
            Self::of(0.0, self.second())
        }

        /// The first number and zero.
        pub(in super::super) fn without_second(self) -> Self {
            Self::of(self.numbers()[0], 0.0)
        }

        pub(in super::super) fn integers(self) -> [i64; 2] {
            self.0.map(u64::cast_signed)
        }

        fn numbers(self) -> [f64; 2] {
            self.0.map(f64::from_bits)
        }
    }
}
