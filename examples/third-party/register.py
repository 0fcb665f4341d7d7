#!/usr/bin/env python3
"""Registers a software at a bank, gets a token, reads the registration, updates it and deletes it.

usage: register.py, with these environment variables:

  ISSUER                 the bank's issuer, an https URL; its metadata is below it
  STATEMENT              file with the software statement, as the directory issued it
  SIGNING_KEY            file with the private key that signs (RSA, PEM)
  SIGNING_KID            kid of this key in the software's key set at the directory
  TRANSPORT_CERTIFICATE  file with the certificate for mutual TLS (PEM)
  TRANSPORT_KEY          file with its private key (PEM)
  CA                     file with the CA of the bank's certificate (PEM) [default: the CAs of Python's certifi]
  SCOPE                  the scopes to register, such as "openid accounts" [default: all that the statement allows]

It needs Python 3.10 or newer, and: pip install joserfc requests
"""

import json
import sys
import time
import uuid
from os import environ
from pathlib import Path

import requests
from joserfc import jws, jwt
from joserfc.jwk import RSAKey

ALGORITHM = "PS256"
NEEDED = ("ISSUER", "STATEMENT", "SIGNING_KEY", "SIGNING_KID", "TRANSPORT_CERTIFICATE", "TRANSPORT_KEY")


def main():
    if sys.argv[1:] == ["--help"]:
        print(__doc__)
        return
    if missing := [name for name in NEEDED if not environ.get(name)]:
        sys.exit(f"set {' and '.join(missing)}; --help says what they mean")

    session = mutual_tls_session()
    server = expect(200, session.get(environ["ISSUER"] + "/.well-known/openid-configuration"))
    statement = Path(environ["STATEMENT"]).read_text().strip()

    request = registration_request(server, statement)
    answer = session.post(server["registration_endpoint"], data=request, headers={"content-type": "application/jwt"})
    client_id = expect(201, answer)["client_id"]
    print("registered:", client_id)

    token = get_token(session, server, client_id)
    print(f"token: for {token['scope']}, for {token['expires_in']} seconds")

    registration = f"{server['registration_endpoint']}/{client_id}"
    bearer = {"authorization": f"Bearer {token['access_token']}"}
    known = expect(200, session.get(registration, headers=bearer))
    print("read:", " ".join(known["redirect_uris"]))

    # An update replaces the whole registration. It is a new request, with a jti of its own.
    request = registration_request(server, statement)
    expect(200, session.put(registration, data=request, headers={**bearer, "content-type": "application/jwt"}))
    print("updated")

    expect(204, session.delete(registration, headers=bearer))
    print("deleted")


def registration_request(server, statement):
    software = json.loads(jws.extract_compact(statement.encode()).payload)
    now = int(time.time())
    claims = {
        "iss": software["software_id"],
        "aud": server["issuer"],
        "iat": now,
        "exp": now + 300,
        "jti": str(uuid.uuid4()),
        "software_statement": statement,
        "software_id": software["software_id"],
        "redirect_uris": software["software_redirect_uris"],
        "application_type": "web",
        "grant_types": ["authorization_code", "client_credentials", "refresh_token"],
        "response_types": ["code id_token"],
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": ALGORITHM,
        "id_token_signed_response_alg": ALGORITHM,
        "request_object_signing_alg": ALGORITHM,
    }
    if environ.get("SCOPE"):
        claims["scope"] = environ["SCOPE"]
    return sign(claims)


def get_token(session, server, client_id):
    now = int(time.time())
    assertion = {
        "iss": client_id,
        "sub": client_id,
        "aud": server["issuer"],
        "iat": now,
        "exp": now + 60,
        "jti": str(uuid.uuid4()),
    }
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": sign(assertion),
    }
    return expect(200, session.post(server["token_endpoint"], data=form))


def sign(claims):
    key = RSAKey.import_key(Path(environ["SIGNING_KEY"]).read_bytes())
    header = {"alg": ALGORITHM, "kid": environ["SIGNING_KID"], "typ": "JWT"}
    return jwt.encode(header, claims, key, algorithms=[ALGORITHM])


def mutual_tls_session():
    session = requests.Session()
    session.cert = (environ["TRANSPORT_CERTIFICATE"], environ["TRANSPORT_KEY"])
    session.verify = environ.get("CA", True)
    # Otherwise REQUESTS_CA_BUNDLE, where it is set, goes before CA. Proxies of the environment are ignored too.
    session.trust_env = False
    return session


def expect(status, answer):
    """The JSON of an answer with this status. Any other answer is a refusal: it says what to do and names the rule."""
    if answer.status_code != status:
        sys.exit(f"refused: {answer.request.method} {answer.url}: {answer.status_code} {answer.text}")
    return answer.json() if answer.content else None


main()
