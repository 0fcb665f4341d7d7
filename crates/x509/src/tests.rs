//! Certificates, made by hand and real ones, and the header that carries them.

mod certificate;
pub(crate) mod der;
mod psd2;
mod real;
mod xfcc;
