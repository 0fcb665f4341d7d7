//! Reads any input as `x-forwarded-client-cert`. The input is what a client wrote. The element that the trusted proxy adds behind it is the
//! last one, and the elements before it do not change.

#![no_main]

use dcr_x509::Thumbprint;
use dcr_x509::xfcc::{self, Element, XfccError};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let hash = Thumbprint::of_der(b"the certificate of the connection");
    let added = format!("By=spiffe://proxy;Hash={};Subject=\"CN=a,O=b\"", hash.hex());
    let both = xfcc::parse(&[input, b",", added.as_bytes()].concat());

    if let Ok(both) = &both {
        let last = both.last().unwrap();
        assert!(last.hash == Some(hash) && last.certificate.is_none());
    }
    match xfcc::parse(input) {
        Ok(elements) => match both {
            Ok(both) => assert_eq!(contents(&both[..elements.len()]), contents(&elements)),
            // What stands behind a name of the client's certificate could be part of the name, so it is refused.
            Err(error) => {
                assert!(matches!(error, XfccError::TooLong | XfccError::TooManyElements | XfccError::Ambiguous));
            }
        },
        Err(_) => assert!(both.is_err()),
    }
});

type Content = (Option<Thumbprint>, Option<Thumbprint>);

fn contents(elements: &[Element]) -> Vec<Content> {
    let content =
        |element: &Element| (element.hash, element.certificate.as_ref().map(|certificate| certificate.thumbprint()));
    elements.iter().map(content).collect()
}
