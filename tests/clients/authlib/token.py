"""Authlib as a third party: discovery, a token by client_credentials, and the registration read with it.

The environment says who to be (tests/gateway/clients.rs). One JSON object is printed: what went to the token endpoint, and what the
library made of the answers. Python reads this file from standard input in the folder where the libraries are installed, because `import`
looks for them there; run as a file, it would stand in the way of the standard library's `token`.
"""

import json
from os import environ
from pathlib import Path

from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT


def main():
    report = {}
    session = mutual_tls_session()
    session.hooks["response"].append(lambda answer, **_: note_what_was_sent(report, answer.request))

    server = discover(session)
    audience = environ.get("AUDIENCE", server["token_endpoint"])
    session.register_client_auth_method(PrivateKeyJWT(audience, alg="PS256"))
    try:
        report["token"] = session.fetch_token(server["token_endpoint"], grant_type="client_credentials")
        answer = session.get(f"{server['registration_endpoint']}/{session.client_id}")
        answer.raise_for_status()
        report["registration"] = answer.json()
    except OAuthError as error:
        report["refused"] = {"error": error.error, "error_description": error.description}
    print(json.dumps(report))


def mutual_tls_session():
    session = OAuth2Session(
        environ["CLIENT_ID"],
        Path(environ["SIGNING_KEY"]).read_text(),
        token_endpoint_auth_method=environ["AUTH_METHOD"],
        scope=environ["SCOPE"],
    )
    session.verify = environ["CA"]
    session.cert = (environ["TRANSPORT_CERTIFICATE"], environ["TRANSPORT_KEY"])
    # Otherwise REQUESTS_CA_BUNDLE, where it is set, goes before `verify`.
    session.trust_env = False
    return session


def discover(session):
    issuer = environ["ISSUER"]
    answer = session.get(f"{issuer}/.well-known/openid-configuration", withhold_token=True)
    answer.raise_for_status()
    metadata = answer.json()
    if metadata["issuer"] != issuer:
        raise ValueError(f"the metadata of {issuer} names the issuer {metadata['issuer']}")
    return metadata


def note_what_was_sent(report, request):
    if request.method == "POST":
        report["sent"] = {"content_type": request.headers["content-type"], "form": request.body}


main()
