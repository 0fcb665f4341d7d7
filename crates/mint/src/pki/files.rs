//! The folder of a development PKI:
//!
//! ```text
//! ca.pem ca.key                       signs the gateway's certificate
//! server.pem server.key               the gateway and the directory
//! tpp-ca.pem tpp-ca.key               issues transport certificates
//! tpp-ca.crl                          its list of revoked certificates: there are none
//! directory/signing.{key,kid}         signs software statements
//! tpp/, other-tpp/                    software.json transport.{pem,key} obwac.{pem,key} signing.{key,kid}
//!                                     brazilian-software.json brcac.{pem,key}
//! ```

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{CertificateAuthority, DAY, Identity, Pki, ThirdParty};
use crate::Error;
use crate::keys::SigningKey;
use crate::software::Software;

impl Pki {
    /// Writes all files below `folder`, which is created if needed. Only the owner can read private keys.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        write_text(&folder.join("ca.pem"), &self.server_ca.certificate_pem)?;
        write_secret(&folder.join("ca.key"), &self.server_ca.key_pem)?;
        write_text(&folder.join("tpp-ca.pem"), &self.tpp_ca.certificate_pem)?;
        write_secret(&folder.join("tpp-ca.key"), &self.tpp_ca.key_pem)?;
        let nothing_revoked = self.tpp_ca.revocation_list(&[], SystemTime::now() + 365 * DAY)?;
        write_text(&folder.join("tpp-ca.crl"), &nothing_revoked)?;
        write_identity(folder, "server", &self.server)?;
        write_signing_key(&folder.join("directory"), &self.directory)?;
        self.tpp.write(&folder.join("tpp"))?;
        self.other_tpp.write(&folder.join("other-tpp"))
    }

    /// Reads the files that [`write`](Self::write) has written.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        Ok(Self {
            server_ca: read_authority(folder, "ca")?,
            server: read_identity(folder, "server")?,
            tpp_ca: read_authority(folder, "tpp-ca")?,
            directory: read_signing_key(&folder.join("directory"))?,
            tpp: ThirdParty::read(&folder.join("tpp"))?,
            other_tpp: ThirdParty::read(&folder.join("other-tpp"))?,
        })
    }

    /// The PKI in `folder`, if there is one that stays valid for another day. Otherwise a new one, which is written there.
    pub fn reuse_or_generate(folder: &Path) -> Result<Self, Error> {
        match Self::read(folder) {
            Ok(pki) if pki.is_valid_at(SystemTime::now() + DAY)? => Ok(pki),
            Ok(_) => Self::generate_into(folder),
            Err(Error::File { source, .. }) if source.kind() == ErrorKind::NotFound => Self::generate_into(folder),
            Err(error) => Err(error),
        }
    }

    /// Makes a new PKI and writes it below `folder`.
    pub fn generate_into(folder: &Path) -> Result<Self, Error> {
        let pki = Self::generate()?;
        pki.write(folder)?;
        Ok(pki)
    }

    fn is_valid_at(&self, time: SystemTime) -> Result<bool, Error> {
        let parties = [&self.tpp, &self.other_tpp];
        let identities =
            parties.iter().flat_map(|party| [&party.transport, &party.obwac, &party.brcac]).chain([&self.server]);
        for identity in identities {
            if identity.not_after()? < time {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl ThirdParty {
    /// Writes the third party's software, certificates and keys into `folder`.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        write_software(&folder.join("software.json"), &self.software)?;
        write_software(&folder.join("brazilian-software.json"), &self.brazilian_software)?;
        write_identity(folder, "transport", &self.transport)?;
        write_identity(folder, "obwac", &self.obwac)?;
        write_identity(folder, "brcac", &self.brcac)?;
        write_signing_key(folder, &self.signing)
    }

    /// Reads the files that [`write`](Self::write) has written.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        Ok(Self {
            software: read_software(&folder.join("software.json"))?,
            brazilian_software: read_software(&folder.join("brazilian-software.json"))?,
            transport: read_identity(folder, "transport")?,
            obwac: read_identity(folder, "obwac")?,
            brcac: read_identity(folder, "brcac")?,
            signing: read_signing_key(folder)?,
        })
    }
}

/// Writes a file, and creates the folders above it.
pub fn write_text(path: &Path, text: &str) -> Result<(), Error> {
    write(path, text, 0o644)
}

/// Reads a text file and removes white space around the text.
pub fn read_text(path: &Path) -> Result<String, Error> {
    let text = fs::read_to_string(path).map_err(|source| Error::File { path: path.into(), source })?;
    Ok(text.trim().to_string())
}

/// Writes a file that only its owner can read, and creates the folders above it.
pub fn write_secret(path: &Path, text: &str) -> Result<(), Error> {
    write(path, text, 0o600)
}

/// Creates a new file, so that the mode applies before the first byte is written.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    use std::os::unix::fs::OpenOptionsExt;

    let attempt = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => (),
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())
    };
    attempt().map_err(|source| Error::File { path: path.into(), source })
}

fn write_software(path: &Path, software: &Software) -> Result<(), Error> {
    write_text(path, &serde_json::to_string_pretty(software).map_err(content(path))?)
}

fn read_software(path: &Path) -> Result<Software, Error> {
    serde_json::from_str(&read_text(path)?).map_err(content(path))
}

fn write_identity(folder: &Path, name: &str, identity: &Identity) -> Result<(), Error> {
    write_text(&folder.join(format!("{name}.pem")), &identity.certificate_pem)?;
    write_secret(&folder.join(format!("{name}.key")), &identity.key_pem)
}

fn read_identity(folder: &Path, name: &str) -> Result<Identity, Error> {
    let certificate_pem = read_text(&folder.join(format!("{name}.pem")))?;
    let key_pem = read_text(&folder.join(format!("{name}.key")))?;
    Ok(Identity { certificate_pem, key_pem })
}

fn read_authority(folder: &Path, name: &str) -> Result<CertificateAuthority, Error> {
    let Identity { certificate_pem, key_pem } = read_identity(folder, name)?;
    Ok(CertificateAuthority { certificate_pem, key_pem })
}

fn write_signing_key(folder: &Path, key: &SigningKey) -> Result<(), Error> {
    write_secret(&folder.join("signing.key"), &key.to_pem())?;
    write_text(&folder.join("signing.kid"), key.kid())
}

fn read_signing_key(folder: &Path) -> Result<SigningKey, Error> {
    let path = folder.join("signing.key");
    let key = SigningKey::from_pem(&read_text(&path)?).map_err(content(&path))?;
    Ok(key.with_kid(read_text(&folder.join("signing.kid"))?))
}

fn content<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> Error {
    let path = PathBuf::from(path);
    move |error| Error::Content { path, problem: format!("{error}; without its folder, everything is made anew") }
}
