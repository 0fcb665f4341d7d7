//! Certificates, both handmade and real, and the header that carries them.

mod certificate;
pub(crate) mod der;
mod psd2;
mod real;
mod xfcc;
