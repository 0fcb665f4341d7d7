//! The registrations of a third party that have their own URL and token (RFC 7592 section 3).

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use dcr_mint::Error;
use dcr_mint::pki::files::{read_text, write_secret};
use dcr_parties::client::Answer;
use serde::{Deserialize, Serialize};

/// A registration, with the data to manage it. It is kept as `<client_id>.json` in a folder, and only its owner can read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The client's id.
    pub client_id: String,
    /// The URL of the client's own resource.
    pub registration_client_uri: String,
    /// The token for that URL.
    pub registration_access_token: String,
}

impl Registration {
    /// Reads an answer to a registration, a retrieval or an update. `None` if the server has no tokens of this kind. A server may answer
    /// with a new token at any time; the old one must then be forgotten (RFC 7592 section 3).
    pub fn of_answer(answer: &Answer) -> Option<Self> {
        let member = |name| answer.member(name).filter(|_| answer.is_success());
        Some(Self {
            client_id: member("client_id")?,
            registration_client_uri: member("registration_client_uri")?,
            registration_access_token: member("registration_access_token")?,
        })
    }

    /// Keeps it in `folder`, and replaces the old file of this client.
    ///
    /// # Errors
    /// `registration_client_uri` is not an https URL, `client_id` cannot be the name of a file, or the folder cannot be written to.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        let path = path(folder, &self.client_id)?;
        if !self.registration_client_uri.starts_with("https://") {
            let problem = "not kept: the server's registration_client_uri is no https URL".into();
            return Err(Error::Content { path, problem });
        }
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::Content { path: path.clone(), problem: error.to_string() })?;
        write_secret(&path, &text)
    }

    /// Reads the registration of a client from `folder`. `None` if there is no file.
    ///
    /// # Errors
    /// The file exists and cannot be read.
    pub fn read(folder: &Path, client_id: &str) -> Result<Option<Self>, Error> {
        let Ok(path) = path(folder, client_id) else { return Ok(None) };
        let text = match read_text(&path) {
            Err(Error::File { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let content = |error: serde_json::Error| Error::Content { path, problem: error.to_string() };
        serde_json::from_str(&text).map(Some).map_err(content)
    }

    /// Removes the registration of a client, if there is one.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn forget(folder: &Path, client_id: &str) -> Result<(), Error> {
        let Ok(path) = path(folder, client_id) else { return Ok(()) };
        match fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => Err(Error::File { path, source }),
            _ => Ok(()),
        }
    }
}

/// The server chooses the `client_id`. An id that is not a plain name must not choose the path of the file.
fn path(folder: &Path, client_id: &str) -> Result<PathBuf, Error> {
    let is_name = (1..=128).contains(&client_id.len())
        && client_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_name {
        return Ok(folder.join(format!("{client_id}.json")));
    }
    let problem = "not kept: the client_id is no plain name; give its registration access token with --token".into();
    Err(Error::Content { path: folder.into(), problem })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    fn answer(status: u16, body: &Value) -> Answer {
        Answer {
            status,
            headers: reqwest::header::HeaderMap::new(),
            body: body.to_string().into_bytes(),
            version: reqwest::Version::HTTP_2,
            elapsed: Duration::ZERO,
        }
    }

    fn body() -> Value {
        json!({
            "client_id": "client-1",
            "client_name": "App",
            "registration_client_uri": "https://bank.example/register/client-1",
            "registration_access_token": "token",
        })
    }

    #[test]
    fn a_registration_is_kept_privately_replaced_and_forgotten() {
        let folder = std::env::temp_dir().join(format!("dcr-clients-{}", uuid::Uuid::new_v4()));
        assert_eq!(Registration::read(&folder, "client-1").unwrap(), None);
        let kept = Registration::of_answer(&answer(201, &body())).unwrap();
        kept.write(&folder).unwrap();
        assert_eq!(Registration::read(&folder, "client-1").unwrap().as_ref(), Some(&kept));
        let mode = std::fs::metadata(folder.join("client-1.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let rotated = Registration { registration_access_token: "another".into(), ..kept };
        rotated.write(&folder).unwrap();
        assert_eq!(Registration::read(&folder, "client-1").unwrap().as_ref(), Some(&rotated));
        for _twice in 0..2 {
            Registration::forget(&folder, "client-1").unwrap();
            assert_eq!(Registration::read(&folder, "client-1").unwrap(), None);
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn only_a_success_with_all_three_members_is_one() {
        assert_eq!(Registration::of_answer(&answer(400, &body())), None);
        for missing in ["client_id", "registration_client_uri", "registration_access_token"] {
            let mut body = body();
            body.as_object_mut().unwrap().remove(missing);
            assert_eq!(Registration::of_answer(&answer(201, &body)), None, "{missing}");
        }
    }

    #[test]
    fn a_server_chooses_no_file_and_no_plain_text() {
        let folder = std::env::temp_dir().join(format!("dcr-clients-{}", uuid::Uuid::new_v4()));
        let good = Registration::of_answer(&answer(201, &body())).unwrap();
        for client_id in ["../client", "a/b", "", ".", "a.b", "a\0"] {
            let registration = Registration { client_id: client_id.into(), ..good.clone() };
            assert!(registration.write(&folder).is_err(), "{client_id}");
            assert_eq!(Registration::read(&folder, client_id).unwrap(), None);
            Registration::forget(&folder, client_id).unwrap();
        }
        let plain = Registration { registration_client_uri: "http://bank.example/register/client-1".into(), ..good };
        assert!(plain.write(&folder).is_err());
        assert!(!folder.exists());
    }
}
