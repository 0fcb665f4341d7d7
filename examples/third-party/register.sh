#!/bin/sh
set -eu

help() {
    cat <<'HELP'
Registers a software at a bank, gets a token, reads the registration, updates it and deletes it.

usage: register.sh, with these environment variables:

  ISSUER                 the bank's issuer, an https URL; its metadata is below it
  STATEMENT              file with the software statement, as the directory issued it
  SIGNING_KEY            file with the private key that signs (RSA, PEM)
  SIGNING_KID            kid of this key in the software's key set at the directory
  TRANSPORT_CERTIFICATE  file with the certificate for mutual TLS (PEM)
  TRANSPORT_KEY          file with its private key (PEM)
  CA                     file with the CA of the bank's certificate (PEM) [default: the CAs of curl]
  SCOPE                  the scopes to register, such as "openid accounts" [default: all that the statement allows]

It needs curl and openssl.
HELP
}

main() {
    metadata=$(call 200 "$ISSUER/.well-known/openid-configuration")
    registration_endpoint=$(member registration_endpoint "$metadata")
    # The audience of what is signed. `ISSUER` must be the same text.
    issuer=$(member issuer "$metadata")

    answer=$(data "$(registration_request)" | call 201 --config - --header "$JWT" "$registration_endpoint")
    client_id=$(member client_id "$answer")
    echo "registered: $client_id"

    answer=$(token_form | call 200 --config - "$(member token_endpoint "$metadata")")
    echo "token: for $(member scope "$answer"), for $(number expires_in "$answer") seconds"
    bearer="header = \"authorization: Bearer $(member access_token "$answer")\""

    registration=$registration_endpoint/$client_id
    answer=$(echo "$bearer" | call 200 --config - "$registration")
    echo "read: $(list redirect_uris "$answer" | tr -d '[]"' | tr ',' ' ')"

    # An update replaces the whole registration. It is a new request, with a jti of its own.
    { echo "$bearer"; data "$(registration_request)"; } |
        call 200 --config - --request PUT --header "$JWT" "$registration" >/dev/null
    echo updated

    echo "$bearer" | call 204 --config - --request DELETE "$registration" >/dev/null
    echo deleted
}

JWT='content-type: application/jwt'

registration_request() {
    statement=$(tr -d '[:space:]' <"$STATEMENT")
    software=$(printf '%s' "$statement" | cut -d . -f 2 | from_base64url | tr -d '\n')
    software_id=$(member software_id "$software")
    sign <<CLAIMS
{
  "iss": "$software_id",
  "aud": "$issuer",
  $(dates 300),
  "software_statement": "$statement",
  "software_id": "$software_id",
  "redirect_uris": $(list software_redirect_uris "$software"),
  "application_type": "web",
  "grant_types": ["authorization_code", "client_credentials", "refresh_token"],
  "response_types": ["code id_token"],
  "token_endpoint_auth_method": "private_key_jwt",
  "token_endpoint_auth_signing_alg": "PS256",
  "id_token_signed_response_alg": "PS256",
  ${SCOPE:+"\"scope\": \"$SCOPE\","}
  "request_object_signing_alg": "PS256"
}
CLAIMS
}

token_form() {
    data "grant_type=client_credentials"
    data "client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    data "client_assertion=$(printf '{"iss":"%s","sub":"%s","aud":"%s",%s}' \
        "$client_id" "$client_id" "$issuer" "$(dates 60)" | sign)"
}

# dates SECONDS: the members iat, exp and jti of a JWT that is valid for so long.
dates() {
    now=$(date +%s)
    printf '"iat": %d, "exp": %d, "jti": "%s"' "$now" "$((now + $1))" "$(openssl rand -hex 16)"
}

# The claims on standard input as a signed JWT. -1 is a salt as long as the digest (RFC 7518 section 3.5).
sign() {
    signing_input=$(printf '{"alg":"PS256","kid":"%s","typ":"JWT"}' "$SIGNING_KID" | base64url).$(base64url)
    signature=$(printf '%s' "$signing_input" | openssl dgst -sha256 -binary -sign "$SIGNING_KEY" \
        -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1 | base64url)
    printf '%s.%s' "$signing_input" "$signature"
}

base64url() {
    openssl base64 -A | tr '+/' '-_' | tr -d '='
}

from_base64url() {
    part=$(tr -- '-_' '+/')
    while [ $((${#part} % 4)) -ne 0 ]; do part="$part="; done
    printf '%s' "$part" | openssl base64 -d -A
}

# call STATUS ARGUMENT...: the body of an answer with this status. Any other answer is a refusal: it says what to do and names the rule.
# Tokens come to curl on standard input (--config -), because other users of a machine can read a program's arguments. Some versions of curl
# lose an answer over HTTP/2 that comes before the request is sent.
call() {
    expected=$1
    shift
    answer=$(curl --silent --show-error --http1.1 ${CA:+--cacert "$CA"} --cert "$TRANSPORT_CERTIFICATE" \
        --key "$TRANSPORT_KEY" --write-out '\n%{http_code} %{url_effective}' "$@")
    status_and_url=${answer##*
}
    body=${answer%
*}
    if [ "${status_and_url%% *}" != "$expected" ]; then
        echo "refused: ${status_and_url#* }: ${status_and_url%% *} $body" >&2
        exit 1
    fi
    printf '%s\n' "$body"
}

# A line of curl's configuration: this is sent as the body, or as one more part of a form.
data() {
    printf 'data = "%s"\n' "$1"
}

# The value of a member of a JSON object: a string without escapes, a number, or a list of strings. Nothing, if there is none.
member() {
    printf '%s\n' "$2" | sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"
}

number() {
    printf '%s\n' "$2" | sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p"
}

list() {
    printf '%s\n' "$2" | sed -n "s/.*\"$1\": *\(\[[^]]*\]\).*/\1/p"
}

if [ "${1-}" = --help ]; then
    help
    exit
fi
for name in ISSUER STATEMENT SIGNING_KEY SIGNING_KID TRANSPORT_CERTIFICATE TRANSPORT_KEY; do
    if [ -z "$(printenv $name)" ]; then
        echo "set $name; --help says what it means" >&2
        exit 1
    fi
done
main
